"""A posterior of classes."""

from typing import Any

import keras
from keras import ops

from keras_vae import latent_space, random
from keras_vae.part import Coefficient, argmax, soft_clip
from keras_vae.posteriors.base import Posterior, float32
from keras_vae.typing import Params, Seed, Shape, Tensor
from keras_vae.validation import positive_integer


@keras.saving.register_keras_serializable("keras_vae", name="CategoricalPosterior")
class Categorical(Posterior):
    """`num_variables` independent variables, each with `num_classes` classes, as one-hot vectors.

    The code of an example concatenates the vectors, so D = num_variables · num_classes. In training
    they are relaxed by Gumbel-softmax noise, so that gradients pass. In evaluation draws are exact
    one-hot vectors, so the ELBO and `log_likelihood` are those of the discrete model. The prior
    is `priors.UniformCategorical`.

    Args:
        num_variables: Number of variables, at least 1.
        num_classes: Number of classes of each variable, at least 1.
        temperature: Temperature of the relaxation; vectors are nearly one-hot when it is near 0. A
            positive number, or a `keras.optimizers.schedules.LearningRateSchedule` of the
            optimizer's steps.
        straight_through: Whether training also decodes exact one-hot vectors, with the gradient of
            the relaxed ones.
        name, dtype: As for `Posterior`.

    Call arguments:
        features: Tensor (B, F), what the encoder returns.

    Returns:
        A dict `q` with `log_probs`, (B, num_variables, num_classes), float32.

    Raises:
        ValueError: If a number is not positive, or the encoder does not return one vector for each
            example.

    Example:

    ```python
    cooling = keras.optimizers.schedules.ExponentialDecay(1.0, 1000, 0.9)
    posterior = keras_vae.posteriors.Categorical(20, 10, temperature=cooling)
    ```

    References:
        Jang et al., Categorical Reparameterization with Gumbel-Softmax (arXiv:1611.01144); Maddison
        et al., The Concrete Distribution (arXiv:1611.00712).
    """

    temperature = Coefficient("it divides the logits", positive=True)

    def __init__(
        self,
        num_variables: int,
        num_classes: int,
        temperature: Any = 0.5,
        straight_through: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_variables = positive_integer(num_variables, "num_variables", "how many there are")
        self.num_classes = positive_integer(num_classes, "num_classes", "those of a variable")
        self.temperature = temperature
        self.straight_through = straight_through
        self.latent_dim = self.num_variables * self.num_classes
        self.space = latent_space.LatentSpace("one-hot vectors", (self.num_classes,))

    def build(self, features_shape: Shape) -> None:
        """Makes the dense layer for the logits."""
        self.logits_layer = self._dense(self.latent_dim, features_shape, "logits")

    def call(self, features: Tensor) -> Params:
        logits = float32(self.logits_layer(features))
        return self.distribution(ops.reshape(logits, (-1, *self._shape)))

    def distribution(self, logits: Tensor) -> Params:
        """Returns `q` for logits (B, num_variables, num_classes)."""
        return {"log_probs": ops.log_softmax(soft_clip(logits, 50.0, 50.0), axis=-1)}

    @property
    def _shape(self) -> tuple[int, int]:
        return self.num_variables, self.num_classes

    def mean(self, q: Params) -> Tensor:
        """Returns the most probable class of each variable, (B, D)."""
        return self._one_hot(q["log_probs"])

    def sample(self, q: Params, num_samples: int, seed: Seed) -> Tensor:
        """Draws exact one-hot samples (K, B, D), which have no gradient."""
        return self._one_hot(self._noisy(q, num_samples, seed))

    def sample_and_log_prob(
        self, q: Params, num_samples: int, seed: Seed, step: Tensor = None
    ) -> tuple[Tensor, Tensor]:
        """Draws samples (K, B, D), relaxed in training, and computes their log q(z|x), (K, B)."""
        noisy = self._noisy(q, num_samples, seed)
        z = self._one_hot(noisy)
        if step is not None:
            temperature = Categorical.temperature.at(self, step)
            relaxed = ops.reshape(ops.softmax(noisy / temperature, axis=-1), ops.shape(z))
            straight = ops.stop_gradient(z - relaxed) if self.straight_through else 0.0
            z = relaxed + straight
        return z, self.log_prob(q, z)

    def log_prob(self, q: Params, z: Tensor) -> Tensor:
        """Computes log q(z|x) in nats, (K, B); for relaxed z, the mean under their weights."""
        z = ops.reshape(z, (*ops.shape(z)[:-1], *self._shape))
        return ops.sum(z * q["log_probs"], axis=(-2, -1))

    def _noisy(self, q: Params, num_samples: int, seed: Seed) -> Tensor:
        noise = random.uniform((num_samples, *ops.shape(q["log_probs"])), seed, axis=1)
        return q["log_probs"] + random.gumbel(noise)

    def _one_hot(self, scores: Tensor) -> Tensor:
        chosen = ops.one_hot(argmax(scores), self.num_classes)
        return ops.reshape(chosen, (*ops.shape(scores)[:-2], self.latent_dim))
