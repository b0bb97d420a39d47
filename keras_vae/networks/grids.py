"""Residual networks whose code is a grid: a vector for each place of an image."""

import math

import keras
from keras import layers

from keras_vae.networks.blocks import code_input, model
from keras_vae.networks.convolutional import crop
from keras_vae.networks.residual import residual_down, residual_up
from keras_vae.networks.shapes import grid_size, image_shape


def grid_encoder(input_shape, channels, filters=(64, 128), activation="gelu", name="encoder"):
    """Like `residual_encoder`, ending in a grid of `channels` for each place, flattened.

    For codes with a place: F is ceil(H / 2^n) · ceil(W / 2^n) · channels, n the number of filters.

    Args:
        input_shape: (H, W, C).
        channels: int, of the last grid.
        filters: channels after each convolution of stride 2.

    Example: `grid_encoder((28, 28, 1), 16)`, of 7 x 7 x 16 features.
    """
    inputs = keras.Input(image_shape(input_shape, "input_shape"))
    x = layers.Conv2D(channels, 1)(residual_down(inputs, filters, activation))
    return model(inputs, [], layers.Flatten()(x), name)


def grid_decoder(
    channels, output_shape, filters=(128, 64), activation="gelu", name="decoder", depth=1
):
    """The mirror of `grid_encoder`: z is a flattened grid of `channels` for each place.

    With a `depth` z has so many vectors of `channels` for each place, and the decoder begins with
    their sum, as residual quantisation wants it.

    Example: `grid_decoder(16, (28, 28, 1))`.
    """
    height, width, last = image_shape(output_shape, "output_shape")
    grid = grid_size(output_shape, filters)
    inputs = code_input(math.prod(grid) * depth * channels)
    x = keras.ops.sum(layers.Reshape((*grid, depth, channels))(inputs), axis=-2)
    x = layers.Conv2D(filters[0], 3, padding="same")(x)
    x = residual_up(x, filters, last, activation)
    return model(inputs, [], crop(x, height, width), name)
