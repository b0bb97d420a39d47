"""Priors p(z) over the latent code."""

import keras

from keras_vae.part import Part, register
from keras_vae.posteriors import normal_log_prob


@register
class StandardNormal(Part):
    """p(z) = N(z; 0, I).

    Example:

    ```python
    prior = keras_vae.priors.StandardNormal()
    prior.build((None, 2))                      # a VAE does this
    z = prior.sample(16, seed=keras.random.SeedGenerator(0))   # (16, 2)
    ```

    Reference: Kingma and Welling, Auto-Encoding Variational Bayes (arXiv:1312.6114), section 3.
    """

    def build(self, code_shape):
        self.latent_dim = code_shape[-1]

    def log_prob(self, z):
        """log p(z) in nats, (K, B) for z of (K, B, D)."""
        return normal_log_prob(z, 0.0, 0.0 * z)

    def sample(self, num_samples, seed, temperature=1.0):
        """Draws (num_samples, D); the standard deviation is `temperature`."""
        return temperature * keras.random.normal((num_samples, self.latent_dim), seed=seed)
