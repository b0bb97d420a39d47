"""Convolutional networks with residual blocks, for larger images."""

from collections.abc import Sequence

import keras
from keras import layers

from keras_vae.networks.blocks import code_input, condition_inputs, dense_layers, joined, model
from keras_vae.networks.convolutional import crop, to_grid
from keras_vae.networks.shapes import image_shape
from keras_vae.typing import Activation


def residual_encoder(
    input_shape: Sequence[int],
    filters: Sequence[int] = (32, 64, 128),
    units: Sequence[int] = (256,),
    activation: Activation = "gelu",
    name: str = "encoder",
    condition_dim: int | None = None,
) -> keras.Model:
    """Makes a `conv_encoder` with a residual block after each convolution: for larger images.

    Args:
        input_shape, filters, units, name, condition_dim: as in `conv_encoder`.
        activation: of every layer.

    Returns:
        A model from x, (B, H, W, C), to features, (B, F).

    Example: `residual_encoder((64, 64, 3), filters=(32, 64, 128))`.

    Reference: He et al., Identity Mappings in Deep Residual Networks (arXiv:1603.05027).
    """
    inputs = keras.Input(image_shape(input_shape, "input_shape"))
    x, condition = residual_down(inputs, filters, activation), condition_inputs(condition_dim)
    x = joined(layers.Flatten()(x), condition)
    return model(inputs, condition, dense_layers(x, units, activation), name)


def residual_decoder(
    latent_dim: int,
    output_shape: Sequence[int],
    filters: Sequence[int] = (128, 64, 32),
    units: Sequence[int] = (256,),
    activation: Activation = "gelu",
    name: str = "decoder",
    condition_dim: int | None = None,
) -> keras.Model:
    """Makes a `conv_decoder` with a residual block in front of each transposed convolution.

    Args:
        latent_dim, output_shape, filters, units, name, condition_dim: as in `conv_decoder`.
        activation: of every layer.

    Returns:
        A model from z, (B, D), to the parameters of a likelihood, (B, *output_shape).

    Example: `residual_decoder(16, (64, 64, 3), filters=(128, 64, 32))`.

    Reference: He et al., Identity Mappings in Deep Residual Networks (arXiv:1603.05027).
    """
    shape = image_shape(output_shape, "output_shape")
    inputs, condition = code_input(latent_dim), condition_inputs(condition_dim)
    x = dense_layers(joined(inputs, condition), units, activation)
    x = to_grid(x, shape, filters, None)
    x = residual_up(x, filters, shape[-1], activation)
    return model(inputs, condition, crop(x, shape), name)


def residual_down(
    x: keras.KerasTensor, filters: Sequence[int], activation: Activation
) -> keras.KerasTensor:
    """Halves height and width once for each of `filters`, with a residual block after each."""
    for channels in filters:
        x = layers.Conv2D(channels, 3, strides=2, padding="same")(x)
        x = residual_block(x, activation)
    return layers.Activation(activation)(x)


def residual_up(
    x: keras.KerasTensor, filters: Sequence[int], channels: int, activation: Activation
) -> keras.KerasTensor:
    """Doubles height and width once for each of `filters`, with a residual block before each."""
    for number in filters:
        x = residual_block(x, activation)
        x = layers.Conv2DTranspose(number, 3, strides=2, padding="same")(x)
    x = layers.Activation(activation)(x)
    return layers.Conv2DTranspose(channels, 3, padding="same")(x)


def residual_block(x: keras.KerasTensor, activation: Activation) -> keras.KerasTensor:
    """Adds two 3x3 convolutions, each behind the activation, to their input."""
    channels = x.shape[-1]
    hidden = layers.Conv2D(channels, 3, padding="same")(layers.Activation(activation)(x))
    hidden = layers.Conv2D(channels, 3, padding="same")(layers.Activation(activation)(hidden))
    return layers.Add()([x, hidden])
