"""Convolutional networks for images of any size."""

import math
from collections.abc import Sequence

import keras
from keras import layers

from keras_vae.networks.blocks import code_input, condition_inputs, dense_layers, joined, model
from keras_vae.networks.shapes import grid_size, image_shape
from keras_vae.typing import Activation


def conv_encoder(
    input_shape: Sequence[int],
    filters: Sequence[int] = (32, 64),
    units: Sequence[int] = (16,),
    activation: Activation = "relu",
    units_activation: Activation = "relu",
    name: str = "encoder",
    condition_dim: int | None = None,
) -> keras.Model:
    """Makes an encoder of 3x3 convolutions of stride 2, Flatten and Dense layers.

    Args:
        input_shape: (height, width, channels), of any size, odd ones too.
        filters: channels after each convolution; each halves height and width, rounding up.
        units: widths of the dense layers behind; the last is F.
        activation, units_activation: of the convolutions, of the dense layers.
        name: of the model.
        condition_dim: length of a condition, a second input behind the convolutions, or None.

    Returns:
        A model from x, (B, H, W, C), to features, (B, F).

    Example: `conv_encoder((64, 64, 3), filters=(32, 64, 128), units=(256,))`.
    """
    x = inputs = keras.Input(image_shape(input_shape, "input_shape"))
    for channels in filters:
        x = layers.Conv2D(channels, 3, strides=2, padding="same", activation=activation)(x)
    condition = condition_inputs(condition_dim)
    x = dense_layers(joined(layers.Flatten()(x), condition), units, units_activation)
    return model(inputs, condition, x, name)


def conv_decoder(
    latent_dim: int,
    output_shape: Sequence[int],
    filters: Sequence[int] = (64, 32),
    units: Sequence[int] = (),
    activation: Activation = "relu",
    name: str = "decoder",
    condition_dim: int | None = None,
) -> keras.Model:
    """Makes a decoder of transposed 3x3 convolutions of stride 2, and a last one of stride 1.

    It starts from `filters[0]` channels on the smallest grid that grows to `output_shape` or just
    past it; what is too much is cropped.

    Args:
        latent_dim: D.
        output_shape: (height, width, channels) that the decoder emits, of any size.
        filters: channels after each transposed convolution; each doubles height and width.
        units: widths of dense layers in front.
        activation: of the hidden layers.
        name: of the model.
        condition_dim: length of a condition, a second input, or None.

    Returns:
        A model from z, (B, D), to the parameters of a likelihood, (B, *output_shape).

    Example: `conv_decoder(16, (64, 64, 3), filters=(128, 64, 32))`.
    """
    shape = image_shape(output_shape, "output_shape")
    inputs, condition = code_input(latent_dim), condition_inputs(condition_dim)
    x = dense_layers(joined(inputs, condition), units, activation)
    x = to_grid(x, shape, filters, activation)
    for number in filters:
        x = layers.Conv2DTranspose(number, 3, strides=2, padding="same", activation=activation)(x)
    x = layers.Conv2DTranspose(shape[-1], 3, padding="same")(x)
    return model(inputs, condition, crop(x, shape), name)


def to_grid(
    x: keras.KerasTensor, shape: Sequence[int], filters: Sequence[int], activation: Activation
) -> keras.KerasTensor:
    """Maps vectors to the smallest grid for examples of `shape`, with `filters[0]` channels."""
    grid = (*grid_size(shape, filters), filters[0])
    return layers.Reshape(grid)(layers.Dense(math.prod(grid), activation=activation)(x))


def crop(x: keras.KerasTensor, shape: Sequence[int]) -> keras.KerasTensor:
    """Crops a grid to the lengths of `shape`, (…, channels), evenly on both sides."""
    extra = [have - want for have, want in zip(x.shape[1:-1], shape[:-1], strict=True)]
    kind = layers.Cropping2D if len(extra) == 2 else layers.Cropping3D
    return kind([(n // 2, n - n // 2) for n in extra])(x) if any(extra) else x
