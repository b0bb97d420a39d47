"""Networks for images and volumes of more than a few thousand values."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from keras_vae.networks.blocks import (
    code_input,
    condition_inputs,
    dense_layers,
    joined,
    model,
    normalised,
)
from keras_vae.networks.convolutional import crop, to_grid
from keras_vae.networks.shapes import spatial_shape
from keras_vae.typing import Activation, Shape, Tensor

SMALLEST = 4
"""Length of the smallest grid that `fitting_filters` leads to."""
FEWEST, MOST = 32, 256
"""Channels of the first layer, and of the widest."""


def fitting_filters(shape: Sequence[int]) -> tuple[int, ...]:
    """Returns channels that suit images of a size: as many layers as lead to a grid of about 4 x 4.

    Args:
        shape: (H, W, C), or (D, H, W, C) for volumes.

    Returns:
        Tuple of integers that double from 32 to at most 256.

    Example: `fitting_filters((64, 64, 3))  # (32, 64, 128, 256)`.
    """
    depth = max(1, round(math.log2(min(shape[:-1]) / SMALLEST)))
    return tuple(min(FEWEST * 2**i, MOST) for i in range(depth))


def image_encoder(
    input_shape: Sequence[int],
    filters: Sequence[int] | None = None,
    units: Sequence[int] = (),
    activation: Activation = "silu",
    name: str = "encoder",
    condition_dim: int | None = None,
) -> keras.Model:
    """Makes an encoder of 3x3 convolutions of stride 2 with group normalisation.

    Args:
        input_shape: (H, W, C), or (D, H, W, C) for volumes; lengths may be odd.
        filters: channels after each convolution; each halves all lengths, rounding up. By default
            `fitting_filters(input_shape)`.
        units: widths of the dense layers behind.
        activation: of every layer.
        name: of the model.
        condition_dim: length of a condition, a second input behind the convolutions, or None.

    Returns:
        A model from x, (B, *input_shape), to features, (B, F).

    Example: `image_encoder((64, 64, 3))`.

    Reference: Wu and He, Group Normalization (arXiv:1803.08494).
    """
    shape = spatial_shape(input_shape, "input_shape")
    x = inputs = keras.Input(shape)
    for channels in fitting_filters(shape) if filters is None else filters:
        x = _convolution(len(shape) - 1, channels, strides=2)(x)
        x = _active(x, activation)
    condition = condition_inputs(condition_dim)
    x = dense_layers(joined(layers.Flatten()(x), condition), units, activation)
    return model(inputs, condition, x, name)


def image_decoder(
    latent_dim: int,
    output_shape: Sequence[int],
    filters: Sequence[int] | None = None,
    units: Sequence[int] = (),
    activation: Activation = "silu",
    name: str = "decoder",
    condition_dim: int | None = None,
) -> keras.Model:
    """Makes a decoder that mirrors `image_encoder`, with subpixel convolutions.

    Each is a 3x3 convolution that computes all values of the finer grid at the places of the
    coarser one. The decoder starts from `filters[0]` channels on the smallest grid that grows to
    `output_shape` or just past it; what is too much is cropped.

    Args:
        latent_dim: D.
        output_shape: (H, W, C) that the decoder emits, or (D, H, W, C).
        filters: channels before each doubling of all lengths. By default
            `fitting_filters(output_shape)`, in reverse.
        units: widths of dense layers in front.
        activation: of the hidden layers.
        name: of the model.
        condition_dim: length of a condition, a second input, or None.

    Returns:
        A model from z, (B, D), to the parameters of a likelihood, (B, *output_shape).

    Example: `image_decoder(16, (64, 64, 3))`.

    Reference: Shi et al., Real-Time Single Image and Video Super-Resolution Using an Efficient
    Sub-Pixel Convolutional Neural Network (arXiv:1609.05158).
    """
    shape = spatial_shape(output_shape, "output_shape")
    filters = fitting_filters(shape)[::-1] if filters is None else filters
    inputs, condition = code_input(latent_dim), condition_inputs(condition_dim)
    x = dense_layers(joined(inputs, condition), units, activation)
    x = to_grid(x, shape, filters, None)
    for channels in (*filters[1:], shape[-1]):
        x = _doubled(_active(x, activation), channels)
    return model(inputs, condition, crop(x, shape), name)


@keras.saving.register_keras_serializable(package="keras_vae")
class SamePlaces(keras.initializers.GlorotUniform):
    """Starts a subpixel convolution with the same weights for all places of the finer grid.

    Otherwise the first images are checkerboards, which training does not quite remove.

    Args:
        places: number of places that a place of the coarser grid becomes.
        seed: as for `keras.initializers.GlorotUniform`.

    Example: `keras.layers.Conv2D(4 * 16, 1, kernel_initializer=SamePlaces(4))`.

    Reference: Aitken et al., Checkerboard artifact free sub-pixel convolution (arXiv:1707.02937).
    """

    def __init__(self, places: int, seed: int | None = None) -> None:
        super().__init__(seed=seed)
        self.places = int(places)

    def __call__(self, shape: Shape, dtype: str | None = None) -> Tensor:
        channels = shape[-1] // self.places
        one = super().__call__((*shape[:-1], channels), dtype=dtype)
        return keras.ops.tile(one, (*[1] * (len(shape) - 1), self.places))

    def get_config(self) -> dict[str, Any]:
        return {"places": self.places, "seed": self.seed}


def _convolution(rank, channels, **options):
    kind = layers.Conv2D if rank == 2 else layers.Conv3D
    return kind(channels, 3, padding="same", **options)


def _active(x, activation):
    return layers.Activation(activation)(normalised(x))


def _doubled(x, channels):
    """Doubles all lengths by a convolution whose channels become the places of the finer grid."""
    grid = x.shape[1:-1]
    rank = len(grid)
    places = 2**rank
    x = _convolution(rank, channels * places, kernel_initializer=SamePlaces(places))(x)
    x = layers.Reshape((*grid, *[2] * rank, channels))(x)
    pairs = [axis for i in range(rank) for axis in (1 + i, 1 + rank + i)]
    x = layers.Permute((*pairs, 2 * rank + 1))(x)
    return layers.Reshape((*(2 * n for n in grid), channels))(x)
