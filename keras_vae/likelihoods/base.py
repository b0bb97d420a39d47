"""The interface of likelihoods, and the check of the support."""

import math

import numpy as np
from keras import ops

from keras_vae import validation
from keras_vae.part import Part


def sum_over_example(values):
    """Sums all but the first two axes, draws and examples."""
    return ops.sum(values, axis=tuple(range(2, len(values.shape))))


def share_sum(shares, values):
    """Σ_k shares_k values_k for shares of (K, B) and values of (K, B, …)."""
    shares = ops.reshape(shares, (*ops.shape(shares), *[1] * (len(values.shape) - 2)))
    return ops.sum(shares * ops.cast(values, "float32"), axis=0)


class Likelihood(Part):
    """Base of likelihoods: the interface, missing values, and the check of the support.

    A subclass gives `feature_log_prob` and `mean`, and `sample` if draws of x are wanted; `low` and
    `high` are the support, and `raw_per_feature` is how many raw values describe one feature (the
    last axis of the decoder's output is that many times the last axis of x).
    """

    low, high = -math.inf, math.inf
    open_support = False
    """Whether `low` and `high` themselves are outside."""
    fill = 0.0
    """A value of the support, which stands in for missing ones."""
    raw_per_feature = 1
    independent = True
    """Whether the features of x are independent given z, so that `impute` can fill each alone."""

    def feature_log_prob(self, x, raw):
        """log p(x|z) in nats of each feature, (K, B, …) with the features of x."""
        raise NotImplementedError

    def log_prob(self, x, raw, mask=None):
        """log p(x|z) in nats, (K, B).

        Args:
            x: (B, …).
            raw: (K, B, …), what the decoder emits.
            mask: None, or booleans like x: False where x is missing, which then counts for
                nothing and has no gradient.
        """
        raw = ops.convert_to_tensor(raw)
        if mask is None:
            return sum_over_example(self.feature_log_prob(ops.cast(x, "float32"), raw))
        values = self.feature_log_prob(self.filled(x, mask), raw)
        return sum_over_example(ops.where(mask, values, 0.0))

    def filled(self, x, mask):
        """x as float32, with `fill` where the mask is False."""
        return ops.where(mask, ops.cast(x, "float32"), self.fill)

    def as_input(self, x):
        """x, (…, F), as a network should see it, (…, F'): classes one-hot, numbers as they are."""
        return x

    def mean(self, raw):
        """The mean of p(x|z), in data space; any leading axes."""
        raise NotImplementedError

    def mixture_mean(self, raw, shares):
        """The mean of Σ_k shares_k p(x|z_k), (B, …), for raw of (K, B, …) and shares of (K, B)."""
        return share_sum(shares, self.mean(raw))

    def sample(self, raw, seed):
        """One draw from p(x|z) for every entry of raw, the examples on axis 0."""
        raise NotImplementedError

    def training_log_prob(self, x, raw, weights, mask=None):
        """`log_prob` of a training batch, for likelihoods that estimate something from it.

        Args:
            x, raw, mask: as in `log_prob`.
            weights: (B,) sample weights.
        """
        return self.log_prob(x, raw, mask)

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

    def raw_shape(self, example_shape):
        """The shape that a decoder must emit for examples of `example_shape`."""
        *leading, last = example_shape
        return (*leading, last * self.raw_per_feature)

    def check_support(self, x, argument="x"):
        """Raises ValueError unless all of a NumPy array lies in the support."""
        validation.check_finite(x, argument)
        low, high = float(np.min(x)), float(np.max(x))
        outside = low < self.low or high > self.high
        if outside or (self.open_support and (low == self.low or high == self.high)):
            ends = "()" if self.open_support else "[]"
            raise ValueError(
                f"`{argument}` must lie in {ends[0]}{self.low}, {self.high}{ends[1]}, the support "
                f"of {type(self).__name__}; scale it (8-bit images: `x / 255`) or choose another "
                f"likelihood. Received: {argument} with values in [{low}, {high}]"
            )
