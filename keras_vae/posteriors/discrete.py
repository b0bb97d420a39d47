"""A posterior of classes."""

import keras
from keras import ops

from keras_vae import random
from keras_vae.part import argmax, bounded
from keras_vae.posteriors.base import Posterior
from keras_vae.validation import number_or_schedule, positive_integer


@keras.saving.register_keras_serializable("keras_vae", name="CategoricalPosterior")
class Categorical(Posterior):
    """`num_variables` independent classes, each one of `num_classes`, as one-hot vectors.

    The code of an example is the vectors one after the other, of length D = variables · classes.
    In training they are relaxed by Gumbel-softmax noise, so that gradients pass; in evaluation
    draws are exact one-hot vectors, and so the ELBO and `log_likelihood` are those of the discrete
    model. The prior is `priors.UniformCategorical`.

    Args:
        num_variables, num_classes: ints.
        temperature: of the relaxation, near 0 for vectors near one-hot: a positive number or a
            `keras.optimizers.schedules.LearningRateSchedule` of the optimizer's steps.
        straight_through: whether training decodes exact one-hot vectors too, with the gradient
            of the relaxed ones.

    Returns a dict `q` of `log_probs`, (B, variables, classes).

    Example:

    ```python
    cooling = keras.optimizers.schedules.ExponentialDecay(1.0, 1000, 0.9)
    posterior = keras_vae.posteriors.Categorical(20, 10, temperature=cooling)
    ```

    References: Jang et al., Categorical Reparameterization with Gumbel-Softmax
    (arXiv:1611.01144); Maddison et al., The Concrete Distribution (arXiv:1611.00712).
    """

    def __init__(
        self, num_variables, num_classes, temperature=0.5, straight_through=False, **kwargs
    ):
        super().__init__(**kwargs)
        self.num_variables = positive_integer(num_variables, "num_variables", "how many there are")
        self.num_classes = positive_integer(num_classes, "num_classes", "those of a variable")
        self.temperature = number_or_schedule(
            temperature, "temperature", "it divides the logits", positive=True
        )
        self.straight_through = straight_through
        self.latent_dim = self.num_variables * self.num_classes
        self.space = f"one-hot vectors of {self.num_classes}"

    def build(self, features_shape):
        self.logits_layer = self._dense(self.latent_dim, features_shape, "logits")

    def call(self, features):
        return self.distribution(ops.reshape(self.logits_layer(features), (-1, *self._shape)))

    def distribution(self, logits):
        """`q` of logits (B, variables, classes)."""
        return {"log_probs": ops.log_softmax(bounded(logits, 50.0, 50.0), axis=-1)}

    @property
    def _shape(self):
        return self.num_variables, self.num_classes

    def mean(self, q):
        """The most probable class of each variable, (B, D)."""
        return self._one_hot(q["log_probs"])

    def sample(self, q, num_samples, seed):
        """`num_samples` exact draws an example, (K, B, D): without a gradient."""
        return self._one_hot(self._noisy(q, num_samples, seed))

    def draw(self, q, num_samples, seed, step=None):
        """Draws (K, B, D), relaxed in training, and their log q(z|x), (K, B)."""
        noisy = self._noisy(q, num_samples, seed)
        z = self._one_hot(noisy)
        if step is not None:
            temperature = self.temperature
            temperature = temperature(step) if callable(temperature) else temperature
            relaxed = ops.reshape(ops.softmax(noisy / temperature, axis=-1), ops.shape(z))
            straight = ops.stop_gradient(z - relaxed) if self.straight_through else 0.0
            z = relaxed + straight
        return z, self.log_prob(q, z)

    def log_prob(self, q, z):
        """log q(z|x) in nats, (K, B); of relaxed z, the mean under their weights."""
        z = ops.reshape(z, (*ops.shape(z)[:-1], *self._shape))
        return ops.sum(z * q["log_probs"], axis=(-2, -1))

    def _noisy(self, q, num_samples, seed):
        noise = random.uniform((num_samples, *ops.shape(q["log_probs"])), seed, axis=1)
        return q["log_probs"] + random.gumbel(noise)

    def _one_hot(self, scores):
        chosen = ops.one_hot(argmax(scores), self.num_classes)
        return ops.reshape(chosen, (*ops.shape(scores)[:-2], self.latent_dim))
