"""Likelihoods of pixels in [0, 1]."""

import math
from typing import Any

from keras import ops

from keras_vae import random, validation
from keras_vae.likelihoods.base import Likelihood
from keras_vae.part import argmax, register, soft_clip
from keras_vae.typing import Seed, Tensor


@register
class Bernoulli(Likelihood):
    """p(x=1|z) = sigmoid(params) for each feature; the decoder emits logits.

    Grey levels in [0, 1] are taken as probabilities: the loss is then the cross-entropy that the
    first VAEs used on images. It is no longer a density of x, and cannot fall below the entropy
    of the data (0 for binary x).

    Args:
        from_logits: False if the decoder emits probabilities, because it ends in a sigmoid. They
            count as at least 1e-7 and at most 1 - 1e-7; logits lose nothing there.

    Example: `keras_vae.likelihoods.Bernoulli()`.

    Reference: Kingma and Welling (arXiv:1312.6114), appendix C.1.
    """

    low, high = 0.0, 1.0

    def __init__(self, from_logits: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(from_logits, bool):
            raise ValueError(
                "`from_logits` must be True, or False for a decoder that ends in a sigmoid. "
                f"Received: from_logits={from_logits!r}"
            )
        self.from_logits = from_logits

    def feature_log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        if self.from_logits:
            return x * params - ops.softplus(params)
        p = ops.clip(params, 1e-7, 1.0 - 1e-7)
        return x * ops.log(p) + (1.0 - x) * ops.log1p(-p)

    def mean(self, params: Tensor) -> Tensor:
        return ops.sigmoid(params) if self.from_logits else ops.clip(params, 0.0, 1.0)

    def sample(self, params: Tensor, seed: Seed) -> Tensor:
        noise = random.uniform(ops.shape(params), seed)
        return ops.cast(noise < self.mean(params), "float32")


@register
class ContinuousBernoulli(Likelihood):
    """Density on [0, 1] proportional to λ^x (1 - λ)^(1 - x), with λ = sigmoid(params).

    The Bernoulli cross-entropy on grey levels with the constant that makes it a density: for
    likelihoods of images in [0, 1] that may be compared.

    Example: `keras_vae.likelihoods.ContinuousBernoulli()`.

    Reference: Loaiza-Ganem and Cunningham (arXiv:1907.06845), equations 6 and 8.
    """

    low, high = 0.0, 1.0

    def feature_log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        return x * params - ops.softplus(params) + self._log_constant(params)

    def _log_constant(self, params):
        """log(params / tanh(params / 2)), by its series where that is 0 / 0."""
        small = ops.abs(params) < 0.05
        size = ops.where(small, 1.0, ops.abs(params))
        ratio = ops.log1p(ops.exp(-size)) - ops.log(-ops.expm1(-size))
        return ops.where(small, math.log(2.0) + ops.square(params) / 12, ops.log(size) + ratio)

    def mean(self, params: Tensor) -> Tensor:
        """Returns 1 / (1 - exp(-params)) - 1 / params, by its series where both are infinite."""
        small = ops.abs(params) < 0.05
        size = ops.where(small, 1.0, ops.abs(params))
        upper = -1.0 / ops.expm1(-size) - 1.0 / size
        return ops.where(small, 0.5 + params / 12, ops.where(params > 0, upper, 1.0 - upper))

    def sample(self, params: Tensor, seed: Seed) -> Tensor:
        """Draws by the inverse of the distribution function."""
        noise = random.uniform(ops.shape(params), seed)
        small = ops.abs(params) < 0.05
        size = ops.where(small, 1.0, ops.abs(params))
        # of the distribution with |params|, which leans to 1; mirrored where params is negative
        upper = ops.clip(1.0 + ops.log(noise + (1.0 - noise) * ops.exp(-size)) / size, 0.0, 1.0)
        series = noise + 0.5 * params * noise * (1.0 - noise)
        return ops.where(small, series, ops.where(params > 0, upper, 1.0 - upper))


class _GreyLevels(Likelihood):
    """Base of likelihoods of pixels that are one of `levels` grey levels."""

    low, high = 0.0, 1.0

    def __init__(self, levels: int = 256, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.levels = _grey_levels(levels)

    def is_possible(self, x: Tensor) -> Tensor:
        """Accepts a hundredth of a level, because float32 holds few levels exactly."""
        return abs((x * (self.levels - 1) + 0.5) % 1 - 0.5) < 0.01

    def possible_values(self) -> str:
        return f"{self.levels} grey levels, multiples of 1 / {self.levels - 1}"

    def _drawn(self, noise, location, log_scale):
        """The level nearest to a logistic variable; the ends take what lies beyond."""
        logit = ops.log(ops.maximum(noise, 1e-8)) - ops.log1p(-noise)
        value = ops.clip(location + ops.exp(log_scale) * logit, 0.0, 1.0)
        return ops.round(value * (self.levels - 1)) / (self.levels - 1)


@register
class DiscretizedLogistic(_GreyLevels):
    """Exact probabilities of 8-bit pixels: a logistic distribution summed over each level's bin.

    The decoder emits two values a feature, the first half of the last axis for the location
    (0.5 + params), the second for the log-scale (params - 3). `evaluation.bits_per_dim` reports it
    in bits per dimension.

    Args:
        levels: int, of x in [0, 1]: 0, 1 / (levels - 1), …, 1. Values between them are refused.

    `mean` is the location, within [0, 1].

    Example: `keras_vae.likelihoods.DiscretizedLogistic(levels=256)`.

    References: Kingma et al. (arXiv:1606.04934), appendix; Salimans et al., PixelCNN++
    (arXiv:1701.05517), equation 2.
    """

    params_per_feature = 2

    def feature_log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        location, log_scale = self._parameters_of(params)
        return _bin_log_mass(x, location, log_scale, self.levels)

    def mean(self, params: Tensor) -> Tensor:
        return ops.clip(self._parameters_of(params)[0], 0.0, 1.0)

    def sample(self, params: Tensor, seed: Seed) -> Tensor:
        location, log_scale = self._parameters_of(params)
        return self._drawn(random.uniform(ops.shape(location), seed), location, log_scale)

    def _parameters_of(self, params):
        location, log_scale = ops.split(params, 2, axis=-1)
        return 0.5 + location, soft_clip(log_scale - 3.0)


@register
class DiscretizedLogisticMixture(_GreyLevels):
    """Exact probabilities of 8-bit pixels by a mixture of logistic distributions for each feature.

    The decoder emits 3 M values a feature: on the last axis first all logits of the components,
    then all locations (0.5 + params), then all log-scales (params - 3), each in the order (feature,
    component). Colours are independent given z.

    Args:
        num_components: int, M.
        levels: int, of x in [0, 1]: 0, 1 / (levels - 1), …, 1. Values between them are refused.

    Example: `keras_vae.likelihoods.DiscretizedLogisticMixture(num_components=5)`.

    Reference: Salimans et al., PixelCNN++ (arXiv:1701.05517), equation 2.
    """

    def __init__(self, num_components: int = 5, levels: int = 256, **kwargs: Any) -> None:
        super().__init__(levels, **kwargs)
        self.num_components = validation.positive_integer(
            num_components, "num_components", "how many logistic distributions are mixed"
        )
        self.params_per_feature = 3 * self.num_components

    def feature_log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        log_shares, location, log_scale = self._parameters_of(params)
        masses = _bin_log_mass(x[..., None], location, log_scale, self.levels)
        return ops.logsumexp(log_shares + masses, axis=-1)

    def mean(self, params: Tensor) -> Tensor:
        """Returns the mean of the locations, each within [0, 1]."""
        log_shares, location, _ = self._parameters_of(params)
        return ops.sum(ops.exp(log_shares) * ops.clip(location, 0.0, 1.0), axis=-1)

    def sample(self, params: Tensor, seed: Seed) -> Tensor:
        """Draws a component by Gumbel noise, then a level of it."""
        log_shares, location, log_scale = self._parameters_of(params)
        *leading, components = ops.shape(location)
        noise = random.uniform((*leading, components + 1), seed)
        component = argmax(log_shares + random.gumbel(noise[..., 1:]))
        chosen = ops.one_hot(component, components)
        location, log_scale = (ops.sum(chosen * v, axis=-1) for v in (location, log_scale))
        return self._drawn(noise[..., 0], location, log_scale)

    def _parameters_of(self, params):
        """(log-shares, locations, log-scales), each (…, features, M)."""
        shape = (*ops.shape(params)[:-1], 3, -1, self.num_components)
        logits, location, log_scale = ops.unstack(ops.reshape(params, shape), axis=-3)
        return ops.log_softmax(logits, axis=-1), 0.5 + location, soft_clip(log_scale - 3.0)


def _grey_levels(levels):
    if validation.positive_integer(levels, "levels", "how many grey levels there are") < 2:
        raise ValueError(
            "`levels` must be at least 2, because one grey level has nothing to say. "
            f"Received: levels={levels}"
        )
    return int(levels)


def _bin_log_mass(x, location, log_scale, levels):
    """Returns the log of the logistic distribution's mass on the level's bin, open at both ends."""
    precision, half = ops.exp(-log_scale), 0.5 / (levels - 1)
    distance = x - location
    # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a))
    above = ops.where(x > 1 - half, 0.0, ops.log_sigmoid((distance + half) * precision))
    below = ops.where(x < half, 0.0, ops.log_sigmoid((half - distance) * precision))
    width = ops.log(-ops.expm1(-2 * half * precision))
    inside = ops.logical_and(x >= half, x <= 1 - half)
    return above + below + ops.where(inside, width, 0.0)
