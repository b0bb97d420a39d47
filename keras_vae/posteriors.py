"""Posteriors q(z|x): from the encoder's features to draws of the latent code.

Shapes: K draws, B examples, D latent dimensions; draws are (K, B, D), log-densities (K, B).
"""

import math

import keras
from keras import ops

from keras_vae import random
from keras_vae.part import Part, bounded, register
from keras_vae.validation import positive_integer


def normal_log_prob(z, mean, log_variance):
    """Log-density in nats of a diagonal normal, summed over the last axis."""
    square = ops.square(z - mean) * ops.exp(-log_variance)
    return -0.5 * ops.sum(square + log_variance + math.log(2 * math.pi), axis=-1)


@register
class DiagonalNormal(Part):
    """q(z|x) = N(z; mean(x), diag(variance(x))), the posterior of the original VAE.

    Mean and log-variance are linear in the encoder's features. The log-variance is the identity
    within ±10 and bends smoothly to stay within ±20, so that it can never overflow.

    Args:
        latent_dim: int, D, at least 1.

    Call arguments:
        features: (B, F), what the encoder returns.

    Returns a dict `q` of `mean` and `log_variance`, each (B, D).

    Example:

    ```python
    posterior = keras_vae.posteriors.DiagonalNormal(latent_dim=2)
    q = posterior(features)
    z = posterior.sample(q, num_samples=1, seed=seed_generator)   # (1, B, 2)
    ```

    Reference: Kingma and Welling, Auto-Encoding Variational Bayes (arXiv:1312.6114), section 3.
    """

    def __init__(self, latent_dim, **kwargs):
        super().__init__(**kwargs)
        self.latent_dim = positive_integer(latent_dim, "latent_dim", "the length of the code z")

    def build(self, features_shape):
        if len(features_shape) != 2:
            raise ValueError(
                "The encoder must return one vector of features an example, (B, F), because the "
                "posterior is linear in it; end the encoder with `keras.layers.Flatten()`. "
                f"Received: encoder output shape={tuple(features_shape)}"
            )
        self.mean_layer = keras.layers.Dense(self.latent_dim, dtype=self.dtype_policy, name="mean")
        self.log_variance_layer = keras.layers.Dense(
            self.latent_dim, dtype=self.dtype_policy, name="log_variance"
        )
        self.mean_layer.build(features_shape)
        self.log_variance_layer.build(features_shape)

    def call(self, features):
        return {
            "mean": self.mean_layer(features),
            "log_variance": bounded(self.log_variance_layer(features)),
        }

    def mean(self, q):
        """The mean code, (B, D)."""
        return q["mean"]

    def sample(self, q, num_samples, seed):
        """`num_samples` reparameterised draws an example, (K, B, D)."""
        batch, latent_dim = ops.shape(q["mean"])
        noise = random.normal((num_samples, batch, latent_dim), seed, axis=1)
        return q["mean"] + ops.exp(0.5 * q["log_variance"]) * noise

    def log_prob(self, q, z):
        """log q(z|x) in nats, (K, B)."""
        return normal_log_prob(z, q["mean"], q["log_variance"])
