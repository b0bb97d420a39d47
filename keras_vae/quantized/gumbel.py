"""A posterior of independent distributions over the codes of a learned codebook."""

from typing import TYPE_CHECKING, Any

import keras
from keras import layers, ops

from keras_vae.part import argmax, register
from keras_vae.posteriors import Categorical
from keras_vae.quantized.quantizers import Quantizer, nearest_code, rows_of
from keras_vae.typing import Params, ScheduledNumber, Seed, Shape, Tensor
from keras_vae.validation import positive_integer

if TYPE_CHECKING:
    from keras_vae.model import VAE


@register
class GumbelQuantizer(Quantizer):
    """Gumbel-VQ: at each of N places a distribution over `num_codes` learned vectors.

    Where a `VectorQuantizer` puts all its mass on the nearest code, this one draws, and learns by
    the gradient of the ELBO alone: it needs no `Commitment`, and its KL under the uniform prior is
    what the codes tell, at most N log num_codes nats. Begin with a warm-up of beta, as below: under
    the whole KL from the first step they tell nothing. In training the decoder gets a mean of all
    vectors, weighted by Gumbel-softmax noise; in evaluation, exact draws. The vectors are told
    apart by their values: codes of equal vectors count as one.

    Args:
        num_latents: int, N, such as the height times the width of the encoder's last grid.
        num_codes: int, the size of the codebook.
        code_dim: int, length of a code's vector.
        temperature, straight_through: as for `posteriors.Categorical`.

    Call arguments:
        features: (B, N · code_dim); a dense layer, the same at all places, makes logits of them.

    Returns:
        A dict `q` of `log_probs`, (B, N, num_codes).

    Example:

    ```python
    warm_up = keras_vae.objectives.ELBO(beta=keras_vae.schedules.Linear(5_000))
    posterior = keras_vae.quantized.GumbelQuantizer(49)
    vae = keras_vae.recipes.vq_vae((28, 28, 1), posterior=posterior, objective=warm_up)
    ```

    References: Jang et al., Categorical Reparameterization with Gumbel-Softmax (arXiv:1611.01144);
    Ramesh et al., Zero-Shot Text-to-Image Generation (arXiv:2102.12092), section 2.1.
    """

    deterministic = False

    def __init__(
        self,
        num_latents: int,
        num_codes: int = 512,
        code_dim: int = 16,
        temperature: ScheduledNumber = 0.5,
        straight_through: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._set_up(
            num_latents,
            positive_integer(num_codes, "num_codes", "the size of the codebook"),
            positive_integer(code_dim, "code_dim", "the length of a code's vector"),
        )
        self.straight_through = straight_through
        self.classes = Categorical(num_latents, num_codes, temperature, straight_through)

    @property
    def temperature(self) -> ScheduledNumber:
        """Returns the temperature of the relaxation, which may be set while the model trains."""
        return self.classes.temperature

    @temperature.setter
    def temperature(self, temperature: ScheduledNumber) -> None:
        self.classes.temperature = temperature

    def build(self, features_shape: Shape) -> None:
        super().build(features_shape)
        self.logits = layers.Dense(self.num_codes, dtype="float32")
        self.logits.build((None, self.num_latents, self.code_dim))
        self.codebook = self.add_weight(
            name="codebook",
            shape=(self.num_codes, self.code_dim),
            initializer=keras.initializers.RandomNormal(1.0),
            autocast=False,
        )

    def call(self, features: Tensor) -> Params:
        return self.classes.distribution(self.logits(super().call(features)["features"]))

    def check_model(self, vae: "VAE") -> None:
        """Accepts any objective, because draws differ."""

    def nearest(self, features: Tensor) -> Tensor:
        return nearest_code(self.codebook, features)

    def vectors(self, indices: Tensor) -> Tensor:
        return rows_of(self.codebook, indices)

    def codes_of(self, q: Params) -> Tensor:
        return argmax(q["log_probs"])

    def mean(self, q: Params) -> Tensor:
        """Returns the vectors of the most probable codes, (B, D)."""
        return self._mixed(self.classes.mean(q))

    def sample(self, q: Params, num_samples: int, seed: Seed) -> Tensor:
        """Draws exactly, (K, B, D), without a gradient to the encoder."""
        return self._mixed(self.classes.sample(q, num_samples, seed))

    def sample_and_log_prob(
        self, q: Params, num_samples: int, seed: Seed, step: Tensor = None
    ) -> tuple[Tensor, Tensor]:
        """Draws (K, B, D), relaxed in training, and computes their log q(z|x), (K, B)."""
        weights, log_q = self.classes.sample_and_log_prob(q, num_samples, seed, step)
        return self._mixed(weights), log_q

    def log_prob(self, q: Params, z: Tensor) -> Tensor:
        """Computes log q(z|x) in nats, (K, B), of the codes whose vectors are in z."""
        one_hot = ops.one_hot(self.indices(z), self.num_codes)
        return self.classes.log_prob(q, ops.reshape(one_hot, (*ops.shape(z)[:-1], -1)))

    def _mixed(self, weights):
        """The codebook's vectors in these proportions (…, N · num_codes): (…, D)."""
        leading = ops.shape(weights)[:-1]
        places = ops.reshape(weights, (*leading, self.num_latents, self.num_codes))
        return ops.reshape(ops.matmul(places, self.codebook), (*leading, self.latent_dim))
