"""Residual networks whose code is a grid: a vector for each place of an image."""

import math
from collections.abc import Sequence

import keras
from keras import layers

from keras_vae.networks.blocks import code_input, model
from keras_vae.networks.convolutional import crop
from keras_vae.networks.residual import residual_down, residual_up
from keras_vae.networks.shapes import grid_size, image_shape
from keras_vae.typing import Activation


def grid_encoder(
    input_shape: Sequence[int],
    channels: int,
    filters: Sequence[int] = (64, 128),
    activation: Activation = "gelu",
    name: str = "encoder",
) -> keras.Model:
    """Makes a `residual_encoder` that ends in a grid of `channels` for each place, flattened.

    It is for codes with a place: F is ceil(H / 2^n) · ceil(W / 2^n) · channels, n the number of
    filters.

    Args:
        input_shape: (H, W, C).
        channels: int, of the last grid.
        filters: channels after each convolution of stride 2.
        activation: of the residual blocks.
        name: of the model.

    Returns:
        A model from x, (B, H, W, C), to features, (B, F).

    Example: `grid_encoder((28, 28, 1), 16)`, of 7 x 7 x 16 features.
    """
    inputs = keras.Input(image_shape(input_shape, "input_shape"))
    x = layers.Conv2D(channels, 1)(residual_down(inputs, filters, activation))
    return model(inputs, [], layers.Flatten()(x), name)


def grid_decoder(
    channels: int,
    output_shape: Sequence[int],
    filters: Sequence[int] = (128, 64),
    activation: Activation = "gelu",
    name: str = "decoder",
    depth: int = 1,
) -> keras.Model:
    """Makes a decoder that mirrors `grid_encoder`: z is a flattened grid of vectors.

    With a `depth` z has so many vectors of `channels` for each place, and the decoder begins with
    their sum, as residual quantisation wants it.

    Args:
        channels: int, of the grid.
        output_shape: (H, W, C) that the decoder emits.
        filters: channels after each transposed convolution of stride 2.
        activation: of the residual blocks.
        name: of the model.
        depth: int, the vectors of each place.

    Returns:
        A model from z, (B, D), to the parameters of a likelihood, (B, *output_shape).

    Example: `grid_decoder(16, (28, 28, 1))`.
    """
    shape = image_shape(output_shape, "output_shape")
    grid = grid_size(shape, filters)
    inputs = code_input(math.prod(grid) * depth * channels)
    x = keras.ops.sum(layers.Reshape((*grid, depth, channels))(inputs), axis=-2)
    x = layers.Conv2D(filters[0], 3, padding="same")(x)
    x = residual_up(x, filters, shape[-1], activation)
    return model(inputs, [], crop(x, shape), name)
