"""Networks that fit the shape of the data."""

import math

import keras

from keras_vae import layers, likelihoods, networks
from keras_vae.model import VAE

DENSE_UP_TO = 4096
"""Examples with at most this many features get dense networks; larger images convolutions."""


def fitting_networks(input_shape, latent_dim=2, likelihood=None, condition_dim=None):
    """(encoder, decoder) to fit the shape of the data: dense, or residual for larger images.

    With a likelihood of counts the encoder sees log(1 + x), because counts of hundreds and more
    would saturate it.

    Example: `encoder, decoder = recipes.fitting_networks((28, 28, 1), latent_dim=16)`.
    """
    shape, params_shape = shapes(input_shape, likelihood or likelihoods.Bernoulli())
    if len(shape) != 3 or math.prod(shape) <= DENSE_UP_TO:
        encoder, decoder = networks.dense_encoder, networks.dense_decoder
    else:
        encoder, decoder = networks.residual_encoder, networks.residual_decoder
    encoder = encoder(shape, condition_dim=condition_dim)
    if isinstance(likelihood, (likelihoods.Poisson, likelihoods.NegativeBinomial)):
        encoder = on_logarithms(encoder)
    return encoder, decoder(latent_dim, params_shape, condition_dim=condition_dim)


def on_logarithms(encoder):
    """An encoder of log(1 + x) instead of x, with the same further inputs and weights."""
    inputs = [keras.Input(tensor.shape[1:], dtype=tensor.dtype) for tensor in encoder.inputs]
    seen = [layers.Log1p()(inputs[0]), *inputs[1:]]
    features = encoder(seen if len(seen) > 1 else seen[0])
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], features, name=encoder.name)


def compose(input_shape, latent_dim, likelihood=None, condition_dim=None, **parts):
    pair = fitting_networks(input_shape, latent_dim, likelihood, condition_dim)
    return VAE(*pair, likelihood=likelihood, **parts)


def shapes(input_shape, likelihood):
    """Shapes of an example and of what the decoder emits for it."""
    shape = networks.positive_shape(input_shape, "input_shape")
    return shape, likelihood.params_shape(shape)
