"""The interface of likelihoods, and the check of the support."""

import math

import numpy as np
from keras import ops

from keras_vae import validation
from keras_vae.part import Part


def sum_over_example(values):
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
