"""Mixtures of normals, and of posteriors."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vae import normal, posteriors
from keras_vae.networks.checks import batch_normalizations
from keras_vae.part import register, soft_clip
from keras_vae.priors.base import Prior, ReparameterizedDistribution, one_of, uniform
from keras_vae.typing import Params, Shape, Tensor
from keras_vae.validation import is_number, positive_integer


@register
class NormalMixture(Prior):
    """p(z) = Σ_m w_m N(z; mean_m, diag(variance_m)), all learned with the network.

    Its KL has no closed form and is estimated from the draws.

    Args:
        num_components: Number M of normals, at least 1.
        name, dtype: As for `Prior`.

    Raises:
        ValueError: If `num_components` is not a positive integer.

    Example:

    ```python
    prior = keras_vae.priors.NormalMixture(num_components=10)
    ```

    References:
        Dilokthanakul et al., Deep Unsupervised Clustering with Gaussian Mixture VAEs
        (arXiv:1611.02648); Tomczak and Welling, VAE with a VampPrior (arXiv:1705.07120), section 2,
        "MoG".
    """

    def __init__(self, num_components: int = 10, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_components = positive_integer(num_components, "num_components", "how many normals")

    def build(self, code_shape: Shape) -> None:
        """Makes the weights of the components."""
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

    def log_variances(self) -> Tensor:
        """Returns the logarithms of the variances, (M, D)."""
        return soft_clip(ops.convert_to_tensor(self.raw_log_variances))

    def log_prob(self, z: Tensor) -> Tensor:
        """Computes log p(z) in nats, (K, B) for z of (K, B, D)."""
        densities = normal.log_prob_of_each(z, self.means, self.log_variances())
        return ops.logsumexp(densities + ops.log_softmax(self.logits), axis=-1)

    def from_noise(self, noise: Tensor, temperature: Any = 1.0) -> Tensor:
        """Turns noise into samples (N, D); `temperature` scales the standard deviations."""
        above = uniform(noise[:, -2:])[:, None] > ops.cumsum(ops.softmax(self.logits))[:-1]
        chosen = ops.sum(ops.cast(above, "int32"), axis=-1)
        mean = ops.take(self.means, chosen, axis=0)
        log_variance = ops.take(self.log_variances(), chosen, axis=0)
        return normal.from_noise(mean, log_variance, noise[:, :-2], temperature)

    def start_from(self, codes: np.ndarray, seed: int) -> None:
        """Puts the means at random codes and sets the variances to those of all codes."""
        rows = np.random.default_rng(seed).choice(len(codes), self.num_components)
        self.means.assign(codes[rows])
        log_variance = np.log(codes.var(0) + 1e-6)
        self.raw_log_variances.assign(np.broadcast_to(log_variance, self.means.shape))


@register
class VampPrior(Prior):
    """p(z) = 1/M Σ_m q(z|u_m): the mean of the posteriors of M learned pseudo-inputs u_m.

    It goes with the posteriors `DiagonalNormal` and `FullNormal`. Pseudo-inputs start as noise
    around the middle of `[low, high]` and stay in this range. To start from data, call
    `vae.prior.pseudo_inputs.assign(x[:500])`.

    Args:
        input_shape: Shape of an example.
        num_components: Number M of pseudo-inputs, at least 1.
        low: Smallest value of x.
        high: Largest value of x.
        name, dtype: As for `Prior`.

    Raises:
        ValueError: If `low` is not below `high`, or (when a VAE is made) the shape or the posterior
            does not fit.

    Example:

    ```python
    prior = keras_vae.priors.VampPrior((28, 28, 1), num_components=500)
    ```

    Reference:
        Tomczak and Welling, VAE with a VampPrior (arXiv:1705.07120), equation 9.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_components: int = 500,
        low: float = 0.0,
        high: float = 1.0,
        **kwargs: Any,
    ) -> None:
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

    def build(self, code_shape: Shape) -> None:
        """Makes the weights of the components."""
        super().build(code_shape)
        self.noise_dim = self.latent_dim + 2  # the last two choose the pseudo-input
        span = self.high - self.low
        self.pseudo_inputs = self.add_weight(
            name="pseudo_inputs",
            shape=(self.num_components, *self.input_shape),
            initializer=keras.initializers.RandomNormal(self.low + span / 2, span / 10),
        )

    def condition_on(
        self, condition: Tensor = None, posterior: Any = None, infer: Any = None
    ) -> "PosteriorMixture":
        """Returns the mixture for the present encoder."""
        inside = ops.clip(self.pseudo_inputs, self.low, self.high)
        return PosteriorMixture(posterior, infer(inside))

    def check_model(self, vae: Any) -> None:
        """Raises ValueError unless the posterior is normal and the encoder treats rows alone."""
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
        mixing = batch_normalizations(vae.encoder)
        if mixing:
            raise ValueError(
                "`prior`, a VampPrior, must go with an encoder without BatchNormalization, because "
                "in training it would normalise pseudo-inputs and examples by different batches; "
                f"use LayerNormalization. Received: encoder with the layers {mixing}"
            )


class PosteriorMixture(ReparameterizedDistribution):
    """The mean of M posteriors, a distribution with the methods of a prior.

    Args:
        posterior: A `posteriors.NormalPosterior`.
        q: Its parameters for M examples.

    Example:

    ```python
    p = PosteriorMixture(vae.posterior, vae.posterior(vae.encoder(x)))   # the aggregate posterior
    ```
    """

    def __init__(self, posterior: posteriors.NormalPosterior, q: Params) -> None:
        self.posterior, self.q = posterior, q
        self.noise_dim = posterior.latent_dim + 2

    def log_prob(self, z: Tensor) -> Tensor:
        """Computes the log density in nats, (K, B) for z of (K, B, D)."""
        densities = self.posterior.log_prob_of_each(self.q, z)
        return ops.logsumexp(densities, axis=-1) - math.log(self._size())

    def from_noise(self, noise: Tensor, temperature: Any = 1.0) -> Tensor:
        """Turns noise into samples (N, D); `temperature` scales the spread of each posterior."""
        chosen = one_of(self._size(), uniform(noise[:, -2:]))
        q = keras.tree.map_structure(lambda values: ops.take(values, chosen, axis=0), self.q)
        return self.posterior.from_noise(q, temperature * noise[None, :, :-2])[0]

    def _size(self) -> int:
        return self.posterior.mean(self.q).shape[0]
