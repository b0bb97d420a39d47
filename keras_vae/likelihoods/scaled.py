"""The scale of likelihoods of real numbers: fixed, learned, emitted, or that of the errors."""

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
RATE_MULTIPLE = 10.0
"""How many times the optimizer's learning rate a learned number of a likelihood moves at."""


def counted(variable: Tensor, multiple: Tensor = RATE_MULTIPLE) -> Tensor:
    """Returns `multiple` times a variable, with the gradient of the variable itself.

    An optimizer such as Adam moves a number by about the learning rate in a step. A few numbers
    that shape all of the data, such as the logarithm of a scale, would so lag behind the network.

    Args:
        variable: Tensor or `keras.Variable`.
        multiple: how many times the optimizer's learning rate the result moves at.

    Returns:
        Tensor like `variable`.
    """
    variable = ops.convert_to_tensor(variable)
    return variable - ops.stop_gradient((1.0 - multiple) * variable)


class Scaled(Likelihood):
    """Base of likelihoods with a scale: a number, learned, emitted, or estimated from the errors.

    A subclass gives `error(x, location)`, whose expectation is scale**power, and
    `log_density(error, log_scale)`.

    A learned scale starts from the errors of the first training batch. Its logarithm is the sum of
    this start, `initial_log_scale`, and of `rate_multiple` times the trainable `log_scale`. From
    the first batch on the multiple is 10, because an optimizer moves `log_scale` by about the
    learning rate in a step, and a scale that falls so slowly lags behind the errors for epochs.
    Before that batch the multiple is 1, and a `log_scale` that was set by then keeps its value.

    With `scale="decoder"` the second half of the decoder's last axis takes the place of
    `log_scale`, and counts from the error that each feature has in the first batch.

    The scale of one feature stays above 1 % of the standard deviation that the feature has in that
    batch (of its first error, if it is constant there): otherwise the density of a constant feature
    has no maximum, and each small error costs thousands of nats.
    """

    kinds: tuple[str, ...] = ("shared", "per_feature", "optimal", "decoder")
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
        if self.scale == "decoder":
            self.params_per_feature = 2

    def build(self, params_shape: Shape) -> None:
        of_features = self.scale in ("per_feature", "decoder")
        self.scale_shape = self.example_shape(tuple(params_shape[1:])) if of_features else ()
        if self.scale == "optimal":
            self.mean_error = self._state("mean_error", "ones")
            self.observed = self._state("observed", "zeros")
        elif isinstance(self.scale, str):
            self._add_start()

    def _add_start(self):
        """Adds what the first training batch sets, and the variable that is learned from there."""
        if self._is_learned():
            self.log_scale = self.add_weight(
                name="log_scale", shape=self.scale_shape, initializer="zeros"
            )
        self.initial_log_scale = self._state("initial_log_scale", "zeros", self.scale_shape)
        lowest = keras.initializers.Constant(-20.0)
        self.log_floor = self._state("log_floor", lowest, self.scale_shape)
        self.started = self._state("started", "zeros")
        if self._is_learned():
            self.rate_multiple = self._state("rate_multiple", "ones")

    def _state(self, name, initializer, shape=()):
        return self.add_weight(
            name=name, shape=shape, initializer=initializer, trainable=False, aggregation="mean"
        )

    def _is_learned(self):
        return self.scale in ("shared", "per_feature")

    def load_own_variables(self, store: Any) -> None:
        """Loads the variables, also those of files whose learned scale moved at the plain rate.

        Files of the first versions hold `log_scale` alone, which then starts from 1.
        """
        count = len(store.keys())
        if not self._is_learned() or count not in (1, 4):
            super().load_own_variables(store)
            return
        variables = (self.log_scale, self.initial_log_scale, self.log_floor, self.started)
        for index, variable in enumerate(variables[:count]):
            variable.assign(store[str(index)])
        self.rate_multiple.assign(1.0)
        if count == 1:
            self.started.assign(1.0)

    def current_log_scale(self, params: Tensor | None = None) -> Tensor:
        """Returns the logarithm of the scale.

        Args:
            params: what the decoder emits, which is needed for `scale="decoder"` alone.

        Returns:
            A scalar, or a tensor that broadcasts against the features of x.
        """
        if self.scale == "optimal":
            return self._log_scale_of(ops.convert_to_tensor(self.mean_error))
        if isinstance(self.scale, str):
            multiple = ops.convert_to_tensor(self.rate_multiple) if self._is_learned() else None
            change = self._log_scale_change(params, multiple)
            return self._bounded(self.initial_log_scale, change, self.log_floor)
        return ops.convert_to_tensor(math.log(self.scale), "float32")

    def location_of(self, params: Tensor) -> Tensor:
        """Returns the location of each feature, which is all that most decoders emit."""
        return ops.split(params, 2, axis=-1)[0] if self.scale == "decoder" else params

    def feature_log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        error = self.error(x, self.location_of(params))
        return self.log_density(error, self.current_log_scale(params))

    def mean(self, params: Tensor) -> Tensor:
        return self.location_of(params)

    def error(self, x: Tensor, location: Tensor) -> Tensor:
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
        location = self.location_of(params)
        seen = ops.ones_like(location[0]) if mask is None else ops.cast(mask, "float32")
        error = seen * self.error(x, location)
        mean_error = self._average(ops.mean(error, axis=0), seen, weights)
        mean_error = ops.stop_gradient(ops.maximum(mean_error, SMALLEST_ESTIMATE**self.power))
        weight = replicas.all_sum(ops.sum(weights))
        if self.scale == "optimal":
            self._follow(mean_error, weight)
            log_scale = self._log_scale_of(mean_error)
        else:
            found = self._log_scale_of(mean_error)
            log_scale = self._started_log_scale(x, params, found, seen, weights, weight)
        return sum_over_example(seen * self.log_density(error, log_scale))

    def _follow(self, mean_error, weight):
        """Moves the average on, from the first batch that has any weight."""
        rate = ops.where(weight > 0, 1.0 - self.momentum * self.observed, 0.0)
        self.mean_error.assign(self.mean_error + rate * (mean_error - self.mean_error))
        self.observed.assign(ops.maximum(self.observed, ops.cast(weight > 0, "float32")))

    def _started_log_scale(self, x, params, found, seen, weights, weight):
        """The scale, which the first batch that has any weight starts from the errors `found`."""
        ready = ops.logical_and(weight > 0, ops.all(ops.isfinite(found)))
        begins = ops.logical_and(ready, self.started < 0.5)
        starts = ops.logical_and(begins, self._is_untouched())
        initial = ops.where(starts, found, ops.convert_to_tensor(self.initial_log_scale))
        floor = ops.convert_to_tensor(self.log_floor)
        if self.scale_shape:
            floor = ops.where(starts, self._log_floor_of(x, found, seen, weights), floor)
        initial, multiple = self._sped_up(initial, begins)
        self.initial_log_scale.assign(initial)
        self.log_floor.assign(floor)
        self.started.assign(ops.maximum(self.started, ops.cast(ready, "float32")))
        return self._bounded(initial, self._log_scale_change(params, multiple), floor)

    def _is_untouched(self):
        return not self._is_learned() or ops.all(ops.convert_to_tensor(self.log_scale) == 0.0)

    def _sped_up(self, initial, begins):
        """The start and the multiple from now on, which leave a `log_scale` that was set alone."""
        if not self._is_learned():
            return initial, None
        before = ops.convert_to_tensor(self.rate_multiple)
        multiple = ops.where(begins, RATE_MULTIPLE, before)
        log_scale = ops.stop_gradient(ops.convert_to_tensor(self.log_scale))
        initial = initial - (multiple - before) * log_scale
        self.rate_multiple.assign(multiple)  # after `before` has been used, which may be a view
        return initial, multiple

    def _log_scale_change(self, params, multiple):
        """What is added to the start: learned, or the second half of what the decoder emits."""
        if self.scale == "decoder":
            return ops.split(params, 2, axis=-1)[1]
        return counted(self.log_scale, multiple)

    def _bounded(self, initial, change, floor):
        log_scale = soft_clip(ops.convert_to_tensor(initial) + change)
        return bent_above(log_scale, ops.convert_to_tensor(floor))

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
        if not self.scale_shape:
            return ops.sum(values, axis=tuple(range(1, len(values.shape))))
        together = [axis for axis, n in enumerate(self.scale_shape, 1) if n == 1]
        return ops.sum(values, axis=together, keepdims=True) if together else values
