"""Priors p(z) over the latent code."""

import keras
from keras import ops

from keras_vae.part import Part, bounded, register
from keras_vae.posteriors import normal_log_prob
from keras_vae.validation import positive_integer


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


@register
class LearnedNormal(Part):
    """p(z) = N(z; mean, diag(variance)), both learned with the network.

    Example: `keras_vae.priors.LearnedNormal()`.

    Reference: Hoffman and Johnson, ELBO Surgery (2016), section 4.
    """

    def build(self, code_shape):
        self.latent_dim = code_shape[-1]
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

    def sample(self, num_samples, seed, temperature=1.0):
        """Draws (num_samples, D); the standard deviation is multiplied by `temperature`."""
        noise = keras.random.normal((num_samples, self.latent_dim), seed=seed)
        return self.mean + temperature * ops.exp(0.5 * self.log_variance()) * noise


@register
class NormalMixture(Part):
    """p(z) = Σ_m w_m N(z; mean_m, diag(variance_m)), all learned with the network.

    Its KL has no closed form and is estimated from the draws.

    Args:
        num_components: int, M.

    Example: `keras_vae.priors.NormalMixture(num_components=10)`.

    Reference: Dilokthanakul et al., Deep Unsupervised Clustering with Gaussian Mixture VAEs
    (arXiv:1611.02648); Tomczak and Welling (arXiv:1705.07120), section 2, "MoG".
    """

    def __init__(self, num_components=10, **kwargs):
        super().__init__(**kwargs)
        self.num_components = positive_integer(num_components, "num_components", "how many normals")

    def build(self, code_shape):
        self.latent_dim = code_shape[-1]
        shape = (self.num_components, self.latent_dim)
        self.logits = self.add_weight(name="logits", shape=shape[:1], initializer="zeros")
        self.means = self.add_weight(
            name="means", shape=shape, initializer=keras.initializers.RandomNormal(stddev=1.0)
        )
        self.raw_log_variances = self.add_weight(
            name="log_variances", shape=shape, initializer="zeros"
        )

    def log_variances(self):
        """The logarithms of the variances, (M, D)."""
        return bounded(ops.convert_to_tensor(self.raw_log_variances))

    def log_prob(self, z):
        """log p(z) in nats, (K, B) for z of (K, B, D)."""
        densities = normal_log_prob(z[..., None, :], self.means, self.log_variances())
        return ops.logsumexp(densities + ops.log_softmax(self.logits), axis=-1)

    def sample(self, num_samples, seed, temperature=1.0):
        """Draws (num_samples, D); each standard deviation is multiplied by `temperature`."""
        chosen = keras.random.categorical(self.logits[None], num_samples, seed=seed)[0]
        scales = ops.exp(0.5 * ops.take(self.log_variances(), chosen, axis=0))
        noise = keras.random.normal((num_samples, self.latent_dim), seed=seed)
        return ops.take(self.means, chosen, axis=0) + temperature * scales * noise
