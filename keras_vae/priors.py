"""Priors p(z) over the latent code."""

import functools
import math

import keras
import numpy as np
from keras import ops

from keras_vae import flows as flow_chain
from keras_vae import posteriors, sphere
from keras_vae.part import Part, argmax, bounded, build_once, register
from keras_vae.posteriors import normal_log_prob, normal_log_prob_of_each
from keras_vae.validation import is_number, positive_integer


def default(posterior):
    """The parameter-free prior on the space of a posterior's codes."""
    if isinstance(posterior, posteriors.Categorical):
        return UniformCategorical(posterior.num_classes)
    own = posterior.default_prior()
    return own or (UniformSphere() if posterior.space == "sphere" else StandardNormal())


class FromNoise:
    """Draws as a function of standard normal noise, (N, noise_dim), given or drawn here."""

    def from_noise(self, noise, temperature=1.0):
        """Draws (N, D) from the prior, one for each row of standard normal noise."""
        raise NotImplementedError(f"{type(self).__name__} has no `from_noise`")

    def sample(self, num_samples, seed, temperature=1.0):
        """Draws (num_samples, D); `temperature` scales their standard deviation."""
        noise = keras.random.normal((num_samples, self.noise_dim), seed=seed)
        return self.from_noise(noise, temperature)


class Prior(FromNoise, Part):
    """Base of priors. A subclass gives `log_prob` and `from_noise`, or `given` that returns such.

    One whose draws are no function of normal noise gives `sample` instead of `from_noise`; then
    `export` leaves `generate` out.
    """

    space = "real"
    """Where its codes are; that of the posterior must be equal."""

    def build(self, code_shape):
        self.latent_dim = self.noise_dim = code_shape[-1]

    def given(self, vae, condition=None):
        """What has `log_prob` and `sample` for this step: the prior itself, for most.

        Args:
            vae: the model, for priors made of its encoder.
            condition: (B, C) or None.
        """
        return self

    def log_prob(self, z):
        """log p(z) in nats, (K, B) for z of (K, B, D)."""
        raise NotImplementedError

    def start_from(self, codes, seed):
        """A first guess from codes, (N, D), before `fit_prior` trains it."""


def uniform(pairs):
    """Numbers uniform in [0, 1], (…), from pairs of independent standard normal ones, (…, 2)."""
    return ops.exp(-0.5 * ops.sum(ops.square(pairs), axis=-1))


def one_of(count, level):
    """Integers below `count`, all as probable, from numbers uniform in [0, 1]."""
    return ops.minimum(ops.cast(level * count, "int32"), count - 1)


@register
class StandardNormal(Prior):
    """p(z) = N(z; 0, I).

    Example:

    ```python
    prior = keras_vae.priors.StandardNormal()
    prior.build((None, 2))                      # a VAE does this
    z = prior.sample(16, seed=keras.random.SeedGenerator(0))   # (16, 2)
    ```

    Reference: Kingma and Welling, Auto-Encoding Variational Bayes (arXiv:1312.6114), section 3.
    """

    def log_prob(self, z):
        """log p(z) in nats, (K, B) for z of (K, B, D)."""
        return normal_log_prob(z, 0.0, 0.0 * z)

    def from_noise(self, noise, temperature=1.0):
        """Draws (N, D); the standard deviation is `temperature`."""
        return temperature * noise


@register
class LearnedNormal(Prior):
    """p(z) = N(z; mean, diag(variance)), both learned with the network.

    Example: `keras_vae.priors.LearnedNormal()`.

    Reference: Hoffman and Johnson, ELBO Surgery (2016), section 4.
    """

    def build(self, code_shape):
        super().build(code_shape)
        self.mean = self.add_weight(name="mean", shape=(self.latent_dim,), initializer="zeros")
        self.raw_log_variance = self.add_weight(
            name="log_variance", shape=(self.latent_dim,), initializer="zeros"
        )

    def log_variance(self):
        """The logarithm of the variance, (D,)."""
        return bounded(ops.convert_to_tensor(self.raw_log_variance))

    def log_prob(self, z):
        """log p(z) in nats, (K, B) for z of (K, B, D)."""
        return normal_log_prob(z, self.mean, self.log_variance())

    def from_noise(self, noise, temperature=1.0):
        """Draws (N, D); the standard deviation is multiplied by `temperature`."""
        return self.mean + temperature * ops.exp(0.5 * self.log_variance()) * noise

    def start_from(self, codes, seed):
        self.mean.assign(codes.mean(0))
        self.raw_log_variance.assign(np.log(codes.var(0) + 1e-6))


class NormalGiven(FromNoise):
    """A diagonal normal of each example's own, with the methods of a prior."""

    def __init__(self, mean, log_variance):
        self.mean, self._log_variance = mean, log_variance
        self.noise_dim = mean.shape[-1]

    def log_variance(self):
        return self._log_variance

    def log_prob(self, z):
        return normal_log_prob(z, self.mean, self._log_variance)

    def from_noise(self, noise, temperature=1.0):
        return self.mean + temperature * ops.exp(0.5 * self._log_variance) * noise


@register
class ConditionalNormal(Prior):
    """p(z|c) = N(z; mean(c), diag(variance(c))), linear in the condition: one normal a class.

    Args:
        condition_dim: int, C, the length of the condition, or the number of classes.

    Example: `keras_vae.priors.ConditionalNormal(condition_dim=10)`.

    Reference: Sohn et al., Learning Structured Output Representation using Deep Conditional
    Generative Models (NeurIPS 2015), section 4.1.
    """

    def __init__(self, condition_dim, **kwargs):
        super().__init__(**kwargs)
        self.condition_dim = positive_integer(
            condition_dim, "condition_dim", "the length of the condition"
        )

    def build(self, code_shape):
        super().build(code_shape)
        dense = functools.partial(
            keras.layers.Dense, self.latent_dim, kernel_initializer="zeros", dtype=self.dtype_policy
        )
        self.mean_layer, self.log_variance_layer = dense(name="mean"), dense(name="log_variance")
        self.mean_layer.build((None, self.condition_dim))
        self.log_variance_layer.build((None, self.condition_dim))

    def given(self, vae, condition=None):
        """The normal of each row of the condition."""
        return NormalGiven(self.mean_layer(condition), bounded(self.log_variance_layer(condition)))

    def check_model(self, vae):
        if vae.condition_dim != self.condition_dim:
            raise ValueError(
                "`condition_dim` must be the length of the condition that the encoder or the "
                "decoder takes as its second input, because the prior gets the same one. Received: "
                f"condition_dim={self.condition_dim}, and networks for {vae.condition_dim}"
            )


@register
class NormalMixture(Prior):
    """p(z) = Σ_m w_m N(z; mean_m, diag(variance_m)), all learned with the network.

    Its KL has no closed form and is estimated from the draws.

    Args:
        num_components: int, M.

    Example: `keras_vae.priors.NormalMixture(num_components=10)`.

    Reference: Dilokthanakul et al., Deep Unsupervised Clustering with Gaussian Mixture VAEs
    (arXiv:1611.02648); Tomczak and Welling (arXiv:1705.07120), section 2, "MoG".
    """

    def __init__(self, num_components=10, **kwargs):
        super().__init__(**kwargs)
        self.num_components = positive_integer(num_components, "num_components", "how many normals")

    def build(self, code_shape):
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

    def log_variances(self):
        """The logarithms of the variances, (M, D)."""
        return bounded(ops.convert_to_tensor(self.raw_log_variances))

    def log_prob(self, z):
        """log p(z) in nats, (K, B) for z of (K, B, D)."""
        densities = normal_log_prob_of_each(z, self.means, self.log_variances())
        return ops.logsumexp(densities + ops.log_softmax(self.logits), axis=-1)

    def from_noise(self, noise, temperature=1.0):
        """Draws (N, D); each standard deviation is multiplied by `temperature`."""
        above = uniform(noise[:, -2:])[:, None] > ops.cumsum(ops.softmax(self.logits))[:-1]
        chosen = ops.sum(ops.cast(above, "int32"), axis=-1)
        scales = ops.exp(0.5 * ops.take(self.log_variances(), chosen, axis=0))
        return ops.take(self.means, chosen, axis=0) + temperature * scales * noise[:, :-2]

    def start_from(self, codes, seed):
        """Means at random codes, variances those of all codes."""
        rows = np.random.default_rng(seed).choice(len(codes), self.num_components)
        self.means.assign(codes[rows])
        self.raw_log_variances.assign(0.0 * codes[rows] + np.log(codes.var(0) + 1e-6))


@register
class VampPrior(Prior):
    """p(z) = 1/M Σ_m q(z|u_m): the mean of the posteriors of M learned pseudo-inputs u_m.

    For posteriors `DiagonalNormal` and `FullNormal`. Pseudo-inputs begin as noise around the middle
    of `[low, high]` and stay within it; `vae.prior.pseudo_inputs.assign(x[:500])` begins with data.

    Args:
        input_shape: shape of an example.
        num_components: int, M.
        low, high: numbers, the range of x.

    Example: `keras_vae.priors.VampPrior((28, 28, 1), num_components=500)`.

    Reference: Tomczak and Welling, VAE with a VampPrior (arXiv:1705.07120), equation 9.
    """

    def __init__(self, input_shape, num_components=500, low=0.0, high=1.0, **kwargs):
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

    def build(self, code_shape):
        super().build(code_shape)
        self.noise_dim = self.latent_dim + 2  # the last two choose the pseudo-input
        span = self.high - self.low
        self.pseudo_inputs = self.add_weight(
            name="pseudo_inputs",
            shape=(self.num_components, *self.input_shape),
            initializer=keras.initializers.RandomNormal(self.low + span / 2, span / 10),
        )

    def given(self, vae, condition=None):
        """The mixture for the present encoder."""
        inside = ops.clip(self.pseudo_inputs, self.low, self.high)
        return PosteriorMixture(vae.posterior, vae.posterior(vae.encoder(inside)))

    def check_model(self, vae):
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


class PosteriorMixture(FromNoise):
    """The mean of M posteriors, `q` with a batch of M, with the methods of a prior."""

    def __init__(self, posterior, q):
        self.posterior, self.q = posterior, q
        self.noise_dim = posterior.latent_dim + 2

    def log_prob(self, z):
        densities = self.posterior.log_prob_of_each(self.q, z)
        return ops.logsumexp(densities, axis=-1) - math.log(self._size())

    def from_noise(self, noise, temperature=1.0):
        chosen = one_of(self._size(), uniform(noise[:, -2:]))
        q = keras.tree.map_structure(lambda values: ops.take(values, chosen, axis=0), self.q)
        return self.posterior.from_noise(q, temperature * noise[None, :, :-2])[0]

    def _size(self):
        return self.posterior.mean(self.q).shape[0]


@register
class FlowPrior(Prior):
    """p(z) = N(f(z); 0, I) |det df/dz|, f a chain of flows learned with the network.

    With `flows.Coupling` a RealNVP, fast to draw from; with `flows.Autoregressive` a masked
    autoregressive flow. Its KL has no closed form and is estimated from the draws.

    Args:
        flows: list of invertible `keras_vae.flows`, from code to noise; by default four
            `Coupling()`. The dimensions are reversed after each.

    Example: `keras_vae.priors.FlowPrior([keras_vae.flows.Coupling() for _ in range(4)])`.

    References: Dinh et al. (arXiv:1605.08803); Chen et al., Variational Lossy Autoencoder
    (arXiv:1611.02731), section 3.2.
    """

    def __init__(self, flows=None, **kwargs):
        super().__init__(**kwargs)
        self.flows = [flow_chain.Coupling() for _ in range(4)] if flows is None else list(flows)
        unfit = [type(flow).__name__ for flow in self.flows if not flow.invertible]
        if unfit:
            raise ValueError(
                "`flows` must be invertible, Coupling or Autoregressive, because draws run "
                f"through their inverse. Received: {', '.join(unfit)}"
            )

    def build(self, code_shape):
        super().build(code_shape)
        for flow in self.flows:
            build_once(flow, code_shape)

    def log_prob(self, z):
        """log p(z) in nats, (K, B) for z of (K, B, D)."""
        noise, log_determinant = flow_chain.forward(self.flows, z)
        return normal_log_prob(noise, 0.0, 0.0 * noise) + log_determinant

    def from_noise(self, noise, temperature=1.0):
        """Draws (N, D), from noise of the standard deviation `temperature`."""
        return flow_chain.inverse(self.flows, temperature * noise)[0]


@register
class UniformCategorical(Prior):
    """Independent classes, each as probable as any other: for `posteriors.Categorical`.

    Args:
        num_classes: int, those of a variable.

    Example: `keras_vae.priors.UniformCategorical(num_classes=10)`.

    Reference: Jang et al., Categorical Reparameterization with Gumbel-Softmax (arXiv:1611.01144).
    """

    def __init__(self, num_classes, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = positive_integer(num_classes, "num_classes", "those of a variable")
        self.space = f"one-hot vectors of {self.num_classes}"

    def log_prob(self, z):
        """log p(z) in nats, (K, B) for z of (K, B, D)."""
        return -math.log(self.num_classes) * ops.sum(z, axis=-1)

    def from_noise(self, noise, temperature=1.0):
        """Draws (N, D); a uniform prior is the same at every temperature."""
        scores = ops.reshape(noise, (-1, self.latent_dim // self.num_classes, self.num_classes))
        chosen = argmax(scores)  # each class is the largest equally often
        return ops.reshape(ops.one_hot(chosen, self.num_classes), (-1, self.latent_dim))


@register
class UniformSphere(Prior):
    """The uniform distribution on the sphere |z| = 1: for `posteriors.VonMisesFisher`.

    Example: `keras_vae.priors.UniformSphere()`.

    Reference: Davidson et al., Hyperspherical Variational Auto-Encoders (arXiv:1804.00891).
    """

    space = "sphere"

    def log_prob(self, z):
        """log p(z) in nats on the sphere's surface, (K, B) for z of (K, B, D)."""
        return 0.0 * z[..., 0] - sphere.log_surface(self.latent_dim)

    def from_noise(self, noise, temperature=1.0):
        """Draws (N, D); a uniform prior is the same at every temperature."""
        return sphere.unit(noise)
