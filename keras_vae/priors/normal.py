"""Normal priors: standard, learned, given a condition."""

import functools

import keras
import numpy as np
from keras import ops

from keras_vae.part import bounded, register
from keras_vae.posteriors import normal_log_prob
from keras_vae.priors.base import FromNoise, Prior
from keras_vae.validation import positive_integer


@register
class StandardNormal(Prior):
    """p(z) = N(z; 0, I).

    Example:

    ```python
    prior = keras_vae.priors.StandardNormal()
    prior.build((None, 2))                      # a VAE does this
    z = prior.sample(16, seed=keras.random.SeedGenerator(0))   # (16, 2)
    ```

    Reference: Kingma and Welling, Auto-Encoding Variational Bayes (arXiv:1312.6114), section 3.
    """

    def log_prob(self, z):
        """log p(z) in nats, (K, B) for z of (K, B, D)."""
        return normal_log_prob(z, 0.0, 0.0 * z)

    def from_noise(self, noise, temperature=1.0):
        """Draws (N, D); the standard deviation is `temperature`."""
        return temperature * noise


@register
class LearnedNormal(Prior):
    """p(z) = N(z; mean, diag(variance)), both learned with the network.

    Example: `keras_vae.priors.LearnedNormal()`.

    Reference: Hoffman and Johnson, ELBO Surgery (2016), section 4.
    """

    def build(self, code_shape):
        super().build(code_shape)
        self.mean = self.add_weight(name="mean", shape=(self.latent_dim,), initializer="zeros")
        self.raw_log_variance = self.add_weight(
            name="log_variance", shape=(self.latent_dim,), initializer="zeros"
        )

    def log_variance(self):
        """The logarithm of the variance, (D,)."""
        return bounded(ops.convert_to_tensor(self.raw_log_variance))

    def log_prob(self, z):
        """log p(z) in nats, (K, B) for z of (K, B, D)."""
        return normal_log_prob(z, self.mean, self.log_variance())

    def from_noise(self, noise, temperature=1.0):
        """Draws (N, D); the standard deviation is multiplied by `temperature`."""
        return self.mean + temperature * ops.exp(0.5 * self.log_variance()) * noise

    def start_from(self, codes, seed):
        self.mean.assign(codes.mean(0))
        self.raw_log_variance.assign(np.log(codes.var(0) + 1e-6))


class NormalGiven(FromNoise):
    """A diagonal normal of each example's own, with the methods of a prior."""

    def __init__(self, mean, log_variance):
        self.mean, self._log_variance = mean, log_variance
        self.noise_dim = mean.shape[-1]

    def log_variance(self):
        return self._log_variance

    def log_prob(self, z):
        return normal_log_prob(z, self.mean, self._log_variance)

    def from_noise(self, noise, temperature=1.0):
        return self.mean + temperature * ops.exp(0.5 * self._log_variance) * noise


@register
class ConditionalNormal(Prior):
    """p(z|c) = N(z; mean(c), diag(variance(c))), linear in the condition: one normal a class.

    Args:
        condition_dim: int, C, the length of the condition, or the number of classes.

    Example: `keras_vae.priors.ConditionalNormal(condition_dim=10)`.

    Reference: Sohn et al., Learning Structured Output Representation using Deep Conditional
    Generative Models (NeurIPS 2015), section 4.1.
    """

    def __init__(self, condition_dim, **kwargs):
        super().__init__(**kwargs)
        self.condition_dim = positive_integer(
            condition_dim, "condition_dim", "the length of the condition"
        )

    def build(self, code_shape):
        super().build(code_shape)
        dense = functools.partial(
            keras.layers.Dense, self.latent_dim, kernel_initializer="zeros", dtype=self.dtype_policy
        )
        self.mean_layer, self.log_variance_layer = dense(name="mean"), dense(name="log_variance")
        self.mean_layer.build((None, self.condition_dim))
        self.log_variance_layer.build((None, self.condition_dim))

    def given(self, vae, condition=None):
        """The normal of each row of the condition."""
        return NormalGiven(self.mean_layer(condition), bounded(self.log_variance_layer(condition)))

    def check_model(self, vae):
        if vae.condition_dim != self.condition_dim:
            raise ValueError(
                "`condition_dim` must be the length of the condition that the encoder or the "
                "decoder takes as its second input, because the prior gets the same one. Received: "
                f"condition_dim={self.condition_dim}, and networks for {vae.condition_dim}"
            )
