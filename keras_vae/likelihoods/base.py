"""The interface of likelihoods, and the check of the support."""

import math

import numpy as np
from keras import ops

from keras_vae import random, validation
from keras_vae.part import Part
from keras_vae.typing import Seed, Tensor


def sum_over_example(values: Tensor) -> Tensor:
    """Sums all but the first two axes, draws and examples."""
    return ops.sum(values, axis=tuple(range(2, len(values.shape))))


def share_sum(shares: Tensor, values: Tensor) -> Tensor:
    """Returns Σ_k shares_k values_k for shares of (K, B) and values of (K, B, …)."""
    shares = ops.reshape(shares, (*ops.shape(shares), *[1] * (len(values.shape) - 2)))
    return ops.sum(shares * ops.cast(values, "float32"), axis=0)


def seed_of(seed: Seed, index: int) -> Seed:
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

    def feature_log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        """Computes log p(x|z) in nats of each feature, (K, B, …) with the features of x."""
        raise NotImplementedError

    def log_prob(self, x: Tensor, params: Tensor, mask: Tensor | None = None) -> Tensor:
        """Computes log p(x|z) in nats.

        Args:
            x: (B, …), of any dtype.
            params: (K, B, …), what the decoder emits.
            mask: None, or booleans like x: False where x is missing, which then counts for
                nothing and has no gradient.

        Returns:
            Tensor (K, B).
        """
        values = self.feature_log_prob(self.known(x, mask), ops.convert_to_tensor(params))
        return sum_over_example(values if mask is None else ops.where(mask, values, 0.0))

    def known(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Returns x as float32, with missing values filled if there is a mask."""
        return ops.cast(x, "float32") if mask is None else self.filled(x, mask)

    def filled(self, x: Tensor, mask: Tensor) -> Tensor:
        """Returns x as float32, with `fill` where the mask is False."""
        return ops.where(mask, ops.cast(x, "float32"), self.fill)

    def as_input(self, x: Tensor) -> Tensor:
        """Returns x, (…, F), as networks see it, (…, F'): classes one-hot, numbers as they are."""
        return x

    def mean(self, params: Tensor) -> Tensor:
        """Returns the mean of p(x|z), in data space; any leading axes."""
        raise NotImplementedError

    def mixture_mean(self, params: Tensor, shares: Tensor) -> Tensor:
        """Returns the mean of the mixture Σ_k shares_k p(x|z_k).

        Args:
            params: (K, B, …), what the decoder emits for each draw.
            shares: (K, B), which add up to 1 over the draws.

        Returns:
            Tensor (B, …), in data space.
        """
        return share_sum(shares, self.mean(params))

    def sample(self, params: Tensor, seed: Seed) -> Tensor:
        """Draws x from p(x|z), once for every entry of params.

        Args:
            params: (B, …), what the decoder emits, with the examples on axis 0.
            seed: an int, or a `keras.random.SeedGenerator`, which is advanced.

        Returns:
            x as float32, in the support. N replicas draw what one device would.
        """
        raise NotImplementedError

    def training_log_prob(
        self, x: Tensor, params: Tensor, weights: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Computes `log_prob` of a training batch, from which a likelihood may estimate something.

        Args:
            x, params, mask: as in `log_prob`.
            weights: (B,) sample weights.

        Returns:
            Tensor (K, B).
        """
        return self.log_prob(x, params, mask)

    def example_shape(self, params_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Returns the shape of an example for a decoder that emits `params_shape`.

        Args:
            params_shape: what the decoder emits for an example, without the batch.

        Returns:
            The shape of an example, a tuple.

        Raises:
            ValueError: if a decoder of this likelihood cannot emit that shape.
        """
        *leading, last = params_shape
        if last % self.params_per_feature:
            raise ValueError(
                f"The decoder's last axis must be a multiple of {self.params_per_feature}: that is "
                f"how many values {type(self).__name__} needs for each feature. "
                f"Received: decoder output shape={tuple(params_shape)}"
            )
        return (*leading, last // self.params_per_feature)

    def params_shape(self, example_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Returns the shape that a decoder must emit for examples of `example_shape`."""
        *leading, last = example_shape
        return (*leading, last * self.params_per_feature)

    def in_support(self, x: Tensor) -> Tensor:
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
        possible = self.is_possible(x)
        return inside if possible is None else inside & possible

    def is_possible(self, x: Tensor) -> Tensor | None:
        """Returns booleans like x, False between the values of a discrete support.

        None stands for a support without gaps. The method takes NumPy arrays and tensors alike, so
        it is written with operators alone.
        """
        return None

    def to_edge(self, x: Tensor, reach: float = 0.1) -> Tensor:
        """Moves what lies outside the support by at most `reach` of its width to the edge.

        Supports without two edges of their own, and those without an order, leave x as it is.

        Args:
            x: array or tensor of any shape (`Mixed` needs its columns on the last axis).
            reach: part of the width of the support.

        Returns:
            A tensor like x.
        """
        width = self.high - self.low
        if not self.ordered or self.open_support or not math.isfinite(width):
            return x
        x = ops.convert_to_tensor(x)
        near = ops.logical_and(x >= self.low - reach * width, x <= self.high + reach * width)
        return ops.where(near, ops.clip(x, self.low, self.high), x)

    def check_support(self, x: np.ndarray, argument: str = "x") -> None:
        """Raises ValueError unless all of a NumPy array lies in the support.

        Every value is judged alone, so a large array may be checked in pieces.

        Args:
            x: NumPy array.
            argument: its name, for the message.

        Raises:
            ValueError: if a value is not finite or outside the support.
        """
        judged = _in_float32(x)
        validation.check_finite(judged, argument)
        self._check_bounds(x, float(np.min(judged)), float(np.max(judged)), argument)
        self._check_possible(judged, argument)

    def _check_bounds(self, x, low, high, argument):
        outside = low < self.low or high > self.high
        if outside or (self.open_support and (low < self.low + _TINY or high == self.high)):
            ends = "()" if self.open_support else "[]"
            scaling = "scale it (8-bit images: `x / 255`)" if self.high == 1 else "correct it"
            raise ValueError(
                f"`{argument}` must lie in {ends[0]}{self.low}, {self.high}{ends[1]}, the support "
                f"of {type(self).__name__}; {scaling} or choose another "
                f"likelihood. Received: {argument} with values in "
                f"[{float(np.min(x))}, {float(np.max(x))}]"
            )

    def _check_possible(self, x, argument):
        possible = self.is_possible(x)
        if possible is not None and not np.all(possible):
            raise ValueError(
                f"`{argument}` must hold {self.possible_values()}, the support of "
                f"{type(self).__name__}; round it or choose another likelihood. "
                f"Received: {argument} with values such as {x[~possible].ravel()[0]}"
            )

    def possible_values(self) -> str:
        """Names the values for which `is_possible` is True, for messages."""
        return "possible values"


_TINY = float(np.finfo("float32").tiny)
"""Processors round smaller numbers to 0."""
_INCLUSIVE = (ops.greater_equal, ops.less_equal)


def _in_float32(x):
    """Returns floats as float32, which is what densities see, and integers as they are."""
    if x.dtype.kind in "biu":
        return x
    with np.errstate(over="ignore"):
        return np.asarray(x, "float32")
