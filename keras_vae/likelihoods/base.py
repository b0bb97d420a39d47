"""The interface of likelihoods, and the check of the support."""

import math

import numpy as np
from keras import ops

from keras_vae import random, validation
from keras_vae.part import Part


def sum_over_example(values):
    """Sums all but the first two axes, draws and examples."""
    return ops.sum(values, axis=tuple(range(2, len(values.shape))))


def share_sum(shares, values):
    """Σ_k shares_k values_k for shares of (K, B) and values of (K, B, …)."""
    shares = ops.reshape(shares, (*ops.shape(shares), *[1] * (len(values.shape) - 2)))
    return ops.sum(shares * ops.cast(values, "float32"), axis=0)


def seed_of(seed, index):
    """Returns the seed of the `index`-th of several draws: a generator moves on by itself."""
    return random.stream(seed, index) if isinstance(seed, (int, np.integer)) else seed


class Likelihood(Part):
    """Base of likelihoods: the interface, missing values, and the check of the support.

    A subclass gives `feature_log_prob` and `mean`, and `sample` if draws of x are wanted; `low` and
    `high` are the support, and `params_per_feature` is how many parameters describe one feature
    (the last axis of the decoder's output is that many times the last axis of x).
    """

    low, high = -math.inf, math.inf
    open_support = False
    """Whether `low` and `high` themselves are outside."""
    ordered = True
    """Whether a value just outside `low` and `high` is much like the nearer of them."""
    fill = 0.0
    """A value of the support, which stands in for missing ones."""
    params_per_feature = 1
    independent = True
    """Whether the features of x are independent given z, so that `impute` can fill each alone."""

    def feature_log_prob(self, x, params):
        """log p(x|z) in nats of each feature, (K, B, …) with the features of x."""
        raise NotImplementedError

    def log_prob(self, x, params, mask=None):
        """log p(x|z) in nats, (K, B).

        Args:
            x: (B, …), of any dtype.
            params: (K, B, …), what the decoder emits.
            mask: None, or booleans like x: False where x is missing, which then counts for
                nothing and has no gradient.
        """
        values = self.feature_log_prob(self.known(x, mask), ops.convert_to_tensor(params))
        return sum_over_example(values if mask is None else ops.where(mask, values, 0.0))

    def known(self, x, mask=None):
        """x as float32, with missing values filled if there is a mask."""
        return ops.cast(x, "float32") if mask is None else self.filled(x, mask)

    def filled(self, x, mask):
        """x as float32, with `fill` where the mask is False."""
        return ops.where(mask, ops.cast(x, "float32"), self.fill)

    def as_input(self, x):
        """x, (…, F), as a network should see it, (…, F'): classes one-hot, numbers as they are."""
        return x

    def mean(self, params):
        """The mean of p(x|z), in data space; any leading axes."""
        raise NotImplementedError

    def mixture_mean(self, params, shares):
        """The mean of Σ_k shares_k p(x|z_k), (B, …); params are (K, B, …), shares (K, B)."""
        return share_sum(shares, self.mean(params))

    def sample(self, params, seed):
        """Draws x from p(x|z), once for every entry of params.

        Args:
            params: (B, …), what the decoder emits, with the examples on axis 0.
            seed: an int, or a `keras.random.SeedGenerator`, which is advanced.

        Returns:
            x as float32, in the support. N replicas draw what one device would.
        """
        raise NotImplementedError

    def training_log_prob(self, x, params, weights, mask=None):
        """`log_prob` of a training batch, for likelihoods that estimate something from it.

        Args:
            x, params, mask: as in `log_prob`.
            weights: (B,) sample weights.
        """
        return self.log_prob(x, params, mask)

    def example_shape(self, params_shape):
        """The shape of an example for a decoder that emits `params_shape` (without the batch)."""
        *leading, last = params_shape
        if last % self.params_per_feature:
            raise ValueError(
                f"The decoder's last axis must be a multiple of {self.params_per_feature}: that is "
                f"how many values {type(self).__name__} needs for each feature. "
                f"Received: decoder output shape={tuple(params_shape)}"
            )
        return (*leading, last // self.params_per_feature)

    def params_shape(self, example_shape):
        """The shape that a decoder must emit for examples of `example_shape`."""
        *leading, last = example_shape
        return (*leading, last * self.params_per_feature)

    def in_support(self, x):
        """Tells which values can occur: finite, within the bounds, and a possible value there.

        Args:
            x: array or tensor of any shape (`Mixed` needs its columns on the last axis).

        Returns:
            A tensor of booleans like x. It can be traced, and judges x in float32, as the
            densities do.
        """
        x = ops.cast(ops.convert_to_tensor(x), "float32")
        above, below = (ops.greater, ops.less) if self.open_support else _INCLUSIVE
        inside = ops.logical_and(above(x, self.low), below(x, self.high))
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            inside = inside & ops.isfinite(x)
        return inside if self._takes_all_values() else inside & self.is_possible(x)

    def _takes_all_values(self):
        return type(self).is_possible is Likelihood.is_possible

    def is_possible(self, x):
        """Booleans like x: False between the values of a discrete support.

        It takes NumPy arrays and tensors alike, so it is written with operators alone.
        """
        return x == x  # False for NaN

    def to_edge(self, x, reach=0.1):
        """x with what lies outside the support by at most `reach` of its width at the edge.

        Supports without two edges of their own, and those without an order, leave x as it is.
        """
        width = self.high - self.low
        if not self.ordered or self.open_support or not math.isfinite(width):
            return x
        x = ops.convert_to_tensor(x)
        near = ops.logical_and(x >= self.low - reach * width, x <= self.high + reach * width)
        return ops.where(near, ops.clip(x, self.low, self.high), x)

    def check_support(self, x, argument="x"):
        """Raises ValueError unless all of a NumPy array lies in the support.

        Every value is judged alone, so a large array may be checked in pieces.
        """
        judged = _in_float32(x)
        validation.check_finite(judged, argument)
        self._check_bounds(x, float(np.min(judged)), float(np.max(judged)), argument)
        if not self._takes_all_values():
            self._check_possible(judged, argument)

    def _check_bounds(self, x, low, high, argument):
        outside = low < self.low or high > self.high
        if outside or (self.open_support and (low == self.low or high == self.high)):
            ends = "()" if self.open_support else "[]"
            raise ValueError(
                f"`{argument}` must lie in {ends[0]}{self.low}, {self.high}{ends[1]}, the support "
                f"of {type(self).__name__}; scale it (8-bit images: `x / 255`) or choose another "
                f"likelihood. Received: {argument} with values in "
                f"[{float(np.min(x))}, {float(np.max(x))}]"
            )

    def _check_possible(self, x, argument):
        possible = self.is_possible(x)
        if not np.all(possible):
            raise ValueError(
                f"`{argument}` must hold {self.possible_values()}, the support of "
                f"{type(self).__name__}; round it or choose another likelihood. "
                f"Received: {argument} with values such as {x[~possible].ravel()[0]}"
            )

    def possible_values(self):
        """Names the values for which `is_possible` is True, for messages."""
        return "possible values"


_INCLUSIVE = (ops.greater_equal, ops.less_equal)


def _in_float32(x):
    """Returns floats as float32, which is what densities see, and integers as they are."""
    if x.dtype.kind in "biu":
        return x
    with np.errstate(over="ignore"):
        return np.asarray(x, "float32")
