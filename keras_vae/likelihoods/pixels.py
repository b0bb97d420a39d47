"""Likelihoods of pixels in [0, 1]."""

import math

from keras import ops

from keras_vae import random, validation
from keras_vae.likelihoods.base import Likelihood, sum_over_example
from keras_vae.part import bounded, register


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
        return sum_over_example(ops.cast(x, "float32") * raw - ops.softplus(raw))

    def mean(self, raw):
        return ops.sigmoid(raw)

    def sample(self, raw, seed):
        noise = random.uniform(ops.shape(raw), seed)
        return ops.cast(noise < ops.sigmoid(raw), "float32")


@register
class ContinuousBernoulli(Likelihood):
    """Density on [0, 1] proportional to λ^x (1 - λ)^(1 - x), with λ = sigmoid(raw).

    The Bernoulli cross-entropy on grey levels with the constant that makes it a density: for
    likelihoods of images in [0, 1] that may be compared.

    Example: `keras_vae.likelihoods.ContinuousBernoulli()`.

    Reference: Loaiza-Ganem and Cunningham (arXiv:1907.06845), equations 6 and 8.
    """

    low, high = 0.0, 1.0

    def log_prob(self, x, raw):
        cross_entropy = ops.cast(x, "float32") * raw - ops.softplus(raw)
        return sum_over_example(cross_entropy + self._log_constant(raw))

    def _log_constant(self, raw):
        """log(raw / tanh(raw / 2)), by its series where that is 0 / 0."""
        small = ops.abs(raw) < 0.05
        size = ops.where(small, 1.0, ops.abs(raw))
        ratio = ops.log1p(ops.exp(-size)) - ops.log(-ops.expm1(-size))
        return ops.where(small, math.log(2.0) + ops.square(raw) / 12, ops.log(size) + ratio)

    def mean(self, raw):
        """1 / (1 - exp(-raw)) - 1 / raw, by its series where that is infinity less infinity."""
        small = ops.abs(raw) < 0.05
        size = ops.where(small, 1.0, ops.abs(raw))
        upper = -1.0 / ops.expm1(-size) - 1.0 / size
        return ops.where(small, 0.5 + raw / 12, ops.where(raw > 0, upper, 1.0 - upper))

    def sample(self, raw, seed):
        """By the inverse of the distribution function."""
        noise = random.uniform(ops.shape(raw), seed)
        small = ops.abs(raw) < 0.05
        size = ops.where(small, 1.0, ops.abs(raw))
        # of the distribution with |raw|, which leans to 1; mirrored where raw is negative
        upper = 1.0 + ops.log(noise + (1.0 - noise) * ops.exp(-size)) / size
        return ops.where(small, noise, ops.where(raw > 0, upper, 1.0 - upper))


@register
class DiscretizedLogistic(Likelihood):
    """Exact probabilities of 8-bit pixels: a logistic distribution summed over each level's bin.

    The decoder emits two values a feature, the first half of the last axis for the location
    (0.5 + raw), the second for the log-scale (raw - 3). Divide the loss by (features · ln 2) for
    bits per dimension.

    Args:
        levels: int, of x in [0, 1]: 0, 1 / (levels - 1), …, 1.

    `mean` is the location, within [0, 1].

    Example: `keras_vae.likelihoods.DiscretizedLogistic(levels=256)`.

    References: Kingma et al. (arXiv:1606.04934), appendix; Salimans et al., PixelCNN++
    (arXiv:1701.05517), equation 2.
    """

    low, high = 0.0, 1.0
    raw_per_feature = 2

    def __init__(self, levels=256, **kwargs):
        super().__init__(**kwargs)
        if validation.positive_integer(levels, "levels", "how many grey levels there are") < 2:
            raise ValueError(
                "`levels` must be at least 2, because one grey level has nothing to say. "
                f"Received: levels={levels}"
            )
        self.levels = int(levels)

    def log_prob(self, x, raw):
        location, log_scale = self._parameters(raw)
        precision, half = ops.exp(-log_scale), 0.5 / (self.levels - 1)
        distance = ops.cast(x, "float32") - location
        # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), open at both ends
        above = ops.where(x > 1 - half, 0.0, ops.log_sigmoid((distance + half) * precision))
        below = ops.where(x < half, 0.0, ops.log_sigmoid((half - distance) * precision))
        width = ops.log(-ops.expm1(-2 * half * precision))
        inside = ops.logical_and(x >= half, x <= 1 - half)
        return sum_over_example(above + below + ops.where(inside, width, 0.0))

    def mean(self, raw):
        return ops.clip(self._parameters(raw)[0], 0.0, 1.0)

    def _parameters(self, raw):
        location, log_scale = ops.split(raw, 2, axis=-1)
        return 0.5 + location, bounded(log_scale - 3.0)
