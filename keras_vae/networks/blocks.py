"""What all networks are put together from: inputs, dense layers, the model."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from keras_vae.typing import Activation
from keras_vae.validation import positive_integer

_GROUPS = 8  # of channels that are normalised together, if they can be divided


def code_input(latent_dim: int) -> keras.KerasTensor:
    """Returns the input for a code z."""
    return keras.Input((positive_integer(latent_dim, "latent_dim", "the length of the code z"),))


def condition_inputs(condition_dim: int | None) -> list[keras.KerasTensor]:
    """Returns the inputs for a condition, a list of none or one."""
    if condition_dim is None:
        return []
    return [keras.Input((positive_integer(condition_dim, "condition_dim", "its length"),))]


def joined(x: keras.KerasTensor, condition: list[keras.KerasTensor]) -> keras.KerasTensor:
    """Concatenates the condition to the vectors x, if there is one."""
    return layers.Concatenate()([x, *condition]) if condition else x


def model(
    x: keras.KerasTensor, condition: list[keras.KerasTensor], outputs: keras.KerasTensor, name: str
) -> keras.Model:
    """Returns the functional model of x, and of the condition if there is one."""
    return keras.Model([x, *condition] if condition else x, outputs, name=name)


def dense_layers(
    x: keras.KerasTensor, units: Sequence[int], activation: Activation, residual: bool = False
) -> keras.KerasTensor:
    """Applies one Dense layer for each of `units`; residual ones add to an input as wide.

    Args:
        x: vectors, (B, F).
        units: widths of the layers.
        activation: of every layer.
        residual: whether a layer as wide as its input adds to it instead of replacing it.

    Returns:
        The output of the last layer, or x if there is none.
    """
    for width in units:
        y = layers.Dense(width, activation=activation)(x)
        x = layers.Add()([x, y]) if residual and x.shape[-1] == width else y
    return x


def normalised(x: keras.KerasTensor, **options: Any) -> keras.KerasTensor:
    """Normalises the channels in 8 groups, or in fewer where they cannot be divided by 8.

    Args:
        x: a grid, (B, …, C).
        options: other arguments of `keras.layers.GroupNormalization`.

    Returns:
        A grid of the same shape.
    """
    return layers.GroupNormalization(math.gcd(_GROUPS, x.shape[-1]), **options)(x)
