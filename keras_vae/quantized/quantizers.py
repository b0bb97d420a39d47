"""What all quantisers share."""

from typing import TYPE_CHECKING

from keras import ops

from keras_vae import objectives
from keras_vae.latent_space import LatentSpace
from keras_vae.metrics import CodeUsage
from keras_vae.part import argmax
from keras_vae.posteriors import Posterior
from keras_vae.quantized.codes import UniformCodes
from keras_vae.typing import Params, Seed, Shape, Tensor
from keras_vae.validation import positive_integer

if TYPE_CHECKING:
    from keras_vae.model import VAE


LARGEST_SCALE = 100.0
"""Largest factor of a gradient through vectors that are scaled, for those near 0."""


class Quantizer(Posterior):
    """Base: features (B, N · code_dim) to N codes, each one of num_codes vectors of code_dim.

    A subclass gives `nearest`, the codes of features, and `vectors`, the vectors of codes.
    `sample_and_log_prob` decodes the codes in the forward pass and gives the encoder their
    gradient. With a `depth` there are so many codes a place, one after the other in z, and the sum
    of their vectors stands for the features of the place.

    To give each place several codes, each for its own part of the features (product
    quantisation), count each part as a place: `num_latents=2 * 49` splits the features of 49
    places in two.
    """

    deterministic = True

    learns_by_gradient = False
    """Whether the codebook is a weight that the optimizer moves."""

    def _set_up(self, num_latents, num_codes, code_dim, depth=1):
        self.num_latents = positive_integer(num_latents, "num_latents", "codes an example")
        self.depth = positive_integer(depth, "depth", "how many codes stand for one feature")
        self.num_codes, self.code_dim = num_codes, code_dim
        self.length = self.num_latents * self.depth
        self.latent_dim = self.length * code_dim
        self.space = LatentSpace("codes", (self.length, num_codes))
        self.usage = CodeUsage(num_codes, self.depth)

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
        """Returns the codes (…) nearest to features (…, code_dim)."""
        raise NotImplementedError

    def vectors(self, indices: Tensor) -> Tensor:
        """Returns the vectors (…, code_dim) of codes (…)."""
        raise NotImplementedError

    def codes_of(self, q: Params) -> Tensor:
        """Returns the codes of examples, integers (B, N · depth); of a distribution, its mode."""
        return self.nearest(q["features"])

    def indices(self, z: Tensor) -> Tensor:
        """Returns the codes of z, (…, D), as integers (…, N · depth)."""
        shape = (*ops.shape(z)[:-1], self.length, self.code_dim)
        return self.nearest(ops.reshape(z, shape))

    def mean(self, q: Params) -> Tensor:
        """Returns the vectors of the codes, (B, D)."""
        return self._flat(self.vectors(self.codes_of(q)))

    def sample(self, q: Params, num_samples: int, seed: Seed) -> Tensor:
        """Returns the vectors of the codes K times, (K, B, D): all draws are the same."""
        return ops.repeat(self.mean(q)[None], num_samples, axis=0)

    def log_prob(self, q: Params, z: Tensor) -> Tensor:
        """Computes log q(z|x), (K, B): 0, as the one z has all the mass."""
        return ops.zeros_like(z[..., 0])

    def sample_and_log_prob(
        self, q: Params, num_samples: int, seed: Seed, step: Tensor = None
    ) -> tuple[Tensor, Tensor]:
        codes = self.vectors(self.codes_of(q))
        if step is not None:
            codes = self.straight(q["features"], codes)
        z = ops.repeat(self._flat(codes)[None], num_samples, axis=0)
        return z, self.log_prob(q, z)

    def straight(self, features: Tensor, codes: Tensor) -> Tensor:
        """Returns `codes`, whose sums over the depth have the gradient of the features.

        Args:
            features: (B, N, code_dim).
            codes: vectors, (B, N · depth, code_dim).

        Returns:
            Tensor (B, D).
        """
        parts = ops.reshape(codes, (-1, self.num_latents, self.depth, self.code_dim))
        change = (features - ops.stop_gradient(features)) / self.depth  # 0, but for its gradient
        return self._flat(ops.stop_gradient(parts) + change[:, :, None])

    def learn(self, q: Params, weights: Tensor, seed: Seed) -> None:
        """Moves the codebook where it learns without a gradient; weights (B,) of the examples."""

    def update_state(self, q: Params, weights: Tensor, training: bool, seed: Seed) -> None:
        """Counts the codes that the step used, for the logs; then moves the codebook."""
        self.usage.update_state(self.codes_of(q), weights)
        if training and self.trainable:
            self.learn(q, weights, seed)

    def _flat(self, codes):
        return ops.reshape(codes, (-1, self.latent_dim))


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


def unit(x: Tensor) -> Tensor:
    """Returns vectors (…, d) scaled to length 1; vectors of 0 stay as they are.

    The gradient is that of the scaled vectors, but at most 100 times theirs, for vectors near 0.
    """
    inverse = ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis=-1, keepdims=True), 1e-24))
    scaled = ops.stop_gradient(x * inverse)
    across = x - scaled * ops.sum(scaled * x, axis=-1, keepdims=True)
    change = ops.stop_gradient(ops.minimum(inverse, LARGEST_SCALE)) * across
    return scaled + (change - ops.stop_gradient(change))  # 0, but for its gradient
