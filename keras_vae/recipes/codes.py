"""Codes vary: priors, posteriors, conditions."""

import keras

from keras_vae import flows, networks, posteriors, priors
from keras_vae.recipes.fitting import compose


def vamp_vae(input_shape, latent_dim=8, likelihood=None, num_components=500, **parts):
    """VAE with the VampPrior, for x in [0, 1].

    Example: `recipes.vamp_vae((28, 28, 1), latent_dim=40)`.

    Reference: Tomczak and Welling, VAE with a VampPrior (arXiv:1705.07120).
    """
    prior = priors.VampPrior(networks.positive_shape(input_shape, "input_shape"), num_components)
    return compose(input_shape, latent_dim, likelihood, prior=prior, **parts)


def mixture_vae(input_shape, latent_dim=8, likelihood=None, num_components=10, **parts):
    """VAE with a learned mixture of normals as prior.

    Example: `recipes.mixture_vae((28, 28, 1), num_components=20)`.

    Reference: Dilokthanakul et al. (arXiv:1611.02648); Tomczak and Welling (arXiv:1705.07120),
    "MoG".
    """
    prior = priors.NormalMixture(num_components)
    return compose(input_shape, latent_dim, likelihood, prior=prior, **parts)


def flow_prior_vae(input_shape, latent_dim=8, likelihood=None, num_flows=4, **parts):
    """VAE with a RealNVP as prior.

    Example: `recipes.flow_prior_vae((28, 28, 1))`.

    Reference: Chen et al., Variational Lossy Autoencoder (arXiv:1611.02731).
    """
    prior = priors.FlowPrior([flows.Coupling() for _ in range(num_flows)])
    return compose(input_shape, latent_dim, likelihood, prior=prior, **parts)


def iaf_vae(input_shape, latent_dim=8, likelihood=None, num_flows=2, **parts):
    """VAE whose posterior is a normal run through inverse autoregressive flows.

    Example: `recipes.iaf_vae((28, 28, 1))`.

    Reference: Kingma et al., Improved Variational Inference with Inverse Autoregressive Flow
    (arXiv:1606.04934).
    """
    base, steps = posteriors.DiagonalNormal(latent_dim), range(num_flows)
    posterior = posteriors.NormalizingFlow(base, [flows.Autoregressive() for _ in steps])
    return compose(input_shape, latent_dim, likelihood, posterior=posterior, **parts)


def planar_vae(input_shape, latent_dim=8, likelihood=None, num_flows=4, **parts):
    """VAE whose posterior is a normal run through planar flows.

    Example: `recipes.planar_vae((28, 28, 1), num_flows=10)`.

    Reference: Rezende and Mohamed, Variational Inference with Normalizing Flows
    (arXiv:1505.05770).
    """
    base, steps = posteriors.DiagonalNormal(latent_dim), range(num_flows)
    posterior = posteriors.NormalizingFlow(base, [flows.Planar() for _ in steps])
    return compose(input_shape, latent_dim, likelihood, posterior=posterior, **parts)


def categorical_vae(input_shape, num_variables=20, num_classes=10, likelihood=None, **parts):
    """VAE with codes of classes, by Gumbel-softmax with a falling temperature.

    Example: `recipes.categorical_vae((28, 28, 1))`.

    Reference: Jang et al., Categorical Reparameterization with Gumbel-Softmax (arXiv:1611.01144).
    """
    cooling = keras.optimizers.schedules.PolynomialDecay(1.0, 20_000, end_learning_rate=0.5)
    posterior = posteriors.Categorical(num_variables, num_classes, cooling)
    return compose(input_shape, posterior.latent_dim, likelihood, posterior=posterior, **parts)


def hyperspherical_vae(input_shape, latent_dim=3, likelihood=None, **parts):
    """VAE with codes on the unit sphere.

    Train it gently: with Adam at 2e-3 it collapses on Fashion-MNIST, at 5e-4 it learns.

    Example: `recipes.hyperspherical_vae((28, 28, 1), latent_dim=6)`.

    Reference: Davidson et al., Hyperspherical Variational Auto-Encoders (arXiv:1804.00891).
    """
    posterior = posteriors.VonMisesFisher(latent_dim)
    return compose(input_shape, latent_dim, likelihood, posterior=posterior, **parts)


def conditional_vae(input_shape, condition_dim, latent_dim=2, likelihood=None, **parts):
    """VAE whose encoder, decoder and prior know a condition, such as the class.

    Train with `fit({"x": x, "condition": classes})`; then `generate(8, condition=3)`.

    Args: condition_dim: length of the vectors, or the number of classes.

    Example: `recipes.conditional_vae((28, 28, 1), condition_dim=10)`.

    Reference: Sohn et al., Learning Structured Output Representation (NeurIPS 2015), section 4.
    """
    parts = {"prior": priors.ConditionalNormal(condition_dim), **parts}
    return compose(input_shape, latent_dim, likelihood, condition_dim, **parts)
