"""Mixtures: of normals, and of posteriors."""

import math

import keras
import numpy as np
from keras import ops

from keras_vae import posteriors
from keras_vae.part import bounded, register
from keras_vae.posteriors import normal_log_prob_of_each
from keras_vae.priors.base import FromNoise, Prior, one_of, uniform
from keras_vae.validation import is_number, positive_integer


@register
class NormalMixture(Prior):
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
        super().build(code_shape)
        self.noise_dim = self.latent_dim + 2  # the last two choose the component
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
        densities = normal_log_prob_of_each(z, self.means, self.log_variances())
        return ops.logsumexp(densities + ops.log_softmax(self.logits), axis=-1)

    def from_noise(self, noise, temperature=1.0):
        """Draws (N, D); each standard deviation is multiplied by `temperature`."""
        above = uniform(noise[:, -2:])[:, None] > ops.cumsum(ops.softmax(self.logits))[:-1]
        chosen = ops.sum(ops.cast(above, "int32"), axis=-1)
        scales = ops.exp(0.5 * ops.take(self.log_variances(), chosen, axis=0))
        return ops.take(self.means, chosen, axis=0) + temperature * scales * noise[:, :-2]

    def start_from(self, codes, seed):
        """Means at random codes, variances those of all codes."""
        rows = np.random.default_rng(seed).choice(len(codes), self.num_components)
        self.means.assign(codes[rows])
        self.raw_log_variances.assign(0.0 * codes[rows] + np.log(codes.var(0) + 1e-6))


@register
class VampPrior(Prior):
    """p(z) = 1/M Σ_m q(z|u_m): the mean of the posteriors of M learned pseudo-inputs u_m.

    For posteriors `DiagonalNormal` and `FullNormal`. Pseudo-inputs begin as noise around the middle
    of `[low, high]` and stay within it; `vae.prior.pseudo_inputs.assign(x[:500])` begins with data.

    Args:
        input_shape: shape of an example.
        num_components: int, M.
        low, high: numbers, the range of x.

    Example: `keras_vae.priors.VampPrior((28, 28, 1), num_components=500)`.

    Reference: Tomczak and Welling, VAE with a VampPrior (arXiv:1705.07120), equation 9.
    """

    def __init__(self, input_shape, num_components=500, low=0.0, high=1.0, **kwargs):
        super().__init__(**kwargs)
        self.input_shape = tuple(input_shape)
        self.num_components = positive_integer(
            num_components, "num_components", "how many pseudo-inputs"
        )
        if not (is_number(low) and is_number(high) and low < high):
            raise ValueError(
                "`low` must be a number below `high`: they are the range of x. "
                f"Received: low={low!r}, high={high!r}"
            )
        self.low, self.high = float(low), float(high)

    def build(self, code_shape):
        super().build(code_shape)
        self.noise_dim = self.latent_dim + 2  # the last two choose the pseudo-input
        span = self.high - self.low
        self.pseudo_inputs = self.add_weight(
            name="pseudo_inputs",
            shape=(self.num_components, *self.input_shape),
            initializer=keras.initializers.RandomNormal(self.low + span / 2, span / 10),
        )

    def given(self, vae, condition=None):
        """The mixture for the present encoder."""
        inside = ops.clip(self.pseudo_inputs, self.low, self.high)
        return PosteriorMixture(vae.posterior, vae.posterior(vae.encoder(inside)))

    def check_model(self, vae):
        normal = (posteriors.DiagonalNormal, posteriors.FullNormal)
        if not isinstance(vae.posterior, normal) or vae.encoder_takes_condition:
            raise ValueError(
                "`prior`, a VampPrior, must go with the posterior DiagonalNormal or FullNormal and "
                "an encoder that takes x alone, because it mixes the posteriors of pseudo-inputs. "
                f"Received: posterior={type(vae.posterior).__name__}, "
                f"encoder with a condition: {vae.encoder_takes_condition}"
            )
        if vae.x_shape != self.input_shape:
            raise ValueError(
                "`input_shape` must be the shape of an example, because the pseudo-inputs go "
                f"through the encoder. Received: input_shape={self.input_shape}, and an encoder "
                f"for {vae.x_shape}"
            )


class PosteriorMixture(FromNoise):
    """The mean of M posteriors, `q` with a batch of M, with the methods of a prior."""

    def __init__(self, posterior, q):
        self.posterior, self.q = posterior, q
        self.noise_dim = posterior.latent_dim + 2

    def log_prob(self, z):
        densities = self.posterior.log_prob_of_each(self.q, z)
        return ops.logsumexp(densities, axis=-1) - math.log(self._size())

    def from_noise(self, noise, temperature=1.0):
        chosen = one_of(self._size(), uniform(noise[:, -2:]))
        q = keras.tree.map_structure(lambda values: ops.take(values, chosen, axis=0), self.q)
        return self.posterior.from_noise(q, temperature * noise[None, :, :-2])[0]

    def _size(self):
        return self.posterior.mean(self.q).shape[0]
