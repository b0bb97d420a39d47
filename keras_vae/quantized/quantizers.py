"""What all quantisers share, and the one whose codes are a fixed grid."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from keras import ops

from keras_vae import objectives
from keras_vae.latent_space import LatentSpace
from keras_vae.metrics import CodeUsage
from keras_vae.part import argmax, register
from keras_vae.posteriors import Posterior
from keras_vae.quantized.codes import UniformCodes
from keras_vae.typing import Params, Seed, Shape, Tensor
from keras_vae.validation import positive_integer

if TYPE_CHECKING:
    from keras_vae.model import VAE


class Quantizer(Posterior):
    """Base: features (B, N · code_dim) to N codes, each one of num_codes vectors of code_dim.

    A subclass gives `nearest`, the indices of vectors, and `vectors`, the vectors of indices.
    `sample_and_log_prob` decodes the codes in the forward pass and gives the encoder their
    gradient. With a `depth` there are so many codes a place, one after the other in z.
    """

    deterministic = True

    def _set_up(self, num_latents, num_codes, code_dim, depth=1):
        self.num_latents = positive_integer(num_latents, "num_latents", "codes an example")
        self.num_codes, self.code_dim = num_codes, code_dim
        self.length = self.num_latents * depth
        self.latent_dim = self.length * code_dim
        self.space = LatentSpace("codes", (self.length, num_codes))
        self.usage = CodeUsage(num_codes, depth)

    def build(self, features_shape: Shape) -> None:
        expected = self.num_latents * self.code_dim
        if tuple(features_shape[1:]) != (expected,):
            raise ValueError(
                f"The encoder must return {expected} features an example, the codes' "
                f"{self.num_latents} times {self.code_dim}, because they are quantised as they "
                "are: end it with a convolution of `code_dim` channels and `Flatten()`. "
                f"Received: encoder output shape={tuple(features_shape)}"
            )

    def call(self, features: Tensor) -> Params:
        features = ops.cast(features, "float32")
        return {"features": ops.reshape(features, (-1, self.num_latents, self.code_dim))}

    def check_model(self, vae: "VAE") -> None:
        if not isinstance(vae.objective, objectives.ELBO) or vae.objective.num_samples != 1:
            raise ValueError(
                "`objective` must be ELBO with one sample for a quantised posterior, because all "
                f"draws are the same. Received: objective={type(vae.objective).__name__}"
            )

    def default_prior(self) -> UniformCodes:
        return UniformCodes(self.length, self.num_codes)

    def nearest(self, features: Tensor) -> Tensor:
        """Returns the indices (…) of the codes nearest to vectors (…, code_dim)."""
        raise NotImplementedError

    def vectors(self, indices: Tensor) -> Tensor:
        """Returns the vectors (…, code_dim) of indices (…)."""
        raise NotImplementedError

    def indices(self, z: Tensor) -> Tensor:
        """Returns the codes of z, (…, D), as integers (…, N · depth)."""
        shape = (*ops.shape(z)[:-1], self.length, self.code_dim)
        return self.nearest(ops.reshape(z, shape))

    def mean(self, q: Params) -> Tensor:
        """Returns the vectors of the codes, (B, D)."""
        return self._flat(self.vectors(self.nearest(q["features"])))

    def sample(self, q: Params, num_samples: int, seed: Seed) -> Tensor:
        """Returns the vectors of the codes K times, (K, B, D): all draws are the same."""
        return ops.repeat(self.mean(q)[None], num_samples, axis=0)

    def log_prob(self, q: Params, z: Tensor) -> Tensor:
        """Computes log q(z|x), (K, B): 0, as the one z has all the mass."""
        return ops.zeros_like(z[..., 0])

    def sample_and_log_prob(
        self, q: Params, num_samples: int, seed: Seed, step: Tensor = None
    ) -> tuple[Tensor, Tensor]:
        features = q["features"]
        indices = self.nearest(features)
        codes = self.vectors(indices)
        if step is not None:
            codes = self.straight(features, codes)
        z = ops.repeat(self._flat(codes)[None], num_samples, axis=0)
        return z, self.log_prob(q, z)

    def straight(self, features: Tensor, codes: Tensor) -> Tensor:
        """Returns `codes`, with the gradient of `features`."""
        return features + ops.stop_gradient(codes - features)

    def learn(self, features: Tensor, weights: Tensor, seed: Seed) -> None:
        """Moves the codebook where it learns without a gradient; weights (B,) of the examples."""

    def update_state(self, q: Params, weights: Tensor, training: bool, seed: Seed) -> None:
        """Counts the codes that the step used, for the logs; then moves the codebook."""
        self.usage.update_state(self.nearest(q["features"]), weights)
        if training and self.trainable:
            self.learn(q["features"], weights, seed)

    def _flat(self, codes):
        return ops.reshape(codes, (-1, self.latent_dim))


@register
class FiniteScalarQuantizer(Quantizer):
    """FSQ: each feature is bounded and rounded to one of a few levels. No codebook to collapse.

    Args:
        num_latents: int, N.
        levels: the number of levels of each channel of a code, each at least 2; num_codes is their
            product.

    Example: `FiniteScalarQuantizer(num_latents=49, levels=(8, 8, 8))`, of 512 codes.

    Reference: Mentzer et al., Finite Scalar Quantization: VQ-VAE Made Simple (arXiv:2309.15505).
    """

    def __init__(self, num_latents: int, levels: Sequence[int] = (8, 8, 8), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.levels = tuple(positive_integer(n, "levels", "of a channel") for n in levels)
        if not self.levels or min(self.levels) < 2:
            raise ValueError(
                "`levels` must be one or more integers of at least 2, the levels of each channel. "
                f"Received: levels={self.levels}"
            )
        self._set_up(num_latents, math.prod(self.levels), len(self.levels))

    def call(self, features: Tensor) -> Params:
        """Bounds the features to [0, levels - 1], so that whole numbers are the codes."""
        features = super().call(features)["features"]
        return {"features": ops.sigmoid(2.0 * features) * self._top()}

    def nearest(self, features: Tensor) -> Tensor:
        """Returns the codes nearest to levels that are not rounded, as `q` has them."""
        return self._number(ops.clip(ops.round(features), 0.0, self._top()))

    def indices(self, z: Tensor) -> Tensor:
        shape = (*ops.shape(z)[:-1], self.num_latents, self.code_dim)
        return self._number(ops.round((ops.reshape(z, shape) + 1.0) * self._top() / 2.0))

    def vectors(self, indices: Tensor) -> Tensor:
        digits = [(indices // b) % n for b, n in zip(self._bases(), self.levels, strict=True)]
        return self._scaled(ops.cast(ops.stack(digits, axis=-1), "float32"))

    def straight(self, features: Tensor, codes: Tensor) -> Tensor:
        return super().straight(self._scaled(features), codes)

    def _scaled(self, levels):
        return 2.0 * levels / self._top() - 1.0

    def _top(self):
        return ops.convert_to_tensor(self.levels, "float32") - 1.0

    def _bases(self):
        return [math.prod(self.levels[:i]) for i in range(len(self.levels))]

    def _number(self, levels):
        bases = ops.convert_to_tensor(self._bases(), "int32")
        return ops.sum(ops.cast(levels, "int32") * bases, axis=-1)


def rows_of(codes: Tensor, indices: Tensor) -> Tensor:
    """Returns the rows of codes (C, d) at indices (…): (…, d), with a gradient of the codes' shape.

    On TensorFlow the gradient of `ops.take` from a variable lists one row for each index. Keras'
    Adam squares the rows of such a list before it adds them up, and then moves the variable by
    many times its rate. The gradient of a reshape is an ordinary tensor.
    """
    return ops.take(ops.reshape(codes, codes.shape), indices, axis=0)


def nearest_code(codes: Tensor, features: Tensor) -> Tensor:
    """Returns the indices of the codes (C, d) nearest to features (…, d)."""
    products = ops.matmul(features, ops.transpose(codes))
    return argmax(2.0 * products - ops.sum(ops.square(codes), axis=1))
