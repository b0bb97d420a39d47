"""A posterior on the sphere."""

import math
from typing import Any

from keras import ops

from keras_vae import latent_space, random, sphere
from keras_vae.part import register, soft_clip
from keras_vae.posteriors.base import Posterior, float32
from keras_vae.typing import Params, Seed, Shape, Tensor
from keras_vae.validation import positive_integer


@register
class VonMisesFisher(Posterior):
    """q(z|x) ∝ exp(concentration(x) · direction(x)ᵀ z) on the sphere |z| = 1.

    It suits data with a direction, and it resists collapse, because the KL to the uniform prior
    depends on the concentration alone. Samples invert the distribution function of the angle on a
    fine grid, so that gradients pass through the concentration without a correction.

    Args:
        latent_dim: Number D of coordinates, at least 2; the sphere has one dimension less.
        name, dtype: As for `Posterior`.

    Call arguments:
        features: Tensor (B, F), what the encoder returns.

    Returns:
        A dict `q` with `direction`, (B, D), and `log_concentration`, (B,), both float32.

    Raises:
        ValueError: If `latent_dim` is not an integer of at least 2, or the encoder does not return
            one vector for each example.

    Example:

    ```python
    posterior = keras_vae.posteriors.VonMisesFisher(latent_dim=3)
    ```

    Reference:
        Davidson et al., Hyperspherical Variational Auto-Encoders (arXiv:1804.00891).
    """

    space = latent_space.SPHERE

    def __init__(self, latent_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.latent_dim = positive_integer(latent_dim, "latent_dim", "the length of the code z")
        if self.latent_dim < 2:
            raise ValueError(
                "`latent_dim` must be at least 2, because codes of length 1 on a line are two "
                f"points. Received: latent_dim={latent_dim}"
            )

    def build(self, features_shape: Shape) -> None:
        """Makes the dense layers for the direction and the concentration."""
        self.direction_layer = self._dense(self.latent_dim, features_shape, "direction")
        self.concentration_layer = self._dense(1, features_shape, "concentration")

    def call(self, features: Tensor) -> Params:
        concentration = soft_clip(float32(self.concentration_layer(features))[:, 0], 5.0, 5.0)
        return {
            "direction": sphere.unit(float32(self.direction_layer(features))),
            "log_concentration": math.log(self.latent_dim) + concentration,
        }

    def mean(self, q: Params) -> Tensor:
        """Returns the mean direction, (B, D)."""
        return q["direction"]

    def sample(self, q: Params, num_samples: int, seed: Seed) -> Tensor:
        """Draws reparameterised samples (K, B, D) of length 1."""
        batch, latent_dim = ops.shape(q["direction"])
        level = random.uniform((num_samples, batch), seed, axis=1)
        noise = random.normal((num_samples, batch, latent_dim), seed, axis=1)
        angle = sphere.quantile(level, q["log_concentration"], latent_dim)[..., None]
        across = noise
        for _ in range(2):  # twice: the first leaves a rounding error where little is across
            across = sphere.unit(across - _along(across, q["direction"]))
        return ops.cos(angle) * q["direction"] + ops.sin(angle) * across

    def log_prob(self, q: Params, z: Tensor) -> Tensor:
        """Computes log q(z|x) in nats on the sphere's surface, (K, B)."""
        apart = 0.5 * ops.sum(ops.square(z - q["direction"]), axis=-1)  # 1 - cos, precise near 0
        concentration = ops.exp(q["log_concentration"])
        return -concentration * apart - sphere.log_normaliser(
            q["log_concentration"], self.latent_dim
        )


def _along(x: Tensor, direction: Tensor) -> Tensor:
    """Returns the part of x along a direction of length 1."""
    return ops.sum(x * direction, axis=-1, keepdims=True) * direction
