"""Normal posteriors, and the density of diagonal normals."""

import math

import keras
from keras import ops

from keras_vae import random
from keras_vae.part import bounded, register
from keras_vae.posteriors.base import Posterior
from keras_vae.validation import positive_integer


def normal_log_density(z, mean, log_variance):
    """Log-density in nats of a normal, for each dimension."""
    square = ops.square(ops.subtract(z, mean)) * ops.exp(ops.negative(log_variance))
    return -0.5 * (ops.add(square, log_variance) + math.log(2 * math.pi))


def normal_log_prob(z, mean, log_variance):
    """Log-density in nats of a diagonal normal, summed over the last axis."""
    return ops.sum(normal_log_density(z, mean, log_variance), axis=-1)


def normal_log_prob_of_each(z, means, log_variances):
    """Log-density in nats of each z of (…, D) under each of M diagonal normals, (…, M).

    The square is expanded, so that no (…, M, D) is stored; its terms cancel, hence float64. JAX has
    no float64 by default, and no need: XLA never stores the differences.
    """
    if keras.backend.backend() == "jax":
        return normal_log_prob(z[..., None, :], means, log_variances)
    x, mean, log_variance = (ops.cast(a, "float64") for a in (z, means, log_variances))
    precision = ops.exp(-log_variance)
    constant = ops.sum(ops.square(mean) * precision + log_variance + math.log(2 * math.pi), axis=-1)
    powers = ops.concatenate([ops.square(x), x], axis=-1)
    factors = ops.concatenate([-0.5 * precision, mean * precision], axis=-1)
    # the operator, because `ops.matmul` rounds to float32 on torch
    return ops.cast(powers @ ops.transpose(factors) - 0.5 * constant, z.dtype)


class _Normal(Posterior):
    """Base of posteriors whose draws come `from_noise`, standard normal."""

    def mean(self, q):
        """The mean code, (B, D)."""
        return q["mean"]

    def sample(self, q, num_samples, seed):
        """`num_samples` reparameterised draws an example, (K, B, D)."""
        noise = random.normal((num_samples, *ops.shape(q["mean"])), seed, axis=1)
        return self.from_noise(q, noise)


@register
class DiagonalNormal(_Normal):
    """q(z|x) = N(z; mean(x), diag(variance(x))), the posterior of the original VAE.

    Mean and log-variance are linear in the encoder's features. The log-variance is the identity
    within ±10 and bends smoothly to stay within ±20, so that it can never overflow.

    Args:
        latent_dim: int, D, at least 1.
        linear: False where the features are mean and log-variance themselves, in turn, (B, 2D): for
            grids, whose places should not be mixed.

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

    def __init__(self, latent_dim, linear=True, **kwargs):
        super().__init__(**kwargs)
        self.latent_dim = positive_integer(latent_dim, "latent_dim", "the length of the code z")
        self.linear = linear

    def build(self, features_shape):
        if self.linear:
            self.mean_layer = self._dense(self.latent_dim, features_shape, "mean")
            self.log_variance_layer = self._dense(self.latent_dim, features_shape, "log_variance")
        elif tuple(features_shape[1:]) != (2 * self.latent_dim,):
            raise ValueError(
                f"The encoder must return {2 * self.latent_dim} features an example where "
                "`linear=False`, a mean and a log-variance for each latent dimension. "
                f"Received: encoder output shape={tuple(features_shape)}"
            )

    def call(self, features):
        if not self.linear:
            features = ops.cast(features, "float32")
            return {"mean": features[:, ::2], "log_variance": bounded(features[:, 1::2])}
        return {
            "mean": self.mean_layer(features),
            "log_variance": bounded(self.log_variance_layer(features)),
        }

    def from_noise(self, q, noise):
        """Draws (K, B, D) from standard normal noise of that shape."""
        return q["mean"] + ops.exp(0.5 * q["log_variance"]) * noise

    def log_prob(self, q, z):
        """log q(z|x) in nats, (K, B)."""
        return ops.sum(self.log_prob_per_dim(q, z), axis=-1)

    def log_prob_of_each(self, q, z):
        """log q(z|x_m) in nats, (…, M): each z of (…, D) under each of a batch of M."""
        return normal_log_prob_of_each(z, q["mean"], q["log_variance"])

    def log_prob_per_dim(self, q, z):
        """log q(z_d|x) in nats, (K, B, D)."""
        return normal_log_density(z, q["mean"], q["log_variance"])


@register
class FullNormal(_Normal):
    """q(z|x) = N(z; mean(x), L(x) L(x)ᵀ): a normal whose dimensions may be correlated.

    L is lower triangular. The logarithm of its squared diagonal is bounded like the log-variance
    of `DiagonalNormal`, its other entries are bounded by ±20 and begin as 0.

    Args:
        latent_dim: int, D; L has D² entries an example.

    Call arguments:
        features: (B, F), what the encoder returns.

    Returns a dict `q` of `mean`, (B, D), and `scale`, the matrix L, (B, D, D).

    Example: `keras_vae.posteriors.FullNormal(latent_dim=8)`.

    Reference: Kingma and Welling, An Introduction to Variational Autoencoders (arXiv:1906.02691),
    section 2.5.1.
    """

    def __init__(self, latent_dim, **kwargs):
        super().__init__(**kwargs)
        self.latent_dim = positive_integer(latent_dim, "latent_dim", "the length of the code z")

    def build(self, features_shape):
        d = self.latent_dim
        self.mean_layer = self._dense(d, features_shape, "mean")
        self.log_variance_layer = self._dense(d, features_shape, "log_variance")
        self.lower_layer = self._dense(d * d, features_shape, "lower", kernel_initializer="zeros")

    def call(self, features):
        d = self.latent_dim
        diagonal = ops.exp(0.5 * bounded(self.log_variance_layer(features)))
        lower = bounded(ops.reshape(self.lower_layer(features), (-1, d, d)))
        scale = ops.tril(lower, -1) + ops.eye(d) * diagonal[..., None]
        return {"mean": self.mean_layer(features), "scale": scale}

    def from_noise(self, q, noise):
        """Draws (K, B, D) from standard normal noise of that shape."""
        return q["mean"] + ops.einsum("bij,kbj->kbi", q["scale"], noise)

    def log_prob(self, q, z):
        """log q(z|x) in nats, (K, B)."""
        difference = z - q["mean"]
        columns = ops.transpose(ops.reshape(difference, (-1, *ops.shape(q["mean"]))), (1, 2, 0))
        whitened = ops.solve_triangular(q["scale"], columns, lower=True)
        square = ops.reshape(
            ops.transpose(ops.sum(ops.square(whitened), axis=1)), ops.shape(difference)[:-1]
        )
        constant = self.latent_dim * math.log(2 * math.pi)
        return -0.5 * (square + constant) - self.log_determinant(q)

    def log_determinant(self, q):
        """log det L, (B,)."""
        return ops.sum(ops.log(ops.diagonal(q["scale"], axis1=1, axis2=2)), axis=-1)
