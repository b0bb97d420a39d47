"""Posteriors q(z|x): from the encoder's features to draws of the latent code.

Shapes: K draws, B examples, D latent dimensions; draws are (K, B, D), log-densities (K, B).
"""

import math

import keras
from keras import ops

from keras_vae import flows as flow_chain
from keras_vae import random, sphere
from keras_vae.part import Part, argmax, bounded, build_once, register
from keras_vae.validation import number_or_schedule, positive_integer


def normal_log_density(z, mean, log_variance):
    """Log-density in nats of a normal, for each dimension."""
    square = ops.square(z - mean) * ops.exp(-log_variance)
    return -0.5 * (square + log_variance + math.log(2 * math.pi))


def normal_log_prob(z, mean, log_variance):
    """Log-density in nats of a diagonal normal, summed over the last axis."""
    return ops.sum(normal_log_density(z, mean, log_variance), axis=-1)


def normal_log_prob_of_each(z, means, log_variances):
    """Log-density in nats of each z of (…, D) under each of M diagonal normals, (…, M).

    The square is expanded, so that no (…, M, D) is stored; its terms cancel, hence float64. JAX has
    no float64 by default, and no need: XLA never stores the differences.
    """
    if keras.backend.backend() == "jax":
        return normal_log_prob(z[..., None, :], means, log_variances)
    x, mean, log_variance = (ops.cast(a, "float64") for a in (z, means, log_variances))
    precision = ops.exp(-log_variance)
    # the operator, because `ops.matmul` rounds to float32 on torch
    square = ops.square(x) @ ops.transpose(precision)
    product = x @ ops.transpose(mean * precision)
    constant = ops.square(mean) * precision + log_variance + math.log(2 * math.pi)
    return ops.cast(product - 0.5 * (square + ops.sum(constant, axis=-1)), z.dtype)


class Posterior(Part):
    """Base of posteriors: a layer from features (B, F) to parameters `q`, a dict of tensors.

    A subclass has `latent_dim` and gives `call`, `mean`, `sample` and `log_prob`.
    """

    space = "real"
    """Where its codes are; that of the prior must be equal."""
    frozen = False
    """Whether training leaves alone what it learns without a gradient; `fit_prior` sets it."""

    def default_prior(self):
        """The parameter-free prior for its codes, or None for the standard one of its space."""
        return None

    def observe(self, q):
        """Updates the metrics of its own, once a step."""

    def mean(self, q):
        """One code an example that stands for q, (B, D)."""
        raise NotImplementedError

    def sample(self, q, num_samples, seed):
        """`num_samples` reparameterised draws an example, (K, B, D)."""
        raise NotImplementedError

    def log_prob(self, q, z):
        """log q(z|x) in nats, (K, B); any leading axes of z before (B, D)."""
        raise NotImplementedError

    def log_prob_of_each(self, q, z):
        """log q(z|x_m) in nats, (…, M): each z of (…, D) under each of a batch of M."""
        return self.log_prob(q, z[..., None, :])

    def draw(self, q, num_samples, seed, step=None):
        """Draws (K, B, D) and their log q(z|x), (K, B).

        Args:
            step: the optimizer's step in training, None in evaluation.
        """
        z = self.sample(q, num_samples, seed)
        return z, self.log_prob(q, z)

    def _dense(self, units, features_shape, name, **options):
        if len(features_shape) != 2:
            raise ValueError(
                "The encoder must return one vector of features an example, (B, F), because the "
                "posterior is linear in it; end the encoder with `keras.layers.Flatten()`. "
                f"Received: encoder output shape={tuple(features_shape)}"
            )
        layer = keras.layers.Dense(units, dtype=self.dtype_policy, name=name, **options)
        layer.build(features_shape)
        return layer


@register
class DiagonalNormal(Posterior):
    """q(z|x) = N(z; mean(x), diag(variance(x))), the posterior of the original VAE.

    Mean and log-variance are linear in the encoder's features. The log-variance is the identity
    within ±10 and bends smoothly to stay within ±20, so that it can never overflow.

    Args:
        latent_dim: int, D, at least 1.
        linear: False where the features are mean and log-variance themselves, in turn, (B, 2D): for
            grids, whose places should not be mixed.

    Call arguments:
        features: (B, F), what the encoder returns.

    Returns a dict `q` of `mean` and `log_variance`, each (B, D).

    Example:

    ```python
    posterior = keras_vae.posteriors.DiagonalNormal(latent_dim=2)
    q = posterior(features)
    z = posterior.sample(q, num_samples=1, seed=seed_generator)   # (1, B, 2)
    ```

    Reference: Kingma and Welling, Auto-Encoding Variational Bayes (arXiv:1312.6114), section 3.
    """

    def __init__(self, latent_dim, linear=True, **kwargs):
        super().__init__(**kwargs)
        self.latent_dim = positive_integer(latent_dim, "latent_dim", "the length of the code z")
        self.linear = linear

    def build(self, features_shape):
        if self.linear:
            self.mean_layer = self._dense(self.latent_dim, features_shape, "mean")
            self.log_variance_layer = self._dense(self.latent_dim, features_shape, "log_variance")
        elif tuple(features_shape[1:]) != (2 * self.latent_dim,):
            raise ValueError(
                f"The encoder must return {2 * self.latent_dim} features an example where "
                "`linear=False`, a mean and a log-variance for each latent dimension. "
                f"Received: encoder output shape={tuple(features_shape)}"
            )

    def call(self, features):
        if not self.linear:
            features = ops.cast(features, "float32")
            return {"mean": features[:, ::2], "log_variance": bounded(features[:, 1::2])}
        return {
            "mean": self.mean_layer(features),
            "log_variance": bounded(self.log_variance_layer(features)),
        }

    def mean(self, q):
        """The mean code, (B, D)."""
        return q["mean"]

    def sample(self, q, num_samples, seed):
        """`num_samples` reparameterised draws an example, (K, B, D)."""
        noise = random.normal((num_samples, *ops.shape(q["mean"])), seed, axis=1)
        return self.from_noise(q, noise)

    def from_noise(self, q, noise):
        """Draws (K, B, D) from standard normal noise of that shape."""
        return q["mean"] + ops.exp(0.5 * q["log_variance"]) * noise

    def log_prob(self, q, z):
        """log q(z|x) in nats, (K, B)."""
        return ops.sum(self.log_prob_per_dim(q, z), axis=-1)

    def log_prob_of_each(self, q, z):
        """log q(z|x_m) in nats, (…, M): each z of (…, D) under each of a batch of M."""
        return normal_log_prob_of_each(z, q["mean"], q["log_variance"])

    def log_prob_per_dim(self, q, z):
        """log q(z_d|x) in nats, (K, B, D)."""
        return normal_log_density(z, q["mean"], q["log_variance"])


@register
class FullNormal(Posterior):
    """q(z|x) = N(z; mean(x), L(x) L(x)ᵀ): a normal whose dimensions may be correlated.

    L is lower triangular. The logarithm of its squared diagonal is bounded like the log-variance
    of `DiagonalNormal`, its other entries are bounded by ±20 and begin as 0.

    Args:
        latent_dim: int, D; L has D² entries an example.

    Call arguments:
        features: (B, F), what the encoder returns.

    Returns a dict `q` of `mean`, (B, D), and `scale`, the matrix L, (B, D, D).

    Example: `keras_vae.posteriors.FullNormal(latent_dim=8)`.

    Reference: Kingma and Welling, An Introduction to Variational Autoencoders (arXiv:1906.02691),
    section 2.5.1.
    """

    def __init__(self, latent_dim, **kwargs):
        super().__init__(**kwargs)
        self.latent_dim = positive_integer(latent_dim, "latent_dim", "the length of the code z")

    def build(self, features_shape):
        d = self.latent_dim
        self.mean_layer = self._dense(d, features_shape, "mean")
        self.log_variance_layer = self._dense(d, features_shape, "log_variance")
        self.lower_layer = self._dense(d * d, features_shape, "lower", kernel_initializer="zeros")

    def call(self, features):
        d = self.latent_dim
        diagonal = ops.exp(0.5 * bounded(self.log_variance_layer(features)))
        lower = bounded(ops.reshape(self.lower_layer(features), (-1, d, d)))
        scale = ops.tril(lower, -1) + ops.eye(d) * diagonal[..., None]
        return {"mean": self.mean_layer(features), "scale": scale}

    def mean(self, q):
        """The mean code, (B, D)."""
        return q["mean"]

    def sample(self, q, num_samples, seed):
        """`num_samples` reparameterised draws an example, (K, B, D)."""
        noise = random.normal((num_samples, *ops.shape(q["mean"])), seed, axis=1)
        return self.from_noise(q, noise)

    def from_noise(self, q, noise):
        """Draws (K, B, D) from standard normal noise of that shape."""
        return q["mean"] + ops.einsum("bij,kbj->kbi", q["scale"], noise)

    def log_prob(self, q, z):
        """log q(z|x) in nats, (K, B)."""
        difference = z - q["mean"]
        columns = ops.transpose(ops.reshape(difference, (-1, *ops.shape(q["mean"]))), (1, 2, 0))
        whitened = ops.solve_triangular(q["scale"], columns, lower=True)
        square = ops.reshape(
            ops.transpose(ops.sum(ops.square(whitened), axis=1)), ops.shape(difference)[:-1]
        )
        constant = self.latent_dim * math.log(2 * math.pi)
        return -0.5 * (square + constant) - self.log_determinant(q)

    def log_determinant(self, q):
        """log det L, (B,)."""
        return ops.sum(ops.log(ops.diagonal(q["scale"], axis1=1, axis2=2)), axis=-1)


@register
class NormalizingFlow(Posterior):
    """A simple posterior whose draws run through flows: q can take other shapes than a normal's.

    The KL has no closed form and is estimated from the draws.

    Args:
        base: the posterior to begin with, `DiagonalNormal(latent_dim)` or `FullNormal(…)`.
        flows: list of `keras_vae.flows`, run in order, the dimensions reversed after each. The
            encoder's features are their context.

    Returns a dict `q`: that of the base, and the `context`, (B, F).

    Example:

    ```python
    steps = [keras_vae.flows.Autoregressive() for _ in range(2)]
    posterior = keras_vae.posteriors.NormalizingFlow(
        keras_vae.posteriors.DiagonalNormal(8), steps
    )
    ```

    References: Rezende and Mohamed, Variational Inference with Normalizing Flows
    (arXiv:1505.05770); Kingma et al., Improved Variational Inference with Inverse Autoregressive
    Flow (arXiv:1606.04934).
    """

    def __init__(self, base, flows, **kwargs):
        super().__init__(**kwargs)
        self.base, self.flows = base, list(flows)
        self.latent_dim = base.latent_dim

    @property
    def invertible(self):
        """Whether log q(z|x) is known at any z, not only at draws."""
        return all(flow.invertible for flow in self.flows)

    def build(self, features_shape):
        build_once(self.base, features_shape)
        for flow in self.flows:
            build_once(flow, (None, self.latent_dim), features_shape)

    def call(self, features):
        return {**self.base(features), "context": ops.cast(features, "float32")}

    def mean(self, q):
        """The mean of the base, through the flows, (B, D)."""
        return flow_chain.forward(self.flows, self.base.mean(q), q["context"])[0]

    def sample(self, q, num_samples, seed):
        """`num_samples` reparameterised draws an example, (K, B, D)."""
        return self.draw(q, num_samples, seed)[0]

    def draw(self, q, num_samples, seed, step=None):
        """Draws (K, B, D) and their log q(z|x), (K, B)."""
        z, log_prob = self.base.draw(q, num_samples, seed, step)
        z, log_determinant = flow_chain.forward(self.flows, z, q["context"])
        return z, log_prob - log_determinant

    def log_prob(self, q, z):
        """log q(z|x) in nats, (K, B), by the inverse of the flows."""
        z, log_determinant = flow_chain.inverse(self.flows, z, q["context"])
        return self.base.log_prob(q, z) + log_determinant


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


@register
class VonMisesFisher(Posterior):
    """q(z|x) ∝ exp(concentration(x) · direction(x)ᵀ z) on the sphere |z| = 1.

    For directions, and against collapse: the KL to the uniform prior depends on the concentration
    alone. Draws follow the inverse of the distribution function of the angle, on a fine grid, so
    that gradients pass through the concentration without a correction.

    Args:
        latent_dim: int, D, at least 2; the sphere has one dimension less.

    Returns a dict `q` of `direction`, (B, D), and `log_concentration`, (B,).

    Example: `keras_vae.posteriors.VonMisesFisher(latent_dim=3)`.

    Reference: Davidson et al., Hyperspherical Variational Auto-Encoders (arXiv:1804.00891).
    """

    space = "sphere"

    def __init__(self, latent_dim, **kwargs):
        super().__init__(**kwargs)
        self.latent_dim = positive_integer(latent_dim, "latent_dim", "the length of the code z")
        if self.latent_dim < 2:
            raise ValueError(
                "`latent_dim` must be at least 2, because codes of length 1 on a line are two "
                f"points. Received: latent_dim={latent_dim}"
            )

    def build(self, features_shape):
        self.direction_layer = self._dense(self.latent_dim, features_shape, "direction")
        self.concentration_layer = self._dense(1, features_shape, "concentration")

    def call(self, features):
        concentration = bounded(self.concentration_layer(features)[:, 0], 5.0, 5.0)
        return {
            "direction": sphere.unit(self.direction_layer(features)),
            "log_concentration": math.log(self.latent_dim) + concentration,
        }

    def mean(self, q):
        """The mean direction, (B, D)."""
        return q["direction"]

    def sample(self, q, num_samples, seed):
        """`num_samples` reparameterised draws an example, (K, B, D), of length 1."""
        batch, latent_dim = ops.shape(q["direction"])
        level = random.uniform((num_samples, batch), seed, axis=1)
        noise = random.normal((num_samples, batch, latent_dim), seed, axis=1)
        angle = sphere.quantile(level, q["log_concentration"], latent_dim)[..., None]
        across = noise
        for _ in range(2):  # twice: the first leaves a rounding error where little is across
            across = sphere.unit(across - _along(across, q["direction"]))
        return ops.cos(angle) * q["direction"] + ops.sin(angle) * across

    def log_prob(self, q, z):
        """log q(z|x) in nats on the sphere's surface, (K, B)."""
        apart = 0.5 * ops.sum(ops.square(z - q["direction"]), axis=-1)  # 1 - cos, precise near 0
        concentration = ops.exp(q["log_concentration"])
        return -concentration * apart - sphere.log_normaliser(
            q["log_concentration"], self.latent_dim
        )


def _along(x, direction):
    """The part of x along a direction of length 1."""
    return ops.sum(x * direction, axis=-1, keepdims=True) * direction
