"""The scale of likelihoods of real numbers: fixed, learned, or that of the errors."""

import math
from typing import Any

import keras
from keras import ops

from keras_vae import replicas, validation
from keras_vae.likelihoods.base import Likelihood, sum_over_example
from keras_vae.part import bent_above, soft_clip
from keras_vae.typing import Shape, Tensor

SMALLEST_ESTIMATE = 1e-6
"""The smallest scale that is estimated from errors, which may be 0."""
FLOOR = 0.01
"""The smallest scale of a feature, as a fraction of the feature's standard deviation."""
CONSTANT = 1e-5
"""A feature is constant if its standard deviation is a smaller fraction of its mean than this."""


class Scaled(Likelihood):
    """Base of likelihoods with a scale: a number, learned, or estimated from the errors.

    A subclass gives `error(x, params)`, whose expectation is scale**power, and `log_density(error,
    log_scale)`.

    A learned scale starts from the errors of the first training batch, because an optimizer moves
    its logarithm by no more than the learning rate in a step. It is the sum of this start,
    `initial_log_scale`, and of the trainable `log_scale`; a `log_scale` that was set before the
    first step is left alone. The scale of one feature stays above 1 % of the standard deviation
    that the feature has in that batch (of its first error, if it is constant there): otherwise
    the density of a constant feature has no maximum, and each small error costs thousands of nats.
    """

    kinds = ("shared", "per_feature", "optimal")
    power = 1.0
    momentum = 0.95

    def __init__(self, scale: float | str = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        fixed = validation.is_number(scale) and float(scale) > 0
        if not fixed and not (isinstance(scale, str) and scale in self.kinds):
            raise ValueError(
                f"`scale` must be a positive number or one of {self.kinds}: it is the spread of "
                f"p(x|z). Received: scale={scale!r}"
            )
        self.scale = float(scale) if fixed else scale

    def build(self, params_shape: Shape) -> None:
        self.scale_shape = tuple(params_shape[1:]) if self.scale == "per_feature" else ()
        if self.scale == "optimal":
            self.mean_error = self._state("mean_error", "ones")
            self.observed = self._state("observed", "zeros")
        elif isinstance(self.scale, str):
            self.log_scale = self.add_weight(
                name="log_scale", shape=self.scale_shape, initializer="zeros"
            )
            self.initial_log_scale = self._state("initial_log_scale", "zeros", self.scale_shape)
            lowest = keras.initializers.Constant(-20.0)
            self.log_floor = self._state("log_floor", lowest, self.scale_shape)
            self.started = self._state("started", "zeros")

    def _state(self, name, initializer, shape=()):
        return self.add_weight(
            name=name, shape=shape, initializer=initializer, trainable=False, aggregation="mean"
        )

    def load_own_variables(self, store: Any) -> None:
        """Loads the variables; files of before have a learned scale that starts from 1."""
        if isinstance(self.scale, str) and self.scale != "optimal" and len(store.keys()) == 1:
            self.log_scale.assign(store["0"])
            self.started.assign(1.0)
        else:
            super().load_own_variables(store)

    def current_log_scale(self) -> Tensor:
        """Returns the logarithm of the scale, a scalar or with the shape of an example."""
        if self.scale == "optimal":
            return self._log_scale_of(ops.convert_to_tensor(self.mean_error))
        if isinstance(self.scale, str):
            state = (self.initial_log_scale, self.log_floor)
            return self._learned_log_scale(*(ops.convert_to_tensor(v) for v in state))
        return ops.convert_to_tensor(math.log(self.scale), "float32")

    def feature_log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        return self.log_density(self.error(x, params), self.current_log_scale())

    def mean(self, params: Tensor) -> Tensor:
        return params

    def error(self, x: Tensor, params: Tensor) -> Tensor:
        """Computes the error of each feature, (K, B, …), whose expectation is scale**power."""
        raise NotImplementedError

    def log_density(self, error: Tensor, log_scale: Tensor) -> Tensor:
        """Computes log p(x|z) in nats of each feature, from its error."""
        raise NotImplementedError

    def training_log_prob(
        self, x: Tensor, params: Tensor, weights: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        if not isinstance(self.scale, str):
            return self.log_prob(x, params, mask)
        x, params = self.known(x, mask), ops.convert_to_tensor(params)
        seen = ops.ones_like(params[0]) if mask is None else ops.cast(mask, "float32")
        error = seen * self.error(x, params)
        mean_error = self._average(ops.mean(error, axis=0), seen, weights)
        mean_error = ops.stop_gradient(ops.maximum(mean_error, SMALLEST_ESTIMATE**self.power))
        weight = replicas.all_sum(ops.sum(weights))
        if self.scale == "optimal":
            self._follow(mean_error, weight)
            log_scale = self._log_scale_of(mean_error)
        else:
            log_scale = self._started_log_scale(x, mean_error, seen, weights, weight)
        return sum_over_example(seen * self.log_density(error, log_scale))

    def _follow(self, mean_error, weight):
        """Moves the average on, from the first batch that has any weight."""
        rate = ops.where(weight > 0, 1.0 - self.momentum * self.observed, 0.0)
        self.mean_error.assign(self.mean_error + rate * (mean_error - self.mean_error))
        self.observed.assign(ops.maximum(self.observed, ops.cast(weight > 0, "float32")))

    def _started_log_scale(self, x, mean_error, seen, weights, weight):
        """The learned scale, which the first batch that has any weight starts."""
        found = self._log_scale_of(mean_error)
        ready = ops.logical_and(weight > 0, ops.all(ops.isfinite(found)))
        untouched = ops.logical_and(
            self.started < 0.5, ops.all(ops.convert_to_tensor(self.log_scale) == 0.0)
        )
        starts = ops.logical_and(ready, untouched)
        initial = ops.where(starts, found, ops.convert_to_tensor(self.initial_log_scale))
        floor = ops.convert_to_tensor(self.log_floor)
        if self.scale == "per_feature":
            floor = ops.where(starts, self._log_floor_of(x, found, seen, weights), floor)
        self.initial_log_scale.assign(initial)
        self.log_floor.assign(floor)
        self.started.assign(ops.maximum(self.started, ops.cast(ready, "float32")))
        return self._learned_log_scale(initial, floor)

    def _learned_log_scale(self, initial, floor):
        return bent_above(soft_clip(initial + ops.convert_to_tensor(self.log_scale)), floor)

    def _log_scale_of(self, mean_error):
        return ops.log(mean_error) / self.power

    def _log_floor_of(self, x, initial, seen, weights):
        """Returns the log of 1 % of each feature's standard deviation.

        For a constant feature it is that of 1 % of its size.
        """
        centre = self._average(x, seen, weights)
        spread = ops.sqrt(self._average(ops.square(x - centre), seen, weights))
        varies = spread > ops.maximum(CONSTANT * ops.abs(centre), SMALLEST_ESTIMATE)
        log_spread = ops.log(ops.where(varies, spread, 1.0))
        floor = math.log(FLOOR) + ops.where(varies, log_spread, initial)
        return ops.stop_gradient(ops.maximum(floor, -20.0))

    def _average(self, values, seen, weights):
        """The weighted mean of (B, …) over what is seen, with the shape of the scale.

        A feature that no row has gets the mean of all others.
        """
        pair = (seen * values, seen)
        total, count = (replicas.mean(self._summed(v), weights) for v in pair)
        overall = ops.divide_no_nan(ops.sum(total), ops.sum(count))
        return ops.where(count > 0, ops.divide_no_nan(total, count), overall)

    def _summed(self, values):
        """(B, …) summed over the features and steps that have one scale together."""
        if self.scale != "per_feature":
            return ops.sum(values, axis=tuple(range(1, len(values.shape))))
        together = [axis for axis, n in enumerate(self.scale_shape, 1) if n == 1]
        return ops.sum(values, axis=together, keepdims=True) if together else values
