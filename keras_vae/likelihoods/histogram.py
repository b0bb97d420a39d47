"""A density that is constant within bins: for columns of any shape."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_vae import random
from keras_vae.likelihoods.base import Likelihood, share_sum
from keras_vae.part import argmax, register
from keras_vae.typing import Seed, Tensor

RARE = 1e-5
"""The least frequency of a bin that the density starts from."""
_NEVER = -1e9  # as a logit of bins that a feature does not have


@register
class Histogram(Likelihood):
    """p(x|z) of each feature as a histogram, with exponential tails at both ends.

    The decoder emits one logit for each bin, which is added to the logarithm of the bin's overall
    frequency. The density follows any shape: several modes, spikes and heavy tails. It needs a few
    thousand examples.

    Args:
        edges: one increasing sequence of numbers for each feature: the edges of its bins.
        frequencies: for each feature, how often each of its bins occurs; equal by default.

    Example: `keras_vae.likelihoods.Histogram([np.linspace(-3.0, 3.0, 33)])`.

    Reference: van den Oord et al., Pixel Recurrent Neural Networks (arXiv:1601.06759), section 5.1,
    with bins in place of pixel levels.
    """

    def __init__(
        self,
        edges: Sequence[Sequence[float]],
        frequencies: Sequence[Sequence[float]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.edges = [_increasing(own) for own in edges]
        given = frequencies or [[1.0] * (len(own) - 1) for own in self.edges]
        self.frequencies = [list(map(float, own)) for own in given]
        counts = [len(own) - 1 for own in self.edges]
        if not counts or [len(own) for own in self.frequencies] != counts:
            raise ValueError(
                "`frequencies` must have one number for each bin of each feature, because the "
                f"density starts from them. Received: {list(map(len, self.frequencies))} numbers "
                f"for {counts} bins"
            )
        if not all(0 <= number < math.inf for own in self.frequencies for number in own):
            raise ValueError(
                "`frequencies` must hold finite numbers that are not negative, because they say "
                f"how often each bin occurs. Received: frequencies={self.frequencies!r:.100}"
            )
        self.num_bins = max(counts)
        self.params_per_feature = self.num_bins + 2
        self._low, self._width = self._bins()
        self._log_frequency = self._log_frequencies()

    def _bins(self):
        """Lower edges and widths, (F, M), with bins of width 1 that nothing is in behind."""
        low = np.full((len(self.edges), self.num_bins), np.inf, "float32")
        width = np.ones_like(low)
        for row, own in enumerate(self.edges):
            low[row, : len(own) - 1], width[row, : len(own) - 1] = own[:-1], np.diff(own)
        return low, width

    def _log_frequencies(self):
        """Logarithms of the frequencies of the bins and of both tails, (F, M + 2)."""
        found = np.full((len(self.edges), self.num_bins + 2), _NEVER, "float32")
        for row, own in enumerate(self.frequencies):
            share = np.maximum(np.array(own) / max(sum(own), 1e-30), RARE)
            found[row, : len(own)] = np.log(share)
            found[row, -2:] = math.log(RARE)
        return found

    def feature_log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        x, logits = ops.convert_to_tensor(x), self._logits(params)
        inside = self._membership(x)
        log_density = ops.sum(inside * self._log_density_within(x), axis=-1)
        return log_density + ops.sum(inside * logits, axis=-1) - ops.logsumexp(logits, axis=-1)

    def _logits(self, params):
        """Of each bin and of both tails, (…, F, M + 2)."""
        shape = (*ops.shape(params)[:-1], len(self.edges), self.params_per_feature)
        return ops.reshape(params, shape) + ops.convert_to_tensor(self._log_frequency)

    def _log_probabilities(self, params):
        return ops.log_softmax(self._logits(params), axis=-1)

    def _membership(self, x):
        """One-hot, (…, F, M + 2): the bin of x, or the lower or upper tail."""
        first, last, _ = self._tails()
        reached = ops.cast(x[..., None] >= ops.convert_to_tensor(self._low), "float32")
        above = ops.cast(x >= last, "float32")[..., None]
        next_reached = ops.concatenate([reached[..., 1:], ops.zeros_like(above)], axis=-1)
        bins = (reached - next_reached) * (1.0 - above)
        return ops.concatenate([bins, ops.cast(x < first, "float32")[..., None], above], axis=-1)

    def _log_density_within(self, x):
        """Log-density of x within each bin and each tail, (…, F, M + 2)."""
        first, last, size = self._tails()
        beyond = ops.stack([ops.relu(first - x), ops.relu(x - last)], axis=-1)
        tails = -beyond / size[:, None] - ops.log(size)[:, None]
        bins = ops.zeros_like(x[..., None]) - ops.log(ops.convert_to_tensor(self._width))
        return ops.concatenate([bins, tails], axis=-1)

    def _tails(self):
        """The first and the last edge of each feature, and the mean distance of a tail, (F,) each.

        The mean distance of what lies beyond an edge is a tenth of the range.
        """
        ends = np.array([(own[0], own[-1]) for own in self.edges], "float32").T
        first, last = ops.convert_to_tensor(ends[0]), ops.convert_to_tensor(ends[1])
        return first, last, 0.1 * (last - first)

    def _within(self, share):
        """A value of each bin and each tail, (…, F, M + 2), for a share (…, F, 1) of its mass."""
        first, last, size = self._tails()
        low = ops.convert_to_tensor(np.where(np.isfinite(self._low), self._low, 0.0))
        beyond = -size[:, None] * ops.log1p(-share * (1 - 1e-7))
        tails = [first[:, None] - beyond, last[:, None] + beyond]
        bins = low + ops.convert_to_tensor(self._width) * share
        return ops.concatenate([bins, *tails], axis=-1)

    def _centres(self):
        """The mean of x within each bin and each tail, (F, M + 2)."""
        first, last, size = self._tails()
        bins = np.where(np.isfinite(self._low), self._low + 0.5 * self._width, 0.0)
        tails = ops.stack([first - size, last + size], axis=-1)
        return ops.concatenate([ops.convert_to_tensor(bins), tails], axis=-1)

    def mean(self, params: Tensor) -> Tensor:
        return ops.sum(ops.softmax(self._logits(params), axis=-1) * self._centres(), axis=-1)

    def mixture_mean(self, params: Tensor, shares: Tensor) -> Tensor:
        return share_sum(shares, self.mean(params))

    def sample(self, params: Tensor, seed: Seed) -> Tensor:
        """Draws a bin by Gumbel noise, then a value of it."""
        log_probabilities = self._log_probabilities(params)
        *leading, size = ops.shape(log_probabilities)
        noise = random.uniform((*leading, size + 1), seed)
        chosen = ops.one_hot(argmax(log_probabilities + random.gumbel(noise[..., 1:])), size)
        return ops.sum(chosen * self._within(noise[..., :1]), axis=-1)

    def example_shape(self, params_shape: tuple[int, ...]) -> tuple[int, ...]:
        shape = super().example_shape(params_shape)
        if shape[-1] != len(self.edges):
            raise ValueError(
                f"The decoder's last axis must be {len(self.edges) * self.params_per_feature}: "
                f"that is how many values the {len(self.edges)} features of `edges` need. "
                f"Received: decoder output shape={tuple(params_shape)}"
            )
        return shape


def _increasing(edges):
    """The edges of one feature as floats, or ValueError."""
    own = [float(edge) for edge in edges]
    rounded = np.array(own, "float32")
    if len(own) < 2 or not (np.all(np.isfinite(rounded)) and np.all(np.diff(rounded) > 0)):
        raise ValueError(
            "`edges` must be finite, increase in float32 and leave at least one bin for each "
            "feature, because the density is constant within each. "
            f"Received: {len(own)} edges {own!r:.100}"
        )
    return own
