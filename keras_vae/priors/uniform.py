"""Uniform priors, of classes and on the sphere."""

import math

from keras import ops

from keras_vae import sphere
from keras_vae.part import argmax, register
from keras_vae.priors.base import Prior
from keras_vae.validation import positive_integer


@register
class UniformCategorical(Prior):
    """Independent classes, each as probable as any other: for `posteriors.Categorical`.

    Args:
        num_classes: int, those of a variable.

    Example: `keras_vae.priors.UniformCategorical(num_classes=10)`.

    Reference: Jang et al., Categorical Reparameterization with Gumbel-Softmax (arXiv:1611.01144).
    """

    def __init__(self, num_classes, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = positive_integer(num_classes, "num_classes", "those of a variable")
        self.space = f"one-hot vectors of {self.num_classes}"

    def log_prob(self, z):
        """log p(z) in nats, (K, B) for z of (K, B, D)."""
        return -math.log(self.num_classes) * ops.sum(z, axis=-1)

    def from_noise(self, noise, temperature=1.0):
        """Draws (N, D); a uniform prior is the same at every temperature."""
        scores = ops.reshape(noise, (-1, self.latent_dim // self.num_classes, self.num_classes))
        chosen = argmax(scores)  # each class is the largest equally often
        return ops.reshape(ops.one_hot(chosen, self.num_classes), (-1, self.latent_dim))


@register
class UniformSphere(Prior):
    """The uniform distribution on the sphere |z| = 1: for `posteriors.VonMisesFisher`.

    Example: `keras_vae.priors.UniformSphere()`.

    Reference: Davidson et al., Hyperspherical Variational Auto-Encoders (arXiv:1804.00891).
    """

    space = "sphere"

    def log_prob(self, z):
        """log p(z) in nats on the sphere's surface, (K, B) for z of (K, B, D)."""
        return 0.0 * z[..., 0] - sphere.log_surface(self.latent_dim)

    def from_noise(self, noise, temperature=1.0):
        """Draws (N, D); a uniform prior is the same at every temperature."""
        return sphere.unit(noise)
