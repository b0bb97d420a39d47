"""A ladder seen as a posterior and as a prior; the weights are those of its `TopDown`."""

from typing import Any

import numpy as np
from keras import ops

from keras_vae import normal
from keras_vae.hierarchical.ladder import TopDown
from keras_vae.latent_space import LatentSpace
from keras_vae.posteriors import Posterior
from keras_vae.priors import Prior
from keras_vae.priors.base import ReparameterizedDistribution
from keras_vae.typing import Params, Tensor


class LadderPosterior(Posterior):
    """q(z|x) of all groups of a ladder, each given the draws above it.

    `q` holds the parameters along the draws, (K, B, D), so its density is known only there.
    """

    shares_decoder = True
    """Whether it has weights in common with the decoder."""

    def __init__(self, decoder: TopDown, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.latent_dim = decoder.latent_dim
        self.space = LatentSpace("a ladder of groups", tuple(decoder.sizes))
        self.built = True

    def mean(self, q: Params) -> Tensor:
        """Returns the posterior means of all groups, one after the other, (B, D)."""
        return q["mean"]

    def log_prob(self, q: Params, z: Tensor) -> Tensor:
        """Computes log q(z|x) in nats, (K, B), at the draws that `q` belongs to."""
        return normal.log_prob(z, q["mean"], q["log_variance"])


class LadderPrior(Prior):
    """p(z) of all groups of a ladder, each given those above it."""

    def __init__(self, decoder: TopDown, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.decoder = decoder
        self.space = LatentSpace("a ladder of groups", tuple(decoder.sizes))
        self.latent_dim = self.noise_dim = decoder.latent_dim
        self.built = True

    def condition_on(
        self, condition: Tensor = None, posterior: Any = None, infer: Any = None
    ) -> "LadderDistribution":
        return LadderDistribution(self.decoder, condition)

    def log_prob(self, z: Tensor) -> Tensor:
        """Computes log p(z) in nats, (K, B) for z of (K, B, D), without a condition."""
        return self.condition_on().log_prob(z)

    def from_noise(self, noise: Tensor, temperature: Any = 1.0) -> Tensor:
        """Draws (N, D) without a condition; one temperature, or one for each group."""
        return self.condition_on().from_noise(noise, temperature)


class LadderDistribution(ReparameterizedDistribution):
    """p(z|c) of all groups of a ladder.

    Args:
        decoder: a `TopDown`.
        condition: (B, C) or None.
    """

    def __init__(self, decoder: TopDown, condition: Tensor | None = None) -> None:
        self.decoder, self.condition = decoder, condition
        self.noise_dim = decoder.latent_dim

    def log_prob(self, z: Tensor) -> Tensor:
        """Computes log p(z) in nats, (K, B) for z of (K, B, D)."""
        draws, rows, latent_dim = ops.shape(z)
        codes = self.decoder.split(ops.reshape(z, (draws * rows, latent_dim)))
        densities = []

        def known(number, block, state, prior):
            density = normal.log_density(codes[number], *prior)
            densities.append(ops.sum(density, axis=tuple(range(1, len(density.shape)))))
            return codes[number]

        condition = self.condition
        if condition is not None:
            condition = ops.tile(condition, (draws, 1))
        self.decoder.top_down_pass(known, draws * rows, condition)
        return ops.reshape(sum(densities), (draws, rows))

    def from_noise(self, noise: Tensor, temperature: Any = 1.0) -> Tensor:
        """Draws (N, D) from standard normal noise; one temperature, or one for each group."""
        noise = self.decoder.split(noise * group_scales(self.decoder, temperature))
        drawn = []

        def draw(number, block, state, prior):
            mean, log_variance = prior
            drawn.append(normal.from_noise(mean, log_variance, noise[number]))
            return drawn[-1]

        rows = ops.shape(noise[0])[0]
        self.decoder.top_down_pass(draw, rows, self.condition)
        parts = zip(drawn, self.decoder.sizes, strict=True)
        return ops.concatenate([ops.reshape(z, (rows, size)) for z, size in parts], axis=-1)


def group_scales(decoder: TopDown, temperature: Any) -> np.ndarray:
    """Returns the factors of the noise of each dimension, (D,), from one temperature or several."""
    sizes, scales = decoder.sizes, np.ravel(temperature).astype("float32")
    if len(scales) not in (1, len(sizes)):
        raise ValueError(
            f"`temperature` must be one number, or one for each of the {len(sizes)} groups. "
            f"Received: temperature={temperature!r}"
        )
    return np.repeat(np.broadcast_to(scales, len(sizes)), sizes)
