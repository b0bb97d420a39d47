"""The shapes of examples and of grids, checked when a network is made."""

import math
from collections.abc import Sequence

import numpy as np

from keras_vae.validation import positive_integer


def positive_shape(shape: int | Sequence[int], argument: str) -> tuple[int, ...]:
    """Returns `shape`, an integer or several, as a tuple; ValueError if it fits no example."""
    shape = tuple(np.atleast_1d(np.asarray(shape, "object")))
    if not shape:
        raise ValueError(
            f"`{argument}` must be positive integers, the shape of one example without the batch. "
            f"Received: {argument}={shape}"
        )
    return tuple(positive_integer(n, argument, "a length of one example's shape") for n in shape)


def image_shape(shape: Sequence[int], argument: str) -> tuple[int, int, int]:
    """Returns `shape` as (height, width, channels); ValueError if it is not that of an image."""
    why = "the network is convolutional; use the dense one for other data"
    return _shape_of(shape, argument, ("height", "width", "channels"), why)


def spatial_shape(shape: Sequence[int], argument: str) -> tuple[int, ...]:
    """Returns `shape` as a tuple; ValueError if it is not that of an image or a volume."""
    shape = positive_shape(shape, argument)
    if len(shape) not in (3, 4):
        raise ValueError(
            f"`{argument}` must be (height, width, channels), or (depth, height, width, channels) "
            "for volumes, because the network is convolutional; use the dense one for other data. "
            f"Received: {argument}={shape}"
        )
    return shape


def sequence_shape(shape: Sequence[int], argument: str) -> tuple[int, int]:
    """Returns `shape` as (steps, features); ValueError if it is not that of a sequence."""
    return _shape_of(shape, argument, ("steps", "features"), "the network goes along the steps")


def _shape_of(shape, argument, axes, why):
    shape = positive_shape(shape, argument)
    if len(shape) != len(axes):
        raise ValueError(
            f"`{argument}` must be ({', '.join(axes)}), because {why}. Received: {argument}={shape}"
        )
    return shape


def grid_size(shape: Sequence[int], filters: Sequence[int] = (64, 128)) -> tuple[int, ...]:
    """Returns the lengths of the grid that convolutions end in, where each halves all lengths.

    Args:
        shape: of an example, (H, W, C) or (D, H, W, C).
        filters: channels of the convolutions, of which only the number counts.

    Example: `grid_size((28, 28, 1), (64, 128))  # (7, 7)`.
    """
    return tuple(math.ceil(n / 2 ** len(filters)) for n in shape[:-1])
