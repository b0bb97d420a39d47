"""A posterior of independent distributions over the codes of a learned codebook."""

import keras
from keras import layers, ops

from keras_vae.part import argmax, register
from keras_vae.posteriors import Categorical
from keras_vae.quantized.quantizers import Quantizer, nearest_code, rows_of
from keras_vae.validation import positive_integer


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

    Returns a dict `q` of `log_probs`, (B, N, num_codes).

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
        num_latents,
        num_codes=512,
        code_dim=16,
        temperature=0.5,
        straight_through=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self._set_up(
            num_latents,
            positive_integer(num_codes, "num_codes", "the size of the codebook"),
            positive_integer(code_dim, "code_dim", "the length of a code's vector"),
        )
        self.straight_through = straight_through
        self.classes = Categorical(num_latents, num_codes, temperature, straight_through)

    @property
    def temperature(self):
        """The temperature of the relaxation, which may be set while the model trains."""
        return self.classes.temperature

    @temperature.setter
    def temperature(self, temperature):
        self.classes.temperature = temperature

    def build(self, features_shape):
        super().build(features_shape)
        self.logits = layers.Dense(self.num_codes, dtype="float32")
        self.logits.build((None, self.num_latents, self.code_dim))
        self.codebook = self.add_weight(
            name="codebook",
            shape=(self.num_codes, self.code_dim),
            initializer=keras.initializers.RandomNormal(1.0),
            autocast=False,
        )

    def call(self, features):
        return self.classes.distribution(self.logits(super().call(features)["features"]))

    def check_model(self, vae):
        """Any objective will do: draws differ."""

    def nearest(self, features):
        return nearest_code(self.codebook, features)

    def vectors(self, indices):
        return rows_of(self.codebook, indices)

    def mean(self, q):
        """The vectors of the most probable codes, (B, D)."""
        return self._mixed(self.classes.mean(q))

    def sample(self, q, num_samples, seed):
        """`num_samples` exact draws an example, (K, B, D): without a gradient to the encoder."""
        return self._mixed(self.classes.sample(q, num_samples, seed))

    def sample_and_log_prob(self, q, num_samples, seed, step=None):
        """Draws (K, B, D), relaxed while it is trained, and their log q(z|x), (K, B)."""
        weights, log_q = self.classes.sample_and_log_prob(q, num_samples, seed, step)
        return self._mixed(weights), log_q

    def log_prob(self, q, z):
        """log q(z|x) in nats, (K, B), of the codes whose vectors are in z."""
        one_hot = ops.one_hot(self.indices(z), self.num_codes)
        return self.classes.log_prob(q, ops.reshape(one_hot, (*ops.shape(z)[:-1], -1)))

    def update_state(self, q, weights, training, seed):
        self.usage.update_state(argmax(q["log_probs"]), weights)

    def _mixed(self, weights):
        """The codebook's vectors in these proportions (…, N · num_codes): (…, D)."""
        leading = ops.shape(weights)[:-1]
        places = ops.reshape(weights, (*leading, self.num_latents, self.num_codes))
        return ops.reshape(ops.matmul(places, self.codebook), (*leading, self.latent_dim))
