"""Likelihoods p(x|z): normalised densities in nats, on the raw values that a decoder emits.

Shapes: x is (B, …); raw is (K, B, …), K draws of the code an example; log-densities are (K, B),
summed over everything in an example. Decoders have no final activation: it is part of the
likelihood, and computed in float32.
"""

import math

import numpy as np
from keras import ops

from keras_vae import random, replicas, validation
from keras_vae.part import Part, bounded, register


def _sum_over_example(values):
    return ops.sum(values, axis=tuple(range(2, len(values.shape))))


class Likelihood(Part):
    """Base of likelihoods: the interface, and the check of the support.

    A subclass gives `log_prob` and `mean`, and `sample` if draws of x are wanted; `low` and `high`
    are the support, and `raw_per_feature` is how many raw values describe one feature (the last
    axis of the decoder's output is that many times the last axis of x).
    """

    low, high = -math.inf, math.inf
    raw_per_feature = 1

    def log_prob(self, x, raw):
        """log p(x|z) in nats, (K, B)."""
        raise NotImplementedError

    def mean(self, raw):
        """The mean of p(x|z), in data space; any leading axes."""
        raise NotImplementedError

    def sample(self, raw, seed):
        """One draw from p(x|z) for every entry of raw, the examples on axis 0."""
        raise NotImplementedError

    def training_log_prob(self, x, raw, weights):
        """`log_prob` of a training batch, for likelihoods that estimate something from it.

        Args:
            x, raw: as in `log_prob`.
            weights: (B,) sample weights.
        """
        return self.log_prob(x, raw)

    def example_shape(self, raw_shape):
        """The shape of an example for a decoder that emits `raw_shape` (without the batch)."""
        *leading, last = raw_shape
        if last % self.raw_per_feature:
            raise ValueError(
                f"The decoder's last axis must be a multiple of {self.raw_per_feature}: that is "
                f"how many values {type(self).__name__} needs for each feature. "
                f"Received: decoder output shape={tuple(raw_shape)}"
            )
        return (*leading, last // self.raw_per_feature)

    def check_support(self, x, argument="x"):
        """Raises ValueError unless all of a NumPy array lies in the support."""
        validation.check_finite(x, argument)
        low, high = float(np.min(x)), float(np.max(x))
        if low < self.low or high > self.high:
            raise ValueError(
                f"`{argument}` must lie in [{self.low}, {self.high}], the support of "
                f"{type(self).__name__}; scale it (8-bit images: `x / 255`) or choose another "
                f"likelihood. Received: {argument} with values in [{low}, {high}]"
            )


@register
class Bernoulli(Likelihood):
    """p(x=1|z) = sigmoid(raw) for each feature; the decoder emits logits.

    Grey levels in [0, 1] are taken as probabilities: the loss is then the cross-entropy that the
    first VAEs used on images. It is no longer a density of x, and cannot fall below the entropy
    of the data (0 for binary x).

    Example: `keras_vae.likelihoods.Bernoulli()`.

    Reference: Kingma and Welling (arXiv:1312.6114), appendix C.1.
    """

    low, high = 0.0, 1.0

    def log_prob(self, x, raw):
        return _sum_over_example(ops.cast(x, "float32") * raw - ops.softplus(raw))

    def mean(self, raw):
        return ops.sigmoid(raw)

    def sample(self, raw, seed):
        noise = random.uniform(ops.shape(raw), seed)
        return ops.cast(noise < ops.sigmoid(raw), "float32")


def _square_error(x, raw):
    return _sum_over_example(ops.square(ops.cast(x, "float32") - raw))


def _normal_log_prob(square_error, log_variance, shape):
    constant = math.prod(shape) * (log_variance + math.log(2 * math.pi))
    return -0.5 * (square_error * ops.exp(-log_variance) + constant)


@register
class Normal(Likelihood):
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

    momentum = 0.95

    def __init__(self, scale=1.0, **kwargs):
        super().__init__(**kwargs)
        fixed = validation.is_number(scale) and scale > 0
        if not fixed and not (isinstance(scale, str) and scale in ("shared", "optimal")):
            raise ValueError(
                '`scale` must be a positive number, "shared" or "optimal": it is the standard '
                f"deviation of p(x|z). Received: scale={scale!r}"
            )
        self.scale = float(scale) if fixed else scale

    def build(self, raw_shape):
        if self.scale == "shared":
            self.log_scale = self.add_weight(name="log_scale", initializer="zeros")
        elif self.scale == "optimal":
            self.variance = self.add_weight(
                name="variance", initializer="ones", trainable=False, aggregation="mean"
            )
            self.observed = self.add_weight(
                name="observed", initializer="zeros", trainable=False, aggregation="mean"
            )

    def log_variance(self):
        """log scale², a scalar."""
        if self.scale == "shared":
            return 2.0 * bounded(ops.convert_to_tensor(self.log_scale))
        if self.scale == "optimal":
            return ops.log(ops.convert_to_tensor(self.variance))
        return ops.convert_to_tensor(2.0 * math.log(self.scale), "float32")

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

    def mean(self, raw):
        return raw

    def sample(self, raw, seed):
        noise = random.normal(ops.shape(raw), seed)
        return raw + ops.exp(0.5 * self.log_variance()) * noise
