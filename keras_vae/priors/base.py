"""What all priors share, and uniform numbers made from normal ones."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vae import latent_space
from keras_vae.part import Part
from keras_vae.typing import Seed, Shape, Tensor


class ReparameterizedDistribution:
    """Base class of distributions that draw by mapping standard normal noise, (N, noise_dim)."""

    noise_dim: int
    """How many standard normal numbers a sample takes."""

    def from_noise(self, noise: Tensor, temperature: Any = 1.0) -> Tensor:
        """Turns standard normal noise into samples, one for each row.

        Args:
            noise: Tensor (N, noise_dim).
            temperature: Factor of the standard deviation; means and probabilities stay.

        Returns:
            Tensor (N, D).
        """
        raise NotImplementedError(f"{type(self).__name__} has no `from_noise`")

    def sample(self, num_samples: int, seed: Seed, temperature: Any = 1.0) -> Tensor:
        """Draws samples.

        Args:
            num_samples: Number N of samples.
            seed: Integer or `keras.random.SeedGenerator`.
            temperature: As for `from_noise`.

        Returns:
            Tensor (N, D).
        """
        noise = keras.random.normal((num_samples, self.noise_dim), seed=seed)
        return self.from_noise(noise, temperature)


class Prior(ReparameterizedDistribution, Part):
    """Base class of priors p(z).

    A subclass implements `log_prob` and `from_noise`, or a `condition_on` that returns an object
    with these methods. If its samples are no function of normal noise, it implements `sample`
    instead of `from_noise`; `export` then leaves `generate` out.

    A subclass of a prior with a registered closed-form KL keeps that form, unless it overrides
    `log_prob`. See `keras_vae.divergences.closed_form`.

    Args:
        name: Name of the layer.
        dtype: Dtype policy of the layers inside; `"float32"` by default, whatever the global one.

    Example:

    ```python
    @keras.saving.register_keras_serializable(package="mine")
    class Wide(keras_vae.priors.Prior):
        def log_prob(self, z):   # N(0, 2² I)
            return keras_vae.normal.log_prob(z, 0.0, 2.0 * keras.ops.log(2.0))

        def from_noise(self, noise, temperature=1.0):
            return 2.0 * temperature * noise
    ```
    """

    space = latent_space.REAL
    """Set of values that a code can take; the posterior must have the same."""

    def build(self, code_shape: Shape) -> None:
        """Takes the latent dimension from the shape of the codes, (B, D)."""
        self.latent_dim = self.noise_dim = code_shape[-1]

    def condition_on(
        self, condition: Tensor = None, posterior: Any = None, infer: Any = None
    ) -> Any:
        """Returns the distribution for this step: for most priors, the prior itself.

        Args:
            condition: Tensor (B, C) or None.
            posterior: The posterior, for priors that are made from its codes.
            infer: Function of x that returns the parameters of q(z|x), for priors that are made
                from those of pseudo-inputs.

        Returns:
            An object with `log_prob` and `sample`.
        """
        return self

    def log_prob(self, z: Tensor) -> Tensor:
        """Computes log p(z) in nats, (K, B) for z of (K, B, D)."""
        raise NotImplementedError

    def start_from(self, codes: np.ndarray, seed: int) -> None:
        """Makes a first guess from codes, before `fit_prior` trains the prior.

        Args:
            codes: NumPy array (N, D).
            seed: Integer.
        """


def uniform(pairs: Tensor) -> Tensor:
    """Returns uniform numbers in [0, 1], (…), from pairs of standard normal ones, (…, 2)."""
    return ops.exp(-0.5 * ops.sum(ops.square(pairs), axis=-1))


def one_of(count: int, level: Tensor) -> Tensor:
    """Returns integers below `count`, equally probable, from uniform numbers in [0, 1]."""
    return ops.minimum(ops.cast(level * count, "int32"), count - 1)
