"""Uniform priors: over classes and on the sphere."""

import math
from typing import Any

from keras import ops

from keras_vae import latent_space, sphere
from keras_vae.part import argmax, register
from keras_vae.priors.base import Prior
from keras_vae.typing import Tensor
from keras_vae.validation import positive_integer


@register
class UniformCategorical(Prior):
    """Independent variables whose classes are equally probable, for `posteriors.Categorical`.

    Args:
        num_classes: Number of classes of each variable, at least 1.
        name, dtype: As for `Prior`.

    Raises:
        ValueError: If `num_classes` is not a positive integer.

    Example:

    ```python
    prior = keras_vae.priors.UniformCategorical(num_classes=10)
    ```

    Reference:
        Jang et al., Categorical Reparameterization with Gumbel-Softmax (arXiv:1611.01144).
    """

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = positive_integer(num_classes, "num_classes", "those of a variable")
        self.space = latent_space.LatentSpace("one-hot vectors", (self.num_classes,))

    def log_prob(self, z: Tensor) -> Tensor:
        """Computes log p(z) in nats, (K, B) for z of (K, B, D)."""
        return -math.log(self.num_classes) * ops.sum(z, axis=-1)

    def from_noise(self, noise: Tensor, temperature: Any = 1.0) -> Tensor:
        """Turns noise into samples (N, D); `temperature` does not change a uniform prior."""
        scores = ops.reshape(noise, (-1, self.latent_dim // self.num_classes, self.num_classes))
        chosen = argmax(scores)  # each class is the largest equally often
        return ops.reshape(ops.one_hot(chosen, self.num_classes), (-1, self.latent_dim))


@register
class UniformSphere(Prior):
    """The uniform distribution on the sphere |z| = 1, for `posteriors.VonMisesFisher`.

    Args:
        name, dtype: As for `Prior`.

    Example:

    ```python
    prior = keras_vae.priors.UniformSphere()
    ```

    Reference:
        Davidson et al., Hyperspherical Variational Auto-Encoders (arXiv:1804.00891).
    """

    space = latent_space.SPHERE

    def log_prob(self, z: Tensor) -> Tensor:
        """Computes log p(z) in nats on the sphere's surface, (K, B) for z of (K, B, D)."""
        return ops.zeros_like(z[..., 0]) - sphere.log_surface(self.latent_dim)

    def from_noise(self, noise: Tensor, temperature: Any = 1.0) -> Tensor:
        """Turns noise into samples (N, D); `temperature` does not change a uniform prior."""
        return sphere.unit(noise)
