"""Quantisers without a codebook to learn: a few levels for each feature, or its sign."""

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from keras import ops

from keras_vae.part import register
from keras_vae.quantized.quantizers import Quantizer, unit
from keras_vae.typing import Params, Tensor
from keras_vae.validation import positive_integer

_MOST_LEVELS = 2**22  # of a channel, all codes of a place together
_MOST_BITS = 30  # of a code, which is an integer of 32 bits


@register
class FiniteScalarQuantizer(Quantizer):
    """FSQ: each feature is bounded and rounded to one of a few levels. No codebook to collapse.

    With an even number of levels, as in the paper, one of them is 0 and the largest is
    1 - 2 / levels, so that features near 0 do not lie between two levels. With `symmetric=True`
    the levels of every channel go from -1 to 1. The two are the same for an odd number; two levels
    are always -1 and 1.

    With a `depth` above 1 it is residual: each channel has levels^depth levels, and each further
    code of a place refines what those before it tell. z holds their vectors one after the other,
    and the decoder begins with their sum, as `networks.grid_decoder(…, depth=depth)` does.

    Args:
        num_latents: int, N.
        levels: the number of levels of each channel of a code, each at least 2; num_codes is their
            product.
        symmetric: whether an even number of levels is spread evenly from -1 to 1.
        depth: int, codes for each of the N.

    Example: `FiniteScalarQuantizer(num_latents=49, levels=(8, 8, 8))`, of 512 codes.

    References: Mentzer et al., Finite Scalar Quantization: VQ-VAE Made Simple (arXiv:2309.15505),
    appendix A.1; Parker et al., Scaling Transformers for Low-Bitrate High-Quality Speech Coding
    (arXiv:2411.19842), for the symmetric levels.
    """

    def __init__(
        self,
        num_latents: int,
        levels: Sequence[int] = (8, 8, 8),
        symmetric: bool = False,
        depth: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.levels = tuple(positive_integer(n, "levels", "of a channel") for n in levels)
        if not self.levels or min(self.levels) < 2:
            raise ValueError(
                "`levels` must be one or more integers of at least 2, the levels of each channel. "
                f"Received: levels={self.levels}"
            )
        self.symmetric = symmetric
        self._set_up(num_latents, math.prod(self.levels), len(self.levels), depth)
        if max(self.levels) ** self.depth > _MOST_LEVELS:
            raise ValueError(
                f"`depth` must leave a channel at most {_MOST_LEVELS} levels, because more are not "
                f"told apart in float32. Received: levels={self.levels}, depth={depth}"
            )

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Returns the quantiser of a config; the first ones were symmetric, and did not say so."""
        return super().from_config({"symmetric": True, **config})

    def call(self, features: Tensor) -> Params:
        """Bounds the features to [0, levels^depth - 1]: whole numbers are the codes."""
        features = super().call(features)["features"]
        middle, top = self._middle(), self._totals() - 1
        shift = _tensor(np.arctanh(2 * middle / top - 1))  # so that 0 goes to the middle level
        return {"features": ops.sigmoid(2.0 * (features + shift)) * _tensor(top)}

    def nearest(self, features: Tensor) -> Tensor:
        """Returns the codes (…, N · depth) nearest to levels (…, N, code_dim), as `q` has them."""
        top = _tensor(self._totals() - 1)
        whole = ops.cast(ops.clip(ops.round(features), 0.0, top), "int32")
        sizes, levels = _tensor(self._sizes(), "int32"), _tensor(self.levels, "int32")
        return self._numbers((whole[..., None, :] // sizes) % levels)

    def indices(self, z: Tensor) -> Tensor:
        shape = (*ops.shape(z)[:-1], self.num_latents, self.depth, self.code_dim)
        factors, offsets = self._scales()
        digits = (ops.reshape(z, shape) - _tensor(offsets)) / _tensor(factors)
        return self._numbers(ops.cast(ops.round(digits), "int32"))

    def vectors(self, indices: Tensor) -> Tensor:
        rows = ops.reshape(indices, (-1, self.depth))
        digits = [(rows // b) % n for b, n in zip(self._bases(), self.levels, strict=True)]
        factors, offsets = self._scales()
        vectors = ops.cast(ops.stack(digits, axis=-1), "float32") * _tensor(factors)
        return ops.reshape(vectors + _tensor(offsets), (*ops.shape(indices), self.code_dim))

    def straight(self, features: Tensor, codes: Tensor) -> Tensor:
        return super().straight(features / _tensor(self._middle()) - 1.0, codes)

    def _totals(self):
        """The levels of each channel that all codes of a place tell apart."""
        return np.array(self.levels) ** self.depth

    def _middle(self):
        """The level of each channel that stands for 0."""
        totals = self._totals()
        return np.where(self.symmetric | (totals == 2), (totals - 1) / 2, totals // 2)

    def _sizes(self):
        """How many levels a step of each code is, the coarsest first, (depth, code_dim)."""
        return np.array(self.levels) ** np.arange(self.depth)[::-1, None]

    def _scales(self):
        """Factors and offsets from the digits of each code to its vector, (depth, code_dim).

        Each code but the first is 0 in its middle; the vectors of a place add up to its level
        divided by the middle one, minus 1.
        """
        factors = self._sizes() / self._middle()
        offsets = -factors * (np.array(self.levels) - 1) / 2
        offsets[0] += (self._totals() - 1) / (2 * self._middle()) - 1
        return factors, offsets

    def _bases(self):
        return [math.prod(self.levels[:i]) for i in range(len(self.levels))]

    def _numbers(self, digits):
        """The codes (…, N · depth) of digits (…, N, depth, code_dim)."""
        numbers = ops.sum(digits * _tensor(self._bases(), "int32"), axis=-1)
        return ops.reshape(numbers, (*ops.shape(numbers)[:-2], self.length))


@register
class BinaryQuantizer(Quantizer):
    """LFQ and BSQ: each bit of a code is the sign of a feature, so that no code is looked up.

    Without `spherical` the vector of a code has entries of 1 and -1 (LFQ); give the model a
    `Commitment` and a `CodeEntropy`. With it the features of a place are scaled to length 1, and so
    is the vector of the code (BSQ); the distance of the two is bounded, and `CodeEntropy` is
    enough.

    Args:
        num_latents: int, N.
        num_bits: int, at most 30; num_codes is 2^num_bits. For more bits count each place several
            times: `BinaryQuantizer(2 * 49, 18)` gives 36 bits to each of 49 places.
        spherical: whether features and codes have length 1.

    Call arguments:
        features: (B, N · num_bits).

    Example: `BinaryQuantizer(num_latents=49, num_bits=9, spherical=True)`, of 512 codes.

    References: Yu et al., Language Model Beats Diffusion (arXiv:2310.05737), section 3.1; Zhao et
    al., Image and Video Tokenization with Binary Spherical Quantization (arXiv:2406.07548),
    section 4.
    """

    def __init__(
        self, num_latents: int, num_bits: int = 9, spherical: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.num_bits = positive_integer(num_bits, "num_bits", "the features of a code")
        if self.num_bits > _MOST_BITS:
            raise ValueError(
                f"`num_bits` must be at most {_MOST_BITS}, because a code is an integer of 32 "
                "bits; count each place several times for more bits. "
                f"Received: num_bits={num_bits}"
            )
        self.spherical = spherical
        self._set_up(num_latents, 2**self.num_bits, self.num_bits)

    @property
    def size(self) -> float:
        """Returns the absolute value of each entry of a code's vector."""
        return 1.0 / math.sqrt(self.num_bits) if self.spherical else 1.0

    def call(self, features: Tensor) -> Params:
        features = super().call(features)["features"]
        return {"features": unit(features) if self.spherical else features}

    def nearest(self, features: Tensor) -> Tensor:
        return ops.sum(ops.cast(features > 0, "int32") * _tensor(self._bits(), "int32"), axis=-1)

    def vectors(self, indices: Tensor) -> Tensor:
        bits = (indices[..., None] // _tensor(self._bits(), "int32")) % 2
        return self.size * (2.0 * ops.cast(bits, "float32") - 1.0)

    def _bits(self):
        return 2 ** np.arange(self.num_bits)


def _tensor(values, dtype="float32"):
    return ops.convert_to_tensor(np.asarray(values), dtype)
