"""Convolutional and recurrent networks for sequences."""

import math
from collections.abc import Sequence

import keras
from keras import layers

from keras_vae.networks.blocks import code_input, dense_layers, model
from keras_vae.networks.shapes import sequence_shape
from keras_vae.typing import Activation
from keras_vae.validation import positive_integer


def sequence_encoder(
    input_shape: Sequence[int],
    filters: Sequence[int] = (32, 64),
    units: Sequence[int] = (64,),
    activation: Activation = "gelu",
    name: str = "encoder",
) -> keras.Model:
    """Makes an encoder of convolutions along the steps, of width 5 and stride 2, and Dense layers.

    Sequences of different lengths are padded to one, with a `mask` that is 0 on what is padded:
    `fit({"x": x, "mask": mask})`. A padded step then counts for nothing, whatever it holds.

    Args:
        input_shape: (steps, features).
        filters: channels after each convolution; each halves the steps, rounding up.
        units: widths of the dense layers behind; the last is F.
        activation: of every layer.
        name: of the model.

    Returns:
        A model from x, (B, steps, features), to features, (B, F).

    Example: `sequence_encoder((64, 3))`.
    """
    x = inputs = keras.Input(sequence_shape(input_shape, "input_shape"))
    for channels in filters:
        x = layers.Conv1D(channels, 5, strides=2, padding="same", activation=activation)(x)
    return model(inputs, [], dense_layers(layers.Flatten()(x), units, activation), name)


def sequence_decoder(
    latent_dim: int,
    output_shape: Sequence[int],
    filters: Sequence[int] = (64, 32),
    units: Sequence[int] = (64,),
    activation: Activation = "gelu",
    name: str = "decoder",
) -> keras.Model:
    """Makes a decoder that mirrors `sequence_encoder`; steps in excess are cropped.

    Args:
        latent_dim: D.
        output_shape: (steps, features) that the decoder emits.
        filters, units, activation, name: as in `sequence_encoder`.

    Returns:
        A model from z, (B, D), to the parameters of a likelihood, (B, *output_shape).

    Example: `sequence_decoder(4, (64, 3))`.
    """
    steps, features = sequence_shape(output_shape, "output_shape")
    inputs = code_input(latent_dim)
    x = dense_layers(inputs, units, activation)
    first = math.ceil(steps / 2 ** len(filters))
    x = layers.Dense(first * filters[0], activation=activation)(x)
    x = layers.Reshape((first, filters[0]))(x)
    for channels in filters:
        x = layers.Conv1DTranspose(channels, 5, strides=2, padding="same", activation=activation)(x)
    x = layers.Conv1D(features, 5, padding="same")(x)
    extra = x.shape[1] - steps
    x = layers.Cropping1D((extra // 2, extra - extra // 2))(x) if extra else x
    return model(inputs, [], x, name)


def recurrent_encoder(
    input_shape: Sequence[int],
    units: int = 64,
    name: str = "encoder",
    num_classes: int | None = None,
) -> keras.Model:
    """Makes an encoder of a GRU that goes along the steps and one that goes back.

    The features are the last states of both, so F is 2 units.

    Args:
        input_shape: (steps, features); padding as in `sequence_encoder`.
        units: int, of each GRU, and of the embedding.
        name: of the model.
        num_classes: int, where x holds classes or tokens, 0 to num_classes - 1, each of which gets
            a learned vector; None for numbers. Hand tokens in as integers: a half-precision policy
            rounds large floats.

    Returns:
        A model from x, (B, steps, features), to features, (B, F).

    Example: `recurrent_encoder((64, 3))`.
    """
    shape = sequence_shape(input_shape, "input_shape")
    x = inputs = keras.Input(shape, dtype=None if num_classes is None else "int32")
    if num_classes is not None:
        positive_integer(num_classes, "num_classes", "how many classes x has")
        x = layers.Embedding(num_classes, units)(x)
        x = layers.Reshape((shape[0], shape[1] * units))(x)
    return model(inputs, [], layers.Bidirectional(layers.GRU(units))(x), name)


def recurrent_decoder(
    latent_dim: int, output_shape: Sequence[int], units: int = 64, name: str = "decoder"
) -> keras.Model:
    """Makes a decoder of a GRU that sees the code at each step.

    Args:
        latent_dim: D.
        output_shape: (steps, features) that the decoder emits.
        units: int, of the GRU.
        name: of the model.

    Returns:
        A model from z, (B, D), to the parameters of a likelihood, (B, *output_shape).

    Example: `recurrent_decoder(4, (64, 3))`.
    """
    steps, features = sequence_shape(output_shape, "output_shape")
    inputs = code_input(latent_dim)
    x = layers.GRU(units, return_sequences=True)(layers.RepeatVector(steps)(inputs))
    return model(inputs, [], layers.Dense(features)(x), name)
