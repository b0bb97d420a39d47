"""Likelihoods of whole numbers: classes and counts."""

from typing import Any

import numpy as np
from keras import ops

from keras_vae import random, validation
from keras_vae.likelihoods import draws
from keras_vae.likelihoods.base import Likelihood, share_sum
from keras_vae.likelihoods.stirling import negative_binomial_log_prob, poisson_log_prob
from keras_vae.part import argmax, register, soft_clip
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
