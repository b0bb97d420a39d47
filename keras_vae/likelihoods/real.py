"""Likelihoods of real numbers, with a scale."""

import math

from keras import ops

from keras_vae import random, replicas, validation
from keras_vae.likelihoods.base import Likelihood, sum_over_example
from keras_vae.likelihoods.counts import log_gamma
from keras_vae.part import bounded, register


class _Scaled(Likelihood):
    """Base of likelihoods with a scale: a number, or learned for all features or for each."""

    kinds = ("shared", "per_feature")

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
        if self.scale in ("shared", "per_feature"):
            shape = () if self.scale == "shared" else tuple(raw_shape[1:])
            self.log_scale = self.add_weight(name="log_scale", shape=shape, initializer="zeros")

    def current_log_scale(self):
        """The logarithm of the scale, a scalar or with the shape of an example."""
        if self.scale in ("shared", "per_feature"):
            return bounded(ops.convert_to_tensor(self.log_scale))
        return ops.convert_to_tensor(math.log(self.scale), "float32")

    def mean(self, raw):
        return raw


@register
class Laplace(_Scaled):
    """exp(-|x - raw| / scale) / (2 scale) for each feature: absolute error, robust to outliers.

    Args:
        scale: in the units of x: a positive number; `"shared"`, one number learned with the
            network; or `"per_feature"`, one for each feature, learned.

    Example: `keras_vae.likelihoods.Laplace(scale="shared")`.

    Reference: Johnson, Kotz and Balakrishnan, Continuous Univariate Distributions 2, chapter 24.
    """

    def feature_log_prob(self, x, raw):
        log_scale = self.current_log_scale()
        return -(ops.abs(x - raw) * ops.exp(-log_scale) + log_scale + math.log(2.0))

    def sample(self, raw, seed):
        centred = random.uniform(ops.shape(raw), seed) - 0.5
        size = -ops.log1p(-2.0 * ops.abs(centred) * (1 - 1e-7))
        return raw + ops.exp(self.current_log_scale()) * ops.sign(centred) * size


def _normal_log_prob(square_error, log_variance):
    return -0.5 * (square_error * ops.exp(-log_variance) + log_variance + math.log(2 * math.pi))


@register
class Normal(_Scaled):
    """N(x; raw, scale²) for each feature: squared error, with its scale and its constants.

    Args:
        scale: the standard deviation, in the units of x:
            a positive number: fixed; 1.0 gives half the squared error plus a constant.
            `"shared"`: one number for all features, learned with the network.
            `"per_feature"`: one number for each feature, learned with the network.
            `"optimal"`: one number, the root mean squared error of the batch in training, and a
            moving average of it in evaluation, which so depends on no batch.

    Example: `keras_vae.likelihoods.Normal(scale="optimal")`.

    Reference: Rybkin et al., Simple and Effective VAE Training with Calibrated Decoders
    (arXiv:2006.13202), sections 3.1 and 3.2.
    """

    kinds = ("shared", "per_feature", "optimal")
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
        """log scale², a scalar or with the shape of an example."""
        if self.scale == "optimal":
            return ops.log(ops.convert_to_tensor(self.variance))
        return 2.0 * self.current_log_scale()

    def feature_log_prob(self, x, raw):
        return _normal_log_prob(ops.square(x - raw), self.log_variance())

    def training_log_prob(self, x, raw, weights, mask=None):
        if self.scale != "optimal":
            return self.log_prob(x, raw, mask)
        seen = ops.ones_like(raw[0]) if mask is None else ops.cast(mask, "float32")
        error = seen * ops.square((x if mask is None else self.filled(x, mask)) - raw)
        total = replicas.mean(ops.mean(sum_over_example(error), axis=0), weights)
        count = replicas.mean(sum_over_example(seen[None])[0], weights)
        variance = ops.stop_gradient(ops.maximum(ops.divide_no_nan(total, count), 1e-12))
        self._average(variance, replicas.all_sum(ops.sum(weights)))
        return sum_over_example(seen * _normal_log_prob(error, ops.log(variance)))

    def _average(self, variance, weight):
        """Moves the average on, from the first batch that has any weight."""
        rate = ops.where(weight > 0, 1.0 - self.momentum * self.observed, 0.0)
        self.variance.assign(self.variance + rate * (variance - self.variance))
        self.observed.assign(ops.maximum(self.observed, ops.cast(weight > 0, "float32")))

    def sample(self, raw, seed):
        noise = random.normal(ops.shape(raw), seed)
        return raw + ops.exp(0.5 * self.log_variance()) * noise


@register
class Beta(Likelihood):
    """Beta distribution on (0, 1) for each feature: proportions, rates, probabilities.

    The decoder emits two values a feature, the first half of the last axis for the logit of the
    mean, the second for the logarithm of the concentration a + b.

    Example: `keras_vae.likelihoods.Beta()`.

    Reference: Ferrari and Cribari-Neto, Beta Regression for Modelling Rates and Proportions
    (2004), equation 4.
    """

    low, high, open_support = 0.0, 1.0, True
    fill = 0.5
    raw_per_feature = 2

    def feature_log_prob(self, x, raw):
        mean, concentration = self._parameters_of(raw)
        a, b = mean * concentration, (1.0 - mean) * concentration
        x = ops.clip(x, 1e-7, 1.0 - 1e-7)
        constant = log_gamma(concentration) - log_gamma(a) - log_gamma(b)
        return constant + (a - 1.0) * ops.log(x) + (b - 1.0) * ops.log1p(-x)

    def mean(self, raw):
        return self._parameters_of(raw)[0]

    def _parameters_of(self, raw):
        mean, log_concentration = ops.split(raw, 2, axis=-1)
        mean = ops.clip(ops.sigmoid(mean), 1e-6, 1.0 - 1e-6)
        return mean, ops.exp(bounded(log_concentration, 4.0, 4.0))
