"""Priors over sequences of codes."""

import math
from typing import TYPE_CHECKING, Any

import keras
from keras import layers, ops

from keras_vae.latent_space import LatentSpace
from keras_vae.part import register
from keras_vae.priors.base import Prior, ReparameterizedDistribution, one_of, uniform
from keras_vae.typing import Seed, Shape, Tensor
from keras_vae.validation import positive_integer

if TYPE_CHECKING:
    from keras_vae.quantized.quantizers import Quantizer


@register
class UniformCodes(Prior):
    """Every sequence of N codes is equally probable. The default for a `Quantizer`.

    Args:
        num_latents, num_codes: ints, those of the posterior.
    """

    def __init__(self, num_latents: int, num_codes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_latents = positive_integer(num_latents, "num_latents", "codes an example")
        self.num_codes = positive_integer(num_codes, "num_codes", "the size of the codebook")
        self.space = LatentSpace("codes", (self.num_latents, self.num_codes))

    def build(self, code_shape: Shape) -> None:
        super().build(code_shape)
        self.noise_dim = 2 * self.num_latents

    def condition_on(
        self, condition: Tensor = None, posterior: Any = None, infer: Any = None
    ) -> "CodeVectorDistribution":
        return CodeVectorDistribution(self, posterior)

    def log_prob_of(self, indices: Tensor) -> Tensor:
        """Computes log p of codes (…, N), (…)."""
        zeros = ops.zeros_like(indices[..., 0], dtype="float32")
        return zeros - self.num_latents * math.log(self.num_codes)

    def codes_from_noise(self, noise: Tensor) -> Tensor:
        """Returns codes, integers (B, N), from standard normal noise (B, 2N)."""
        pairs = ops.reshape(noise, (-1, self.num_latents, 2))
        return one_of(self.num_codes, uniform(pairs))

    def sample_codes(self, num_samples: int, seed: Seed, temperature: Any = 1.0) -> Tensor:
        """Draws codes, integers (num_samples, N).

        At any temperature above 0 the uniform distribution stays uniform.
        """
        noise = keras.random.normal((num_samples, self.noise_dim), seed=seed)
        return self.codes_from_noise(noise)


@register
class AutoregressiveCodes(UniformCodes):
    """p(codes) = Π_i p(code_i | those before), from a recurrent network: to be fitted.

    Args:
        num_latents, num_codes: ints, those of the posterior.
        units: int, width of the recurrent layer.

    Example:

    ```python
    vae = keras_vae.recipes.vq_vae((28, 28, 1))   # then compiled and trained
    prior = keras_vae.quantized.AutoregressiveCodes(49, 512)
    vae = vae.fit_prior(x, prior, learning_rate=2e-3, epochs=10)
    vae.generate(16)
    ```

    Reference: van den Oord et al. (arXiv:1711.00937), section 3.3, with a recurrent network.
    """

    def __init__(self, num_latents: int, num_codes: int, units: int = 256, **kwargs: Any) -> None:
        super().__init__(num_latents, num_codes, **kwargs)
        self.units = positive_integer(units, "units", "the width of the recurrent layer")

    def build(self, code_shape: Shape) -> None:
        super().build(code_shape)
        # one code more, which stands before the first; one vector for each place
        self.embedding = layers.Embedding(self.num_codes + 1, self.units, dtype="float32")
        self.places = layers.Embedding(self.num_latents, self.units, dtype="float32")
        self.recurrent = layers.GRU(self.units, return_sequences=True, dtype="float32")
        self.logits = layers.Dense(self.num_codes, dtype="float32")
        self.embedding.build((None, self.num_latents))
        self.places.build((self.num_latents,))
        self.recurrent.build((None, self.num_latents, self.units))
        self.logits.build((None, self.num_latents, self.units))

    def log_prob_of(self, indices: Tensor) -> Tensor:
        shape = ops.shape(indices)
        flat = ops.reshape(indices, (-1, self.num_latents))
        log_p = ops.take_along_axis(self._log_probs(flat), flat[..., None], axis=-1)[..., 0]
        return ops.reshape(ops.sum(log_p, axis=-1), shape[:-1])

    def codes_from_noise(self, noise: Tensor) -> Tensor:
        raise NotImplementedError("AutoregressiveCodes draws one code after the other")

    def sample_codes(self, num_samples: int, seed: Seed, temperature: Any = 1.0) -> Tensor:
        state = [ops.zeros((num_samples, self.units))]
        codes = [ops.full((num_samples,), self.num_codes, dtype="int32")]
        for i in range(self.num_latents):
            x = self.embedding(codes[-1]) + self.places(ops.full((1,), i, dtype="int32"))
            x, state = self.recurrent.cell(x, state)
            logits = self.logits(x) / max(temperature, 1e-6)
            codes.append(keras.random.categorical(logits, 1, dtype="int32", seed=seed)[:, 0])
        return ops.stack(codes[1:], axis=1)

    def _log_probs(self, codes):
        """Returns log p(code_i = c | those before), (B, N, num_codes)."""
        before = ops.concatenate([ops.full_like(codes[:, :1], self.num_codes), codes[:, :-1]], 1)
        x = self.embedding(before) + self.places(ops.arange(self.num_latents))
        return ops.log_softmax(self.logits(self.recurrent(x)), axis=-1)


class CodeVectorDistribution(ReparameterizedDistribution):
    """A prior of codes for the codebook of a posterior, with the methods of a prior of z."""

    def __init__(self, prior: UniformCodes, posterior: "Quantizer") -> None:
        self.prior, self.posterior = prior, posterior

    def log_prob(self, z: Tensor) -> Tensor:
        return self.prior.log_prob_of(ops.stop_gradient(self.posterior.indices(z)))

    def from_noise(self, noise: Tensor, temperature: Any = 1.0) -> Tensor:
        return self._vectors(self.prior.codes_from_noise(noise))

    def sample(self, num_samples: int, seed: Seed, temperature: Any = 1.0) -> Tensor:
        return self._vectors(self.prior.sample_codes(num_samples, seed, temperature))

    def _vectors(self, codes):
        return ops.reshape(self.posterior.vectors(codes), (-1, self.posterior.latent_dim))
