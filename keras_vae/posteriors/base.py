"""What all posteriors share."""

from typing import Any

import keras
from keras import ops

from keras_vae import latent_space, random
from keras_vae.part import Part
from keras_vae.typing import Params, Seed, Shape, Tensor


class Posterior(Part):
    """Base class of posteriors q(z|x).

    A posterior is a layer that maps the encoder's features (B, F) to the parameters `q` of B
    distributions, a dict of tensors. A subclass sets `latent_dim` and `space` and implements
    `call`, `mean`, `sample` and `log_prob`; all of them compute in float32.

    A subclass of a posterior with a registered closed-form KL keeps that form, unless it
    overrides `log_prob`, `log_prob_per_dim` or `sample_and_log_prob`. See
    `keras_vae.divergences.closed_form`.

    Args:
        name: Name of the layer.
        dtype: Dtype policy of the layers inside; `"float32"` by default, whatever the global one.

    Example:

    ```python
    @keras.saving.register_keras_serializable(package="mine")
    class Laplace(keras_vae.posteriors.Posterior):
        def __init__(self, latent_dim, **kwargs):
            super().__init__(**kwargs)
            self.latent_dim = latent_dim

        def build(self, features_shape):
            self.location = keras.layers.Dense(self.latent_dim)
            self.location.build(features_shape)

        def call(self, features):
            return {"location": self.location(features)}

        def mean(self, q):
            return q["location"]

        def sample(self, q, num_samples, seed):
            shape = (num_samples, *keras.ops.shape(q["location"]))
            centred = keras_vae.random.uniform(shape, seed, axis=1) - 0.5
            size = -keras.ops.log1p(-2 * keras.ops.abs(centred) * (1 - 1e-7))
            return q["location"] + keras.ops.sign(centred) * size

        def log_prob(self, q, z):
            distance = keras.ops.abs(z - q["location"])
            return -keras.ops.sum(distance + keras.ops.log(2.0), axis=-1)
    ```
    """

    space = latent_space.REAL
    """Set of values that a code can take; the prior must have the same."""

    deterministic = False
    """Whether all draws for an example are the same, so that methods need only one."""

    def default_prior(self) -> Any:
        """Returns the parameter-free prior for these codes, or None for the one of its space."""
        return None

    def update_state(self, q: Params, weights: Tensor, training: bool, seed: Seed) -> None:
        """Updates what the posterior counts, and in training what it learns without a gradient.

        The model calls this once a step, after it has computed the loss.

        Args:
            q: Parameters of the batch.
            weights: Sample weights (B,). Rows of weight 0 must change nothing.
            training: Whether this is a training step. What is learned must stay as it is
                otherwise, and where `trainable` is False.
            seed: Generator of this step's noise.
        """

    def mean(self, q: Params) -> Tensor:
        """Returns one code for each example that stands for q.

        Args:
            q: Parameters, as `call` returns them.

        Returns:
            Tensor (B, D).
        """
        raise NotImplementedError

    def sample(self, q: Params, num_samples: int, seed: Seed) -> Tensor:
        """Draws reparameterised samples.

        Args:
            q: Parameters, as `call` returns them.
            num_samples: Number K of samples for each example.
            seed: Integer, `keras.random.SeedGenerator` or `keras_vae.random.RowSharedSeed`. Noise
                from `keras_vae.random` takes all of them, and is right on several replicas.

        Returns:
            Tensor (K, B, D).
        """
        raise NotImplementedError

    def log_prob(self, q: Params, z: Tensor) -> Tensor:
        """Computes log q(z|x) in nats.

        Args:
            q: Parameters, as `call` returns them.
            z: Codes (K, B, D), or with any leading axes before (B, D).

        Returns:
            Tensor (K, B).
        """
        raise NotImplementedError

    def log_prob_of_each(self, q: Params, z: Tensor) -> Tensor:
        """Computes log q(z|x_m) in nats for each pair of a code and a row of `q`.

        Args:
            q: Parameters of M examples.
            z: Codes (…, D).

        Returns:
            Tensor (…, M).
        """
        return self.log_prob(q, z[..., None, :])

    def sample_and_log_prob(
        self, q: Params, num_samples: int, seed: Seed, step: Tensor = None
    ) -> tuple[Tensor, Tensor]:
        """Draws samples together with their log density.

        Args:
            q: Parameters, as `call` returns them.
            num_samples: Number K of samples for each example.
            seed: As for `sample`.
            step: The optimizer's step in training, None in evaluation.

        Returns:
            Tuple of samples (K, B, D) and their log q(z|x), (K, B).
        """
        z = self.sample(q, num_samples, seed)
        return z, self.log_prob(q, z)

    def score_draws(self, q: Params, num_samples: int) -> tuple[Tensor, Tensor]:
        """Returns fixed draws for scores that can be compared between rows.

        What a row gets depends only on its own `q`: not on a seed, the other rows, their order or
        the batch size. This method draws with noise from a fixed seed that all rows share; normal
        posteriors use `score_points` instead, which are much more accurate for as many draws.

        Args:
            q: Parameters, as `call` returns them.
            num_samples: Number K of draws for each example; a deterministic posterior gives one.

        Returns:
            Tuple of codes (K, B, D) and their log q(z|x), (K, B).
        """
        count = 1 if self.deterministic else num_samples
        return self.sample_and_log_prob(q, count, random.RowSharedSeed(0))

    def _dense(self, units, features_shape, name, **options):
        """Makes a dense layer from the features; its output must be cast with `float32`."""
        check_one_vector(features_shape, type(self).__name__)
        layer = keras.layers.Dense(units, dtype=self.dtype_policy, name=name, **options)
        layer.build(features_shape)
        return layer


def float32(x: Tensor) -> Tensor:
    """Casts to float32, in which densities are computed whatever the dtype policy."""
    return ops.cast(x, "float32")


def is_several(features: Any) -> bool:
    """Returns whether the encoder returned several tensors; works for their shapes, too."""
    if not isinstance(features, (list, tuple)):
        return False
    return not all(size is None or isinstance(size, int) for size in features)


def check_one_vector(features_shape: Shape, posterior: str) -> None:
    """Raises ValueError unless the encoder returns one vector of features for each example."""
    if is_several(features_shape):
        raise ValueError(
            f"`encoder` must return one tensor of features for the posterior {posterior}, because "
            "only DiagonalNormal takes a mean and a log-variance from the encoder. Received: "
            f"{len(features_shape)} outputs of shapes={[tuple(s) for s in features_shape]}"
        )
    if len(features_shape) != 2:
        raise ValueError(
            "The encoder must return one vector of features an example, (B, F), because the "
            "posterior is linear in it; end the encoder with `keras.layers.Flatten()`. "
            f"Received: encoder output shape={tuple(features_shape)}"
        )
