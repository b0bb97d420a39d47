"""What all priors share, and uniform numbers from normal ones."""

import keras
from keras import ops

from keras_vae.part import Part


class FromNoise:
    """Draws as a function of standard normal noise, (N, noise_dim), given or drawn here."""

    def from_noise(self, noise, temperature=1.0):
        """Draws (N, D) from the prior, one for each row of standard normal noise."""
        raise NotImplementedError(f"{type(self).__name__} has no `from_noise`")

    def sample(self, num_samples, seed, temperature=1.0):
        """Draws (num_samples, D); `temperature` scales their standard deviation."""
        noise = keras.random.normal((num_samples, self.noise_dim), seed=seed)
        return self.from_noise(noise, temperature)


class Prior(FromNoise, Part):
    """Base of priors. A subclass gives `log_prob` and `from_noise`, or `given` that returns such.

    One whose draws are no function of normal noise gives `sample` instead of `from_noise`; then
    `export` leaves `generate` out.
    """

    space = "real"
    """Where its codes are; that of the posterior must be equal."""

    def build(self, code_shape):
        self.latent_dim = self.noise_dim = code_shape[-1]

    def given(self, vae, condition=None):
        """What has `log_prob` and `sample` for this step: the prior itself, for most.

        Args:
            vae: the model, for priors made of its encoder.
            condition: (B, C) or None.
        """
        return self

    def log_prob(self, z):
        """log p(z) in nats, (K, B) for z of (K, B, D)."""
        raise NotImplementedError

    def start_from(self, codes, seed):
        """A first guess from codes, (N, D), before `fit_prior` trains it."""


def uniform(pairs):
    """Numbers uniform in [0, 1], (…), from pairs of independent standard normal ones, (…, 2)."""
    return ops.exp(-0.5 * ops.sum(ops.square(pairs), axis=-1))


def one_of(count, level):
    """Integers below `count`, all as probable, from numbers uniform in [0, 1]."""
    return ops.minimum(ops.cast(level * count, "int32"), count - 1)
