"""A codebook that moves as a whole: fixed random vectors times a learned matrix."""

from typing import Any

import keras
from keras import ops

from keras_vae.part import register
from keras_vae.quantized.quantizers import Quantizer
from keras_vae.quantized.vector import VectorQuantizer
from keras_vae.typing import Params, Seed, Shape, Tensor


@register
class LinearVectorQuantizer(VectorQuantizer):
    """SimVQ: the codebook is a fixed random one times a learned matrix.

    Every step moves all codes, also those that it does not use, so that none is left behind and
    none needs a restart. The matrix begins as the identity; `Commitment` and the optimizer move it.

    Args:
        num_latents, num_codes, code_dim, gradient, depth, rate_multiple: as for `VectorQuantizer`.
            With a depth each codebook has a matrix of its own.

    Call arguments:
        features: (B, N · code_dim).

    Returns:
        A dict `q` of `features`, (B, N · depth, code_dim): what each code stands for.

    Example: `LinearVectorQuantizer(num_latents=49)`, with the penalty `Commitment()`.

    Reference: Zhu et al., Addressing Representation Collapse in Vector Quantized Models with One
    Linear Layer (arXiv:2411.02038).
    """

    def __init__(
        self,
        num_latents: int,
        num_codes: int = 512,
        code_dim: int = 16,
        gradient: str = "straight_through",
        depth: int = 1,
        rate_multiple: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            num_latents,
            num_codes,
            code_dim,
            decay=None,
            restart=0.0,
            gradient=gradient,
            depth=depth,
            rate_multiple=rate_multiple,
            **kwargs,
        )

    def build(self, features_shape: Shape) -> None:
        Quantizer.build(self, features_shape)
        self.start = self.add_weight(
            name="codebook",
            shape=(self.depth, self.num_codes, self.code_dim),
            initializer=keras.initializers.RandomNormal(self.code_dim**-0.5),
            trainable=False,
            autocast=False,
        )
        self.change = self.add_weight(
            name="matrix_change",
            shape=(self.depth, self.code_dim, self.code_dim),
            initializer="zeros",
            autocast=False,
        )

    def _unscaled_codebook(self):
        further = ops.stop_gradient((self.rate_multiple - 1.0) * self.change)
        matrices = ops.eye(self.code_dim) + self.change + further
        return ops.reshape(ops.matmul(self.start, matrices), (-1, self.code_dim))

    def learn(self, q: Params, weights: Tensor, seed: Seed) -> None:
        """Leaves the random vectors as they are."""
