"""Dense networks, for vectors and for data of any other shape."""

import math
from collections.abc import Sequence

import keras
from keras import layers

from keras_vae.layers import FourierFeatures, LearnedFill
from keras_vae.networks.blocks import code_input, condition_inputs, dense_layers, joined, model
from keras_vae.networks.shapes import positive_shape
from keras_vae.typing import Activation


def dense_encoder(
    input_shape: int | Sequence[int],
    units: Sequence[int] = (512, 256, 256, 256),
    activation: Activation = "gelu",
    residual: bool = True,
    name: str = "encoder",
    condition_dim: int | None = None,
    learned_fill: bool = False,
) -> keras.Model:
    """Makes an encoder of Flatten and one Dense layer for each of `units`.

    Args:
        input_shape: shape of an example, such as (28, 28, 1) or (30,).
        units: widths of the layers; the last is F.
        activation: of every layer.
        residual: whether a layer as wide as the one before adds to it instead of replacing it.
        name: of the model.
        condition_dim: length of a condition, a second input, or None.
        learned_fill: whether missing values are replaced by learned ones (`layers.LearnedFill`),
            and not by 0 or what else the likelihood fills them with.

    Returns:
        A model from x, (B, …), to features, (B, F).

    Example: `dense_encoder((30,), units=(64, 64))`.
    """
    x = inputs = keras.Input(positive_shape(input_shape, "input_shape"))
    condition = condition_inputs(condition_dim)
    x = layers.Flatten()(x)
    x = LearnedFill()(x) if learned_fill else x
    x = dense_layers(joined(x, condition), units, activation, residual)
    return model(inputs, condition, x, name)


def dense_decoder(
    latent_dim: int,
    output_shape: int | Sequence[int],
    units: Sequence[int] = (256, 256, 256, 512),
    activation: Activation = "gelu",
    residual: bool = True,
    name: str = "decoder",
    condition_dim: int | None = None,
    frequencies: Sequence[float] = (),
) -> keras.Model:
    """Makes a decoder that mirrors `dense_encoder`.

    Args:
        latent_dim: D.
        output_shape: shape of what the decoder emits for an example, such as (28, 28, 1).
        units, activation, residual, name, condition_dim: as in `dense_encoder`.
        frequencies: of the `layers.FourierFeatures` that z goes through first; none by default.

    Returns:
        A model from z, (B, D), to the parameters of a likelihood, (B, *output_shape).

    Example: `dense_decoder(2, (30,), units=(64, 64))`.
    """
    output_shape = positive_shape(output_shape, "output_shape")
    inputs, condition = code_input(latent_dim), condition_inputs(condition_dim)
    x = FourierFeatures(frequencies)(inputs) if frequencies else inputs
    x = dense_layers(joined(x, condition), units, activation, residual)
    x = layers.Reshape(output_shape)(layers.Dense(math.prod(output_shape))(x))
    return model(inputs, condition, x, name)


def discriminator(
    latent_dim: int, units: Sequence[int] = (256, 256, 256), activation: Activation = "leaky_relu"
) -> keras.Model:
    """Makes dense layers from a code to one logit, in float32: for the parts of `adversarial`.

    Args:
        latent_dim: D.
        units: widths of the hidden layers.
        activation: of the hidden layers.

    Returns:
        A model from z, (B, D), to logits, (B, 1).

    Example: `discriminator(10)`.

    Reference: Kim and Mnih, Disentangling by Factorising (arXiv:1802.05983), appendix A, with six
    layers of 1,000.
    """
    x = inputs = code_input(latent_dim)
    for width in units:
        x = layers.Dense(width, activation=activation, dtype="float32")(x)
    return keras.Model(inputs, layers.Dense(1, dtype="float32")(x), name="discriminator")
