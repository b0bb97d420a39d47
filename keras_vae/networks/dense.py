"""Dense networks, for vectors and for data of any other shape."""

import math

import keras
from keras import layers

from keras_vae.networks.blocks import code_input, condition_inputs, dense_layers, joined, model
from keras_vae.networks.shapes import positive_shape


def dense_encoder(
    input_shape,
    units=(512, 256, 256, 256),
    activation="gelu",
    residual=True,
    name="encoder",
    condition_dim=None,
):
    """Flatten, then one Dense layer for each of `units`.

    Args:
        input_shape: shape of an example, such as (28, 28, 1) or (30,).
        units: widths of the layers; the last is F.
        activation: of every layer.
        residual: whether a layer as wide as the one before adds to it instead of replacing it.
        condition_dim: length of a condition, a second input, or None.

    Example: `dense_encoder((30,), units=(64, 64))`.
    """
    x = inputs = keras.Input(positive_shape(input_shape, "input_shape"))
    condition = condition_inputs(condition_dim)
    x = dense_layers(joined(layers.Flatten()(x), condition), units, activation, residual)
    return model(inputs, condition, x, name)


def dense_decoder(
    latent_dim,
    output_shape,
    units=(256, 256, 256, 512),
    activation="gelu",
    residual=True,
    name="decoder",
    condition_dim=None,
):
    """The mirror of `dense_encoder`.

    Args:
        latent_dim: D.
        output_shape: shape of what the decoder emits for an example, such as (28, 28, 1).
        units, activation, residual, condition_dim: as in `dense_encoder`.

    Example: `dense_decoder(2, (30,), units=(64, 64))`.
    """
    output_shape = positive_shape(output_shape, "output_shape")
    inputs, condition = code_input(latent_dim), condition_inputs(condition_dim)
    x = dense_layers(joined(inputs, condition), units, activation, residual)
    x = layers.Reshape(output_shape)(layers.Dense(math.prod(output_shape))(x))
    return model(inputs, condition, x, name)


def discriminator(latent_dim, units=(256, 256, 256), activation="leaky_relu"):
    """Dense layers from a code to one logit, in float32: for the parts of `adversarial`.

    Args:
        latent_dim: D.
        units: widths of the hidden layers.
        activation: of the hidden layers.

    Example: `discriminator(10)`.

    Reference: Kim and Mnih, Disentangling by Factorising (arXiv:1802.05983), appendix A, with six
    layers of 1,000.
    """
    x = inputs = code_input(latent_dim)
    for width in units:
        x = layers.Dense(width, activation=activation, dtype="float32")(x)
    return keras.Model(inputs, layers.Dense(1, dtype="float32")(x), name="discriminator")
