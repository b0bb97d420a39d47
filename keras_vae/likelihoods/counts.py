"""Likelihoods of whole numbers: classes and counts."""

from typing import Any

import numpy as np
from keras import ops

from keras_vae import random, validation
from keras_vae.likelihoods import draws
from keras_vae.likelihoods.base import Likelihood, seed_of, share_sum
from keras_vae.likelihoods.scaled import counted
from keras_vae.likelihoods.stirling import negative_binomial_log_prob, poisson_log_prob
from keras_vae.part import argmax, build_once, register, soft_clip
from keras_vae.typing import Seed, Shape, Tensor


class _Counts(Likelihood):
    """Base of likelihoods of whole numbers."""

    low = 0.0

    def is_possible(self, x: Tensor) -> Tensor:
        return (np.floor(x) if isinstance(x, np.ndarray) else ops.floor(x)) == x

    def possible_values(self) -> str:
        return "whole numbers"


@register
class Categorical(_Counts):
    """p(x=c|z) = softmax(params)_c for each feature, x one of the classes 0 to num_classes - 1.

    Args:
        num_classes: int, C; the decoder emits C parameters for each feature.

    `mean` is the most probable class.

    Example: `keras_vae.likelihoods.Categorical(num_classes=5)`.

    Reference: Bishop, Pattern Recognition and Machine Learning, section 2.2.
    """

    ordered = False

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = validation.positive_integer(
            num_classes, "num_classes", "how many there are"
        )
        self.params_per_feature, self.high = self.num_classes, self.num_classes - 1.0

    def feature_log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        log_probs = ops.log_softmax(self._by_class(params), axis=-1)
        chosen = ops.one_hot(ops.cast(x, "int32"), self.num_classes)
        return ops.sum(chosen * log_probs, axis=-1)

    def as_input(self, x: Tensor) -> Tensor:
        one_hot = ops.one_hot(ops.cast(x, "int32"), self.num_classes)
        return ops.reshape(one_hot, (*ops.shape(x)[:-1], x.shape[-1] * self.num_classes))

    def mean(self, params: Tensor) -> Tensor:
        return ops.cast(argmax(self._by_class(params)), "float32")

    def mixture_mean(self, params: Tensor, shares: Tensor) -> Tensor:
        """Returns the class that is most probable under all draws together."""
        probabilities = share_sum(shares, ops.softmax(self._by_class(params), axis=-1))
        return ops.cast(argmax(probabilities), "float32")

    def sample(self, params: Tensor, seed: Seed) -> Tensor:
        """Draws by the largest of the logits with Gumbel noise."""
        return self.mean(params + random.gumbel(random.uniform(ops.shape(params), seed)))

    def _by_class(self, params):
        return ops.reshape(params, (*ops.shape(params)[:-1], -1, self.num_classes))


@register
class Ordinal(_Counts):
    """Ordered classes, such as grades: p(x ≤ k|z) = sigmoid(threshold_k - params), from 0 on.

    These are cumulative logits (proportional odds). The decoder emits one value a feature, the
    larger the higher the class. Each feature has num_classes - 1 thresholds between the classes,
    which are learned at ten times the optimizer's rate and stay in order. At the start all classes
    are equally likely for params = 0.

    Args:
        num_classes: int, at least 2; the classes are 0 to num_classes - 1.

    `mean` is the median class, which has the least expected distance to x; `Categorical` has the
    most probable one. As an input to other networks a class is shown as a number from -1 to 1.

    Example: `keras_vae.likelihoods.Ordinal(num_classes=5)`.

    References: McCullagh, Regression Models for Ordinal Data (1980), section 2; Nazabal et al.
    (arXiv:1807.03653), equation 10.
    """

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = validation.positive_integer(
            num_classes, "num_classes", "how many there are"
        )
        if self.num_classes < 2:
            raise ValueError(
                "`num_classes` must be at least 2, because one class has nothing to say. "
                f"Received: num_classes={num_classes}"
            )
        self.high = self.num_classes - 1.0

    def build(self, params_shape: Shape) -> None:
        self.raw_thresholds = self.add_weight(
            name="raw_thresholds",
            shape=(*params_shape[1:], self.num_classes - 1),
            initializer="zeros",
        )

    def feature_log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        first, gaps = self._first_and_gaps()
        thresholds = _ascending(first, gaps)
        chosen = ops.one_hot(ops.cast(x, "int32"), self.num_classes)
        upper = ops.sum(chosen[..., :-1] * thresholds, axis=-1)
        lower = ops.sum(chosen[..., 1:] * thresholds, axis=-1)
        # sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - exp(a - b))
        below = ops.where(x > self.num_classes - 1.5, 0.0, ops.log_sigmoid(upper - params))
        above = ops.where(x < 0.5, 0.0, ops.log_sigmoid(params - lower))
        narrow = ops.sum(chosen[..., 1:-1] * -ops.log(-ops.expm1(-gaps)), axis=-1)
        return below + above - narrow

    def thresholds(self) -> Tensor:
        """Returns the thresholds between neighbouring classes, ascending on the last axis."""
        return _ascending(*self._first_and_gaps())

    def as_input(self, x: Tensor) -> Tensor:
        """Returns the class as a number from -1 to 1."""
        return 2.0 * ops.cast(x, "float32") / (self.num_classes - 1) - 1.0

    def mean(self, params: Tensor) -> Tensor:
        return self._class_of(params)

    def mixture_mean(self, params: Tensor, shares: Tensor) -> Tensor:
        """Returns the median class under all draws together."""
        up_to = share_sum(shares, ops.sigmoid(self.thresholds() - params[..., None]))
        return ops.sum(ops.cast(up_to < 0.5, "float32"), axis=-1)

    def sample(self, params: Tensor, seed: Seed) -> Tensor:
        """Draws by logistic noise on the value that the thresholds divide into classes."""
        noise = random.uniform(ops.shape(params), seed)
        return self._class_of(params + ops.log(ops.maximum(noise, 1e-38)) - ops.log1p(-noise))

    def _class_of(self, value):
        """Counts the thresholds below a value."""
        return ops.sum(ops.cast(self.thresholds() < value[..., None], "float32"), axis=-1)

    def _first_and_gaps(self):
        """The first threshold, (…, 1), and the positive distances to the next ones, (…, K - 2)."""
        even = np.arange(1, self.num_classes) / self.num_classes
        start = np.log(even) - np.log1p(-even)
        raw = counted(self.raw_thresholds)
        raw_start = np.log(np.expm1(np.diff(start) - SMALLEST_GAP))
        gaps = ops.softplus(raw[..., 1:] + ops.convert_to_tensor(raw_start, "float32"))
        return raw[..., :1] + float(start[0]), SMALLEST_GAP + gaps


SMALLEST_GAP = 1e-3
"""The smallest distance of two thresholds of `Ordinal`, so that each class remains possible."""


def _ascending(first, gaps):
    return ops.concatenate([first, first + ops.cumsum(gaps, axis=-1)], axis=-1)


def log_mean_of(params: Tensor) -> Tensor:
    """Returns the log of the mean of counts: `params` within ±12, bent beyond to stay in ±20."""
    return soft_clip(params, 12.0, 8.0)


@register
class Poisson(_Counts):
    """Counts with the rate exp(params).

    Beyond ±12, `params` is bent to stay within ±20. The gradient for `params` is that of the
    density up to a rate of 10 (x + 1) and constant above. The density falls off there exponentially
    in `params`, and one such step would spoil an optimizer's averages for a thousand steps.

    Example: `keras_vae.likelihoods.Poisson()`.

    Reference: Johnson, Kemp and Kotz, Univariate Discrete Distributions, chapter 4.
    """

    def feature_log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        log_rate = log_mean_of(params)
        tame = _log_prob_linear_above(x, log_rate)
        return tame + ops.stop_gradient(poisson_log_prob(x, log_rate) - tame)

    def mean(self, params: Tensor) -> Tensor:
        return ops.exp(log_mean_of(params))

    def sample(self, params: Tensor, seed: Seed) -> Tensor:
        noise = random.uniform((*ops.shape(params), draws.POISSON_NOISE), seed)
        return draws.poisson_variable(log_mean_of(params), noise)


def _log_prob_linear_above(x, log_rate, times=10.0):
    """The density of a count, linear in the log of a rate that is above `times` (x + 1)."""
    most = times * (x + 1.0)
    near = poisson_log_prob(x, ops.minimum(log_rate, ops.log(most)))
    return near - (most - x) * ops.relu(log_rate - ops.log(most))


@register
class NegativeBinomial(_Counts):
    """Counts more spread than a Poisson's: mean exp(params), variance mean + mean² / dispersion.

    The dispersion is one positive number for each feature, learned with the network. Beyond ±12,
    `params` is bent to stay within ±20; the logarithm of the dispersion, beyond ±20, within ±30.

    Example: `keras_vae.likelihoods.NegativeBinomial()`.

    Reference: Lopez et al., Deep Generative Modeling for Single-cell Transcriptomics (2018).
    """

    def build(self, params_shape: Shape) -> None:
        self.log_dispersion = self.add_weight(
            name="log_dispersion", shape=tuple(params_shape[1:]), initializer="zeros"
        )

    def feature_log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        return negative_binomial_log_prob(x, log_mean_of(params), self.current_log_dispersion())

    def current_log_dispersion(self) -> Tensor:
        """Returns the logarithm of the dispersion, with the shape of an example."""
        return soft_clip(ops.convert_to_tensor(self.log_dispersion), 20.0, 10.0)

    def mean(self, params: Tensor) -> Tensor:
        return ops.exp(log_mean_of(params))

    def sample(self, params: Tensor, seed: Seed) -> Tensor:
        """Draws a Poisson variable whose rate is a gamma variable."""
        size = draws.GAMMA_NOISE + draws.POISSON_NOISE
        noise = random.uniform((*ops.shape(params), size), seed)
        log_dispersion = self.current_log_dispersion()
        dispersion = ops.broadcast_to(ops.exp(log_dispersion), ops.shape(params))
        log_factor = draws.log_gamma_variable(dispersion, noise[..., : draws.GAMMA_NOISE])
        log_rate = log_mean_of(params) + log_factor - log_dispersion
        return draws.poisson_variable(log_rate, noise[..., draws.GAMMA_NOISE :])


@register
class ZeroInflated(_Counts):
    """Counts with more zeros than a likelihood of counts has: with probability π x is 0 anyway.

    The decoder emits the parameters of the counts first, and then one more value a feature, the
    logit of π, as the last part of the last axis.

    Args:
        likelihood: of the counts, `Poisson()` or `NegativeBinomial()`.

    `mean` is 1 - π times the mean of the counts.

    Example:
        `keras_vae.likelihoods.ZeroInflated(keras_vae.likelihoods.NegativeBinomial())`.

    References: Lambert, Zero-Inflated Poisson Regression (1992), section 2; Lopez et al., Deep
    Generative Modeling for Single-cell Transcriptomics (2018).
    """

    def __init__(self, likelihood: Likelihood, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(likelihood, (Poisson, NegativeBinomial)):
            raise ValueError(
                "`likelihood` must be Poisson() or NegativeBinomial(), because only counts that "
                "are 0 or more have zeros to add to. "
                f"Received: likelihood={likelihood!r}"
            )
        self.likelihood = likelihood
        self.params_per_feature = likelihood.params_per_feature + 1

    def build(self, params_shape: Shape) -> None:
        *leading, last = params_shape
        counts = last // self.params_per_feature * self.likelihood.params_per_feature
        build_once(self.likelihood, (*leading, counts))

    def feature_log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        params, logit = self._split(params)
        of_count = ops.log_sigmoid(-logit) + self.likelihood.feature_log_prob(x, params)
        return ops.where(x > 0, of_count, ops.logaddexp(ops.log_sigmoid(logit), of_count))

    def mean(self, params: Tensor) -> Tensor:
        params, logit = self._split(params)
        return ops.sigmoid(-logit) * self.likelihood.mean(params)

    def sample(self, params: Tensor, seed: Seed) -> Tensor:
        params, logit = self._split(params)
        noise = random.uniform(ops.shape(logit), seed_of(seed, 0))
        counts = self.likelihood.sample(params, seed_of(seed, 1))
        return ops.where(noise < ops.sigmoid(logit), 0.0, counts)

    def _split(self, params):
        """(the parameters of the counts, the logit of the extra zeros)."""
        *counts, logit = ops.split(params, self.params_per_feature, axis=-1)
        return ops.concatenate(counts, axis=-1), logit
