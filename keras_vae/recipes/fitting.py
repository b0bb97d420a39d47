"""Networks that fit the shape of the data."""

import math

from keras_vae import likelihoods, networks
from keras_vae.model import VAE

DENSE_UP_TO = 4096
"""Examples with at most this many features get dense networks; larger images convolutions."""


def fitting_networks(input_shape, latent_dim=2, likelihood=None, condition_dim=None):
    """(encoder, decoder) to fit the shape of the data: dense, or residual for larger images.

    Example: `encoder, decoder = recipes.fitting_networks((28, 28, 1), latent_dim=16)`.
    """
    shape, raw_shape = shapes(input_shape, likelihood or likelihoods.Bernoulli())
    if len(shape) != 3 or math.prod(shape) <= DENSE_UP_TO:
        encoder, decoder = networks.dense_encoder, networks.dense_decoder
    else:
        encoder, decoder = networks.residual_encoder, networks.residual_decoder
    return (
        encoder(shape, condition_dim=condition_dim),
        decoder(latent_dim, raw_shape, condition_dim=condition_dim),
    )


def compose(input_shape, latent_dim, likelihood=None, condition_dim=None, **parts):
    pair = fitting_networks(input_shape, latent_dim, likelihood, condition_dim)
    return VAE(*pair, likelihood=likelihood, **parts)


def shapes(input_shape, likelihood):
    """Shapes of an example and of what the decoder emits for it."""
    shape = networks.positive_shape(input_shape, "input_shape")
    return shape, likelihood.raw_shape(shape)
