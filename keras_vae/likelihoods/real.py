"""Likelihoods of real numbers, with a scale."""

import math

from keras import ops

from keras_vae import random, replicas, validation
from keras_vae.likelihoods.base import Likelihood, sum_over_example
from keras_vae.part import bounded, register


class _Scaled(Likelihood):
    """Base of likelihoods with one scale for all features: a number, or learned if "shared"."""

    kinds = ("shared",)

    def __init__(self, scale=1.0, **kwargs):
        super().__init__(**kwargs)
        fixed = validation.is_number(scale) and scale > 0
        if not fixed and not (isinstance(scale, str) and scale in self.kinds):
            raise ValueError(
                f"`scale` must be a positive number or one of {self.kinds}: it is the spread of "
                f"p(x|z). Received: scale={scale!r}"
            )
        self.scale = float(scale) if fixed else scale

    def build(self, raw_shape):
        if self.scale == "shared":
            self.log_scale = self.add_weight(name="log_scale", initializer="zeros")

    def current_log_scale(self):
        """The logarithm of the scale, a scalar."""
        if self.scale == "shared":
            return bounded(ops.convert_to_tensor(self.log_scale))
        return ops.convert_to_tensor(math.log(self.scale), "float32")

    def mean(self, raw):
        return raw


@register
class Laplace(_Scaled):
    """exp(-|x - raw| / scale) / (2 scale) for each feature: absolute error, robust to outliers.

    Args:
        scale: in the units of x: a positive number, or `"shared"`, learned with the network.

    Example: `keras_vae.likelihoods.Laplace(scale="shared")`.

    Reference: Johnson, Kotz and Balakrishnan, Continuous Univariate Distributions 2, chapter 24.
    """

    def log_prob(self, x, raw):
        log_scale = self.current_log_scale()
        error = ops.abs(ops.cast(x, "float32") - raw) * ops.exp(-log_scale)
        return -sum_over_example(error + log_scale + math.log(2.0))

    def sample(self, raw, seed):
        centred = random.uniform(ops.shape(raw), seed) - 0.5
        size = -ops.log1p(-2.0 * ops.abs(centred) * (1 - 1e-7))
        return raw + ops.exp(self.current_log_scale()) * ops.sign(centred) * size


def _square_error(x, raw):
    return sum_over_example(ops.square(ops.cast(x, "float32") - raw))


def _normal_log_prob(square_error, log_variance, shape):
    constant = math.prod(shape) * (log_variance + math.log(2 * math.pi))
    return -0.5 * (square_error * ops.exp(-log_variance) + constant)


@register
class Normal(_Scaled):
    """N(x; raw, scale²) for each feature: squared error, with its scale and its constants.

    Args:
        scale: the standard deviation, in the units of x:
            a positive number: fixed; 1.0 gives half the squared error plus a constant.
            `"shared"`: one number for all features, learned with the network.
            `"optimal"`: one number, the root mean squared error of the batch in training, and a
            moving average of it in evaluation, which so depends on no batch.

    Example: `keras_vae.likelihoods.Normal(scale="optimal")`.

    Reference: Rybkin et al., Simple and Effective VAE Training with Calibrated Decoders
    (arXiv:2006.13202), sections 3.1 and 3.2.
    """

    kinds = ("shared", "optimal")
    momentum = 0.95

    def build(self, raw_shape):
        super().build(raw_shape)
        if self.scale == "optimal":
            self.variance = self.add_weight(
                name="variance", initializer="ones", trainable=False, aggregation="mean"
            )
            self.observed = self.add_weight(
                name="observed", initializer="zeros", trainable=False, aggregation="mean"
            )

    def log_variance(self):
        """log scale², a scalar."""
        if self.scale == "optimal":
            return ops.log(ops.convert_to_tensor(self.variance))
        return 2.0 * self.current_log_scale()

    def log_prob(self, x, raw):
        return _normal_log_prob(_square_error(x, raw), self.log_variance(), raw.shape[2:])

    def training_log_prob(self, x, raw, weights):
        if self.scale != "optimal":
            return self.log_prob(x, raw)
        error = _square_error(x, raw)
        total = replicas.all_sum(replicas.share_of_mean(ops.mean(error, axis=0), weights))
        variance = ops.stop_gradient(ops.maximum(total / math.prod(raw.shape[2:]), 1e-12))
        self._average(variance, replicas.all_sum(ops.sum(weights)))
        return _normal_log_prob(error, ops.log(variance), raw.shape[2:])

    def _average(self, variance, weight):
        """Moves the average on, from the first batch that has any weight."""
        rate = ops.where(weight > 0, 1.0 - self.momentum * self.observed, 0.0)
        self.variance.assign(self.variance + rate * (variance - self.variance))
        self.observed.assign(ops.maximum(self.observed, ops.cast(weight > 0, "float32")))

    def sample(self, raw, seed):
        noise = random.normal(ops.shape(raw), seed)
        return raw + ops.exp(0.5 * self.log_variance()) * noise
