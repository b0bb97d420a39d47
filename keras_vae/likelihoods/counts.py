"""Likelihoods of whole numbers: classes and counts."""

import math

import numpy as np
from keras import ops

from keras_vae import random, validation
from keras_vae.likelihoods.base import Likelihood, share_sum
from keras_vae.part import argmax, bounded, register


class _Counts(Likelihood):
    """Base of likelihoods of whole numbers."""

    low = 0.0

    def check_support(self, x, argument="x"):
        super().check_support(x, argument)
        if np.any(x != np.floor(x)):
            raise ValueError(
                f"`{argument}` must hold whole numbers, the support of {type(self).__name__}; "
                f"round it or choose another likelihood. Received: {argument} with fractions"
            )


@register
class Categorical(_Counts):
    """p(x=c|z) = softmax(raw)_c for each feature, x one of the classes 0 to num_classes - 1.

    Args:
        num_classes: int, C; the decoder emits C raw values for each feature.

    `mean` is the most probable class.

    Example: `keras_vae.likelihoods.Categorical(num_classes=5)`.

    Reference: Bishop, Pattern Recognition and Machine Learning, section 2.2.
    """

    def __init__(self, num_classes, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = validation.positive_integer(
            num_classes, "num_classes", "how many there are"
        )
        self.raw_per_feature, self.high = self.num_classes, self.num_classes - 1.0

    def feature_log_prob(self, x, raw):
        log_probs = ops.log_softmax(self._by_class(raw), axis=-1)
        chosen = ops.one_hot(ops.cast(x, "int32"), self.num_classes)
        return ops.sum(chosen * log_probs, axis=-1)

    def as_input(self, x):
        one_hot = ops.one_hot(ops.cast(x, "int32"), self.num_classes)
        return ops.reshape(one_hot, (*ops.shape(x)[:-1], x.shape[-1] * self.num_classes))

    def mean(self, raw):
        return ops.cast(argmax(self._by_class(raw)), "float32")

    def mixture_mean(self, raw, shares):
        """The class that is most probable under all draws together."""
        probabilities = share_sum(shares, ops.softmax(self._by_class(raw), axis=-1))
        return ops.cast(argmax(probabilities), "float32")

    def sample(self, raw, seed):
        """By the largest of the logits with Gumbel noise."""
        return self.mean(raw + random.gumbel(random.uniform(ops.shape(raw), seed)))

    def _by_class(self, raw):
        return ops.reshape(raw, (*ops.shape(raw)[:-1], -1, self.num_classes))


@register
class Poisson(_Counts):
    """Counts with the rate exp(raw).

    Example: `keras_vae.likelihoods.Poisson()`.

    Reference: Johnson, Kemp and Kotz, Univariate Discrete Distributions, chapter 4.
    """

    def feature_log_prob(self, x, raw):
        log_rate = bounded(raw)
        return x * log_rate - ops.exp(log_rate) - log_gamma(x + 1.0)

    def mean(self, raw):
        return ops.exp(bounded(raw))


@register
class NegativeBinomial(_Counts):
    """Counts more spread than a Poisson's: mean exp(raw), variance mean + mean² / dispersion.

    The dispersion is one positive number for each feature, learned with the network.

    Example: `keras_vae.likelihoods.NegativeBinomial()`.

    Reference: Lopez et al., Deep Generative Modeling for Single-cell Transcriptomics (2018).
    """

    def build(self, raw_shape):
        self.log_dispersion = self.add_weight(
            name="log_dispersion", shape=tuple(raw_shape[1:]), initializer="zeros"
        )

    def feature_log_prob(self, x, raw):
        log_mean = bounded(raw)
        log_dispersion = bounded(ops.convert_to_tensor(self.log_dispersion))
        dispersion = ops.exp(log_dispersion)
        log_total = ops.logaddexp(log_mean, log_dispersion)
        choices = log_gamma(x + dispersion) - log_gamma(dispersion) - log_gamma(x + 1.0)
        successes = dispersion * (log_dispersion - log_total) + x * (log_mean - log_total)
        return choices + successes

    def mean(self, raw):
        return ops.exp(bounded(raw))


def log_gamma(x):
    """log Γ(x) for x > 0: Stirling's series at x + 8, and the recurrence back to x."""
    y = x + 8.0
    series = 1 / (12 * y) - 1 / (360 * y**3) + 1 / (1260 * y**5)
    stirling = (y - 0.5) * ops.log(y) - y + 0.5 * math.log(2 * math.pi) + series
    return stirling - sum(ops.log(x + i) for i in range(8))
