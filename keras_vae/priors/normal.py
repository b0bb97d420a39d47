"""Normal priors: standard, learned, and dependent on a condition."""

import functools
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vae import normal
from keras_vae.part import register, soft_clip
from keras_vae.priors.base import Prior, ReparameterizedDistribution
from keras_vae.typing import Shape, Tensor
from keras_vae.validation import positive_integer


@register
class StandardNormal(Prior):
    """p(z) = N(z; 0, I).

    Args:
        name, dtype: As for `Prior`.

    Example:

    ```python
    prior = keras_vae.priors.StandardNormal()
    prior.build((None, 2))                      # a VAE does this
    z = prior.sample(16, seed=keras.random.SeedGenerator(0))   # (16, 2)
    ```

    Reference:
        Kingma and Welling, Auto-Encoding Variational Bayes (arXiv:1312.6114), section 3.
    """

    def log_prob(self, z: Tensor) -> Tensor:
        """Computes log p(z) in nats, (K, B) for z of (K, B, D)."""
        return normal.log_prob(z, 0.0, 0.0)

    def from_noise(self, noise: Tensor, temperature: Any = 1.0) -> Tensor:
        """Turns noise into samples (N, D) with the standard deviation `temperature`."""
        return temperature * noise


@register
class LearnedNormal(Prior):
    """p(z) = N(z; mean, diag(variance)), both learned with the network.

    Args:
        name, dtype: As for `Prior`.

    Example:

    ```python
    prior = keras_vae.priors.LearnedNormal()
    ```

    Reference:
        Hoffman and Johnson, ELBO Surgery (2016), section 4.
    """

    def build(self, code_shape: Shape) -> None:
        """Makes the weights, which start at the standard normal."""
        super().build(code_shape)
        self.mean = self.add_weight(name="mean", shape=(self.latent_dim,), initializer="zeros")
        self.raw_log_variance = self.add_weight(
            name="log_variance", shape=(self.latent_dim,), initializer="zeros"
        )

    def log_variance(self) -> Tensor:
        """Returns the logarithm of the variance, (D,)."""
        return soft_clip(ops.convert_to_tensor(self.raw_log_variance))

    def log_prob(self, z: Tensor) -> Tensor:
        """Computes log p(z) in nats, (K, B) for z of (K, B, D)."""
        return normal.log_prob(z, self.mean, self.log_variance())

    def from_noise(self, noise: Tensor, temperature: Any = 1.0) -> Tensor:
        """Turns noise into samples (N, D); `temperature` scales the standard deviations."""
        return normal.from_noise(self.mean, self.log_variance(), noise, temperature)

    def start_from(self, codes: np.ndarray, seed: int) -> None:
        """Sets mean and variance to those of the codes."""
        self.mean.assign(codes.mean(0))
        self.raw_log_variance.assign(np.log(codes.var(0) + 1e-6))


class DiagonalNormalDistribution(ReparameterizedDistribution):
    """A diagonal normal with given parameters, for instance one for each example.

    It has the methods of a prior, and `divergences.kl` knows its closed form. A prior whose `given`
    computes a mean and a variance returns one.

    Args:
        mean: Tensor (B, D).
        log_variance: Logarithm of the variance, (B, D).

    Example:

    ```python
    p = keras_vae.priors.DiagonalNormalDistribution(mean, log_variance)
    p.log_prob(z)   # (K, B) for z of (K, B, D)
    ```
    """

    def __init__(self, mean: Tensor, log_variance: Tensor) -> None:
        self.mean, self._log_variance = mean, log_variance
        self.noise_dim = mean.shape[-1]

    def log_variance(self) -> Tensor:
        """Returns the logarithm of the variance, (B, D)."""
        return self._log_variance

    def log_prob(self, z: Tensor) -> Tensor:
        """Computes the log density in nats, (K, B) for z of (K, B, D)."""
        return normal.log_prob(z, self.mean, self._log_variance)

    def from_noise(self, noise: Tensor, temperature: Any = 1.0) -> Tensor:
        """Turns noise (B, D) into samples, one for each row of the parameters."""
        return normal.from_noise(self.mean, self._log_variance, noise, temperature)


@register
class ConditionalNormal(Prior):
    """p(z|c) = N(z; mean(c), diag(variance(c))), linear in the condition: one normal a class.

    Args:
        condition_dim: Length C of the condition, or the number of classes.
        name, dtype: As for `Prior`.

    Raises:
        ValueError: If `condition_dim` is not a positive integer, or (when a VAE is made) not the
            length of the condition that its networks take.

    Example:

    ```python
    prior = keras_vae.priors.ConditionalNormal(condition_dim=10)
    ```

    Reference:
        Sohn et al., Learning Structured Output Representation using Deep Conditional Generative
        Models (NeurIPS 2015), section 4.1.
    """

    def __init__(self, condition_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.condition_dim = positive_integer(
            condition_dim, "condition_dim", "the length of the condition"
        )

    def build(self, code_shape: Shape) -> None:
        """Makes the dense layers from the condition, which start at the standard normal."""
        super().build(code_shape)
        dense = functools.partial(
            keras.layers.Dense, self.latent_dim, kernel_initializer="zeros", dtype=self.dtype_policy
        )
        self.mean_layer, self.log_variance_layer = dense(name="mean"), dense(name="log_variance")
        self.mean_layer.build((None, self.condition_dim))
        self.log_variance_layer.build((None, self.condition_dim))

    def condition_on(
        self, condition: Tensor = None, posterior: Any = None, infer: Any = None
    ) -> DiagonalNormalDistribution:
        """Returns the normal of each row of the condition (B, C)."""
        mean = ops.cast(self.mean_layer(condition), "float32")
        log_variance = ops.cast(self.log_variance_layer(condition), "float32")
        return DiagonalNormalDistribution(mean, soft_clip(log_variance))

    def check_model(self, vae: Any) -> None:
        """Raises ValueError unless the networks take a condition of the same length."""
        if vae.condition_dim != self.condition_dim:
            raise ValueError(
                "`condition_dim` must be the length of the condition that the encoder or the "
                "decoder takes as its second input, because the prior gets the same one. Received: "
                f"condition_dim={self.condition_dim}, and networks for {vae.condition_dim}"
            )
