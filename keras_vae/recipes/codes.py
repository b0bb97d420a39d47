"""Codes vary: priors, posteriors, conditions."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_vae import flows, likelihoods, networks, posteriors, priors
from keras_vae.model import VAE
from keras_vae.recipes.fitting import compose, with_own


def vamp_vae(
    input_shape: int | Sequence[int],
    latent_dim: int = 8,
    likelihood: likelihoods.Likelihood | None = None,
    num_components: int = 500,
    **parts: Any,
) -> VAE:
    """Makes a VAE with the VampPrior, for x in [0, 1].

    Args:
        input_shape, latent_dim, likelihood: as for `vae`.
        num_components: int, pseudo-inputs.
        parts: as for `vae`.

    Returns:
        The model, not compiled.

    Example: `recipes.vamp_vae((28, 28, 1), latent_dim=40)`.

    Reference: Tomczak and Welling, VAE with a VampPrior (arXiv:1705.07120).
    """
    prior = priors.VampPrior(networks.positive_shape(input_shape, "input_shape"), num_components)
    parts = with_own("vamp_vae", parts, prior=prior)
    return compose(input_shape, latent_dim, likelihood, recipe="vamp_vae", **parts)


def mixture_vae(
    input_shape: int | Sequence[int],
    latent_dim: int = 8,
    likelihood: likelihoods.Likelihood | None = None,
    num_components: int = 10,
    **parts: Any,
) -> VAE:
    """Makes a VAE with a learned mixture of normals as prior.

    Args:
        input_shape, latent_dim, likelihood: as for `vae`.
        num_components: int, normals.
        parts: as for `vae`.

    Returns:
        The model, not compiled.

    Example: `recipes.mixture_vae((28, 28, 1), num_components=20)`.

    Reference: Dilokthanakul et al. (arXiv:1611.02648); Tomczak and Welling (arXiv:1705.07120),
    "MoG".
    """
    prior = priors.NormalMixture(num_components)
    parts = with_own("mixture_vae", parts, prior=prior)
    return compose(input_shape, latent_dim, likelihood, recipe="mixture_vae", **parts)


def flow_prior_vae(
    input_shape: int | Sequence[int],
    latent_dim: int = 8,
    likelihood: likelihoods.Likelihood | None = None,
    num_flows: int = 4,
    **parts: Any,
) -> VAE:
    """Makes a VAE with a RealNVP as prior.

    Args:
        input_shape, latent_dim, likelihood: as for `vae`.
        num_flows: int, coupling layers.
        parts: as for `vae`.

    Returns:
        The model, not compiled.

    Example: `recipes.flow_prior_vae((28, 28, 1))`.

    Reference: Chen et al., Variational Lossy Autoencoder (arXiv:1611.02731).
    """
    prior = priors.FlowPrior([flows.Coupling() for _ in range(num_flows)])
    parts = with_own("flow_prior_vae", parts, prior=prior)
    return compose(input_shape, latent_dim, likelihood, recipe="flow_prior_vae", **parts)


def iaf_vae(
    input_shape: int | Sequence[int],
    latent_dim: int = 8,
    likelihood: likelihoods.Likelihood | None = None,
    num_flows: int = 2,
    **parts: Any,
) -> VAE:
    """Makes a VAE whose posterior is a normal run through inverse autoregressive flows.

    Args:
        input_shape, latent_dim, likelihood: as for `vae`.
        num_flows: int, autoregressive flows.
        parts: as for `vae`.

    Returns:
        The model, not compiled.

    Example: `recipes.iaf_vae((28, 28, 1))`.

    Reference: Kingma et al., Improved Variational Inference with Inverse Autoregressive Flow
    (arXiv:1606.04934).
    """
    base, steps = posteriors.DiagonalNormal(latent_dim), range(num_flows)
    posterior = posteriors.NormalizingFlow(base, [flows.Autoregressive() for _ in steps])
    parts = with_own("iaf_vae", parts, posterior=posterior)
    return compose(input_shape, latent_dim, likelihood, recipe="iaf_vae", **parts)


def planar_vae(
    input_shape: int | Sequence[int],
    latent_dim: int = 8,
    likelihood: likelihoods.Likelihood | None = None,
    num_flows: int = 4,
    **parts: Any,
) -> VAE:
    """Makes a VAE whose posterior is a normal run through planar flows.

    Args:
        input_shape, latent_dim, likelihood: as for `vae`.
        num_flows: int, planar flows.
        parts: as for `vae`.

    Returns:
        The model, not compiled.

    Example: `recipes.planar_vae((28, 28, 1), num_flows=10)`.

    Reference: Rezende and Mohamed, Variational Inference with Normalizing Flows
    (arXiv:1505.05770).
    """
    base, steps = posteriors.DiagonalNormal(latent_dim), range(num_flows)
    posterior = posteriors.NormalizingFlow(base, [flows.Planar() for _ in steps])
    parts = with_own("planar_vae", parts, posterior=posterior)
    return compose(input_shape, latent_dim, likelihood, recipe="planar_vae", **parts)


def categorical_vae(
    input_shape: int | Sequence[int],
    num_variables: int = 20,
    num_classes: int = 10,
    likelihood: likelihoods.Likelihood | None = None,
    **parts: Any,
) -> VAE:
    """Makes a VAE with codes of classes, by Gumbel-softmax with a falling temperature.

    Args:
        input_shape, likelihood: as for `vae`.
        num_variables: int, variables of a code.
        num_classes: int, classes of each variable.
        parts: as for `vae`.

    Returns:
        The model, not compiled.

    Example: `recipes.categorical_vae((28, 28, 1))`.

    Reference: Jang et al., Categorical Reparameterization with Gumbel-Softmax (arXiv:1611.01144).
    """
    cooling = keras.optimizers.schedules.PolynomialDecay(1.0, 20_000, end_learning_rate=0.5)
    posterior = posteriors.Categorical(num_variables, num_classes, cooling)
    parts = with_own("categorical_vae", parts, posterior=posterior)
    return compose(input_shape, posterior.latent_dim, likelihood, recipe="categorical_vae", **parts)


def hyperspherical_vae(
    input_shape: int | Sequence[int],
    latent_dim: int = 3,
    likelihood: likelihoods.Likelihood | None = None,
    **parts: Any,
) -> VAE:
    """Makes a VAE with codes on the unit sphere.

    Train it gently: with Adam at 2e-3 it collapses on Fashion-MNIST, at 5e-4 it learns.

    Args:
        input_shape, likelihood: as for `vae`.
        latent_dim: int, D; the sphere is that in D dimensions.
        parts: as for `vae`.

    Returns:
        The model, not compiled.

    Example: `recipes.hyperspherical_vae((28, 28, 1), latent_dim=6)`.

    Reference: Davidson et al., Hyperspherical Variational Auto-Encoders (arXiv:1804.00891).
    """
    posterior = posteriors.VonMisesFisher(latent_dim)
    parts = with_own("hyperspherical_vae", parts, posterior=posterior)
    return compose(input_shape, latent_dim, likelihood, recipe="hyperspherical_vae", **parts)


def conditional_vae(
    input_shape: int | Sequence[int],
    condition_dim: int,
    latent_dim: int = 2,
    likelihood: likelihoods.Likelihood | None = None,
    **parts: Any,
) -> VAE:
    """Makes a VAE whose encoder, decoder and prior know a condition, such as the class.

    Train with `fit({"x": x, "condition": classes})`; then `generate(8, condition=3)`.

    Args:
        input_shape, latent_dim, likelihood: as for `vae`.
        condition_dim: length of the vectors, or the number of classes.
        parts: as for `vae`.

    Returns:
        The model, not compiled.

    Example: `recipes.conditional_vae((28, 28, 1), condition_dim=10)`.

    Reference: Sohn et al., Learning Structured Output Representation (NeurIPS 2015), section 4.
    """
    parts = {"prior": priors.ConditionalNormal(condition_dim), **parts}
    return compose(
        input_shape, latent_dim, likelihood, condition_dim, recipe="conditional_vae", **parts
    )
