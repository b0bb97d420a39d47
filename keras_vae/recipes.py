"""Well-known models, each a short composition of parts."""

import math

from keras_vae import likelihoods, networks, objectives
from keras_vae.model import VAE

DENSE_UP_TO = 4096
"""Examples with at most this many features get dense networks; larger images convolutions."""


def vae(input_shape, latent_dim=2, likelihood=None, beta=1.0, seed=None):
    """A VAE with networks chosen to fit the shape of the data.

    Args:
        input_shape: shape of an example: (H, W, C) or (F,).
        latent_dim: int, D.
        likelihood: p(x|z); by default `Bernoulli()`, for x in [0, 1].
        beta: weight of the KL, a number or a schedule.
        seed: int, of the noise.

    Example: `recipes.vae((28, 28, 1), latent_dim=16)`.

    Reference: Kingma and Welling, Auto-Encoding Variational Bayes (arXiv:1312.6114).
    """
    likelihood = likelihood or likelihoods.Bernoulli()
    shape, raw_shape = _shapes(input_shape, likelihood)
    if len(shape) != 3 or math.prod(shape) <= DENSE_UP_TO:
        encoder = networks.dense_encoder(shape)
        decoder = networks.dense_decoder(latent_dim, raw_shape)
    else:
        encoder = networks.residual_encoder(shape)
        decoder = networks.residual_decoder(latent_dim, raw_shape)
    objective = objectives.ELBO(beta)
    return VAE(encoder, decoder, likelihood=likelihood, objective=objective, seed=seed)


def seed_vae(input_shape=(28, 28, 1), latent_dim=2, likelihood=None, beta=1.0, seed=None):
    """The small convolutional VAE of many tutorials: the baseline to beat.

    Convolutions of 32 and 64 channels and a linear Dense layer of 16; a Dense layer of 7 x 7 x 64
    and transposed convolutions of 64, 32 and 1 channels.

    Args:
        input_shape: (H, W, C).
        latent_dim, likelihood, beta, seed: as for `vae`.

    Example: `recipes.seed_vae()`.
    """
    likelihood = likelihood or likelihoods.Bernoulli()
    shape, raw_shape = _shapes(input_shape, likelihood)
    return VAE(
        networks.conv_encoder(shape, filters=(32, 64), units=(16,), units_activation=None),
        networks.conv_decoder(latent_dim, raw_shape, filters=(64, 32)),
        likelihood=likelihood,
        objective=objectives.ELBO(beta),
        seed=seed,
    )


def linear_vae(input_shape, latent_dim=2, seed=None):
    """Linear encoder and decoder, normal likelihood with one learned scale: probabilistic PCA.

    Its best ELBO is the log-likelihood of probabilistic PCA, which has a closed form.

    Args:
        input_shape: shape of an example.
        latent_dim: int, D.
        seed: int, of the noise.

    Example: `recipes.linear_vae((28, 28, 1), latent_dim=10)`.

    References: Tipping and Bishop, Probabilistic Principal Component Analysis (1999); Lucas et
    al., Don't Blame the ELBO! (arXiv:1911.02469), section 4.
    """
    return VAE(
        networks.dense_encoder(input_shape, units=()),
        networks.dense_decoder(latent_dim, input_shape, units=()),
        likelihood=likelihoods.Normal(scale="shared"),
        seed=seed,
    )


def _shapes(input_shape, likelihood):
    """Shapes of an example and of what the decoder emits for it."""
    shape = networks.positive_shape(input_shape, "input_shape")
    return shape, (*shape[:-1], shape[-1] * likelihood.raw_per_feature)
