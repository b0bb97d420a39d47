"""Likelihoods of pixels in [0, 1]."""

import math

from keras import ops

from keras_vae import random, validation
from keras_vae.likelihoods.base import Likelihood
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

    def feature_log_prob(self, x, raw):
        return x * raw - ops.softplus(raw)

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

    def feature_log_prob(self, x, raw):
        return x * raw - ops.softplus(raw) + self._log_constant(raw)

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
    (0.5 + raw), the second for the log-scale (raw - 3). `evaluation.bits_per_dim` reports it in
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
        self.levels = _grey_levels(levels)

    def feature_log_prob(self, x, raw):
        return _bin_log_mass(x, *self._parameters_of(raw), self.levels)

    def mean(self, raw):
        return ops.clip(self._parameters_of(raw)[0], 0.0, 1.0)

    def _parameters_of(self, raw):
        location, log_scale = ops.split(raw, 2, axis=-1)
        return 0.5 + location, bounded(log_scale - 3.0)


@register
class DiscretizedLogisticMixture(Likelihood):
    """Exact probabilities of 8-bit pixels by a mixture of logistic distributions for each feature.

    The decoder emits 3 M values a feature: on the last axis first all logits of the components,
    then all locations (0.5 + raw), then all log-scales (raw - 3), each in the order (feature,
    component). Colours are independent given z.

    Args:
        num_components: int, M.
        levels: int, of x in [0, 1]: 0, 1 / (levels - 1), …, 1.

    Example: `keras_vae.likelihoods.DiscretizedLogisticMixture(num_components=5)`.

    Reference: Salimans et al., PixelCNN++ (arXiv:1701.05517), equation 2.
    """

    low, high = 0.0, 1.0

    def __init__(self, num_components=5, levels=256, **kwargs):
        super().__init__(**kwargs)
        self.num_components = validation.positive_integer(
            num_components, "num_components", "how many logistic distributions are mixed"
        )
        self.levels = _grey_levels(levels)
        self.raw_per_feature = 3 * self.num_components

    def feature_log_prob(self, x, raw):
        log_shares, location, log_scale = self._parameters_of(raw)
        masses = _bin_log_mass(x[..., None], location, log_scale, self.levels)
        return ops.logsumexp(log_shares + masses, axis=-1)

    def mean(self, raw):
        """The mean of the locations, each within [0, 1]."""
        log_shares, location, _ = self._parameters_of(raw)
        return ops.sum(ops.exp(log_shares) * ops.clip(location, 0.0, 1.0), axis=-1)

    def _parameters_of(self, raw):
        """(log-shares, locations, log-scales), each (…, features, M)."""
        shape = (*ops.shape(raw)[:-1], 3, -1, self.num_components)
        logits, location, log_scale = ops.unstack(ops.reshape(raw, shape), axis=-3)
        return ops.log_softmax(logits, axis=-1), 0.5 + location, bounded(log_scale - 3.0)


def _grey_levels(levels):
    if validation.positive_integer(levels, "levels", "how many grey levels there are") < 2:
        raise ValueError(
            "`levels` must be at least 2, because one grey level has nothing to say. "
            f"Received: levels={levels}"
        )
    return int(levels)


def _bin_log_mass(x, location, log_scale, levels):
    """log of the logistic distribution's mass on the level's bin, open at both ends."""
    precision, half = ops.exp(-log_scale), 0.5 / (levels - 1)
    distance = x - location
    # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a))
    above = ops.where(x > 1 - half, 0.0, ops.log_sigmoid((distance + half) * precision))
    below = ops.where(x < half, 0.0, ops.log_sigmoid((half - distance) * precision))
    width = ops.log(-ops.expm1(-2 * half * precision))
    inside = ops.logical_and(x >= half, x <= 1 - half)
    return above + below + ops.where(inside, width, 0.0)
