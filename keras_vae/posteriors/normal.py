"""Normal posteriors."""

from typing import Any

from keras import ops

from keras_vae import normal, random
from keras_vae.part import bent_above, register, soft_clip
from keras_vae.posteriors.base import Posterior, float32, is_several
from keras_vae.posteriors.points import score_points
from keras_vae.typing import Params, Seed, Shape, Tensor
from keras_vae.validation import positive_integer


def bounded(log_variance: Tensor) -> Tensor:
    """Bends a log-variance to stay between -20 and 6; from -10 to 4 it is the same."""
    return -bent_above(-soft_clip(log_variance), -6.0, margin=2.0)


class NormalPosterior(Posterior):
    """Base class of posteriors whose samples are a function of standard normal noise.

    A subclass implements `from_noise` and `log_prob`, and returns the `mean` in `q`. A subclass
    that samples from another distribution must override `from_noise` as well, because
    `score_draws` and mixtures of posteriors use it.

    Args:
        latent_dim: Number D of latent dimensions, at least 1.
        name, dtype: As for `Posterior`.
    """

    def __init__(self, latent_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.latent_dim = positive_integer(latent_dim, "latent_dim", "the length of the code z")

    def from_noise(self, q: Params, noise: Tensor) -> Tensor:
        """Turns standard normal noise (K, B, D) into samples (K, B, D)."""
        raise NotImplementedError

    def mean(self, q: Params) -> Tensor:
        """Returns the mean of each example's posterior, (B, D)."""
        return q["mean"]

    def sample(self, q: Params, num_samples: int, seed: Seed) -> Tensor:
        """Draws reparameterised samples (K, B, D)."""
        noise = random.normal((num_samples, *ops.shape(q["mean"])), seed, axis=1)
        return self.from_noise(q, noise)

    def score_draws(self, q: Params, num_samples: int) -> tuple[Tensor, Tensor]:
        """Returns codes at fixed points of the noise, and their log density.

        The noise is that of `posteriors.score_points`, the same for every example.

        Args:
            q: Parameters, as `call` returns them.
            num_samples: Number K of points.

        Returns:
            Tuple of codes (K, B, D) and their log q(z|x), (K, B).
        """
        points = ops.convert_to_tensor(score_points(num_samples, self.latent_dim))
        noise = ops.broadcast_to(points[:, None], (num_samples, *ops.shape(q["mean"])))
        z = self.from_noise(q, noise)
        return z, self.log_prob(q, z)


@register
class DiagonalNormal(NormalPosterior):
    """q(z|x) = N(z; mean(x), diag(variance(x))), the posterior of the original VAE.

    Mean and log-variance are linear in the encoder's features. Between -10 and 4 the log-variance
    is what its layer returns; beyond, it bends smoothly to stay between -20 and 6. Without the
    upper bound a single unusual example can lift the mean loss of an epoch into the thousands.

    An encoder may also return the mean and the log-variance itself, as two tensors (B, D). They are
    used as they are, except that the log-variance is bounded, and no dense layer is made. Of three
    tensors (mean, log-variance and a sample, as in the tutorial of keras.io) the third is ignored,
    because this posterior draws its own samples.

    Args:
        latent_dim: Number D of latent dimensions, at least 1.
        linear: Set to False if the encoder returns one tensor (B, 2D) in which means and
            log-variances alternate. This suits grids, whose places should not be mixed.
        name, dtype: As for `Posterior`.

    Call arguments:
        features: Tensor (B, F), or a list of two or three tensors (B, D).

    Returns:
        A dict `q` with `mean` and `log_variance`, each (B, D) and float32.

    Raises:
        ValueError: If `latent_dim` is not a positive integer, or the encoder's output does not
            have one of these shapes.

    Example:

    ```python
    posterior = keras_vae.posteriors.DiagonalNormal(latent_dim=2)
    q = posterior(features)
    z = posterior.sample(q, num_samples=1, seed=seed_generator)   # (1, B, 2)
    ```

    Reference:
        Kingma and Welling, Auto-Encoding Variational Bayes (arXiv:1312.6114), section 3.
    """

    def __init__(self, latent_dim: int, linear: bool = True, **kwargs: Any) -> None:
        super().__init__(latent_dim, **kwargs)
        self.linear = linear

    def build(self, features_shape: Shape) -> None:
        """Makes the two dense layers, unless the encoder returns mean and log-variance."""
        if is_several(features_shape):
            self._check_heads(features_shape)
        elif self.linear:
            self.mean_layer = self._dense(self.latent_dim, features_shape, "mean")
            self.log_variance_layer = self._dense(self.latent_dim, features_shape, "log_variance")
        elif tuple(features_shape[1:]) != (2 * self.latent_dim,):
            raise ValueError(
                f"The encoder must return {2 * self.latent_dim} features an example where "
                "`linear=False`, a mean and a log-variance for each latent dimension. "
                f"Received: encoder output shape={tuple(features_shape)}"
            )

    def _check_heads(self, shapes: Shape) -> None:
        shapes = [tuple(shape) for shape in shapes]
        fits = all(len(shape) == 2 and shape[1] == self.latent_dim for shape in shapes)
        if len(shapes) not in (2, 3) or not fits:
            raise ValueError(
                "`encoder` must return one tensor of features, or a mean and a log-variance of "
                f"shape (B, {self.latent_dim}) each, optionally followed by a sample of the same "
                "shape, because the posterior takes its parameters from there. Received: "
                f"{len(shapes)} encoder outputs of shapes={shapes}"
            )

    def call(self, features: Tensor) -> Params:
        mean, log_variance = self._heads(features)
        return {"mean": float32(mean), "log_variance": bounded(float32(log_variance))}

    def _heads(self, features: Tensor) -> tuple[Tensor, Tensor]:
        if is_several(features):
            return features[0], features[1]
        if self.linear:
            return self.mean_layer(features), self.log_variance_layer(features)
        return features[:, ::2], features[:, 1::2]

    def from_noise(self, q: Params, noise: Tensor) -> Tensor:
        """Turns standard normal noise (K, B, D) into samples (K, B, D)."""
        return normal.from_noise(q["mean"], q["log_variance"], noise)

    def log_prob(self, q: Params, z: Tensor) -> Tensor:
        """Computes log q(z|x) in nats, (K, B)."""
        return ops.sum(self.log_prob_per_dim(q, z), axis=-1)

    def log_prob_of_each(self, q: Params, z: Tensor) -> Tensor:
        """Computes log q(z|x_m) in nats, (…, M), for z of (…, D) and M rows of q."""
        return normal.log_prob_of_each(z, q["mean"], q["log_variance"])

    def log_prob_per_dim(self, q: Params, z: Tensor) -> Tensor:
        """Computes log q(z_d|x) in nats, (K, B, D)."""
        return normal.log_density(z, q["mean"], q["log_variance"])


@register
class FullNormal(NormalPosterior):
    """q(z|x) = N(z; mean(x), L(x) L(x)ᵀ): a normal whose dimensions may be correlated.

    L is lower triangular. The logarithm of its squared diagonal is bounded like the log-variance
    of `DiagonalNormal`. Its other entries are bounded by ±20 and are 0 at the start.

    Args:
        latent_dim: Number D of latent dimensions; L has D² entries for each example.
        name, dtype: As for `Posterior`.

    Call arguments:
        features: Tensor (B, F), what the encoder returns.

    Returns:
        A dict `q` with `mean`, (B, D), and `scale`, the matrix L, (B, D, D), both float32.

    Raises:
        ValueError: If `latent_dim` is not a positive integer, or the encoder does not return one
            vector for each example.

    Example:

    ```python
    posterior = keras_vae.posteriors.FullNormal(latent_dim=8)
    ```

    Reference:
        Kingma and Welling, An Introduction to Variational Autoencoders (arXiv:1906.02691), section
        2.5.1.
    """

    def build(self, features_shape: Shape) -> None:
        d = self.latent_dim
        self.mean_layer = self._dense(d, features_shape, "mean")
        self.log_variance_layer = self._dense(d, features_shape, "log_variance")
        self.lower_layer = self._dense(d * d, features_shape, "lower", kernel_initializer="zeros")

    def call(self, features: Tensor) -> Params:
        d = self.latent_dim
        diagonal = ops.exp(0.5 * bounded(float32(self.log_variance_layer(features))))
        lower = soft_clip(ops.reshape(float32(self.lower_layer(features)), (-1, d, d)))
        scale = ops.tril(lower, -1) + ops.eye(d, dtype="float32") * diagonal[..., None]
        return {"mean": float32(self.mean_layer(features)), "scale": scale}

    def from_noise(self, q: Params, noise: Tensor) -> Tensor:
        """Turns standard normal noise (K, B, D) into samples (K, B, D)."""
        return q["mean"] + ops.einsum("bij,kbj->kbi", q["scale"], noise)

    def log_prob(self, q: Params, z: Tensor) -> Tensor:
        """Computes log q(z|x) in nats, (K, B)."""
        difference = z - q["mean"]
        columns = ops.transpose(ops.reshape(difference, (-1, *ops.shape(q["mean"]))), (1, 2, 0))
        whitened = ops.solve_triangular(q["scale"], columns, lower=True)
        square = ops.reshape(
            ops.transpose(ops.sum(ops.square(whitened), axis=1)), ops.shape(difference)[:-1]
        )
        constant = self.latent_dim * normal.LOG_TWO_PI
        return -0.5 * (square + constant) - self.log_determinant(q)

    def log_determinant(self, q: Params) -> Tensor:
        """Computes log det L, (B,)."""
        return ops.sum(ops.log(ops.diagonal(q["scale"], axis1=1, axis2=2)), axis=-1)
