"""Large images tile by tile, with the same result as in one piece.

Lengths are counted in cells: one place of the grid of latents, and the square of the image that
belongs to it. A tile is computed with a margin on all sides, as wide as the network sees, and the
margin is cut off; at the edge of the image there is none, because the network pads there as well.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_vae.networks.any_size import stride

_STRIPS = 64, 256
"""Lengths, in cells, of the strips of noise on which the margin is measured."""
_CHANGES = float("nan"), 1e4


class Cell(NamedTuple):
    """How many places of its input and of its output a network has for one cell."""

    input: int
    output: int


def cell_of(body: keras.Model) -> Cell:
    """Returns the `Cell` of the body of an encoder or a decoder."""
    step = stride(body)
    return Cell(round(step), 1) if step >= 1 else Cell(1, round(1 / step))


def in_tiles(
    function: Callable[[np.ndarray], np.ndarray], x: np.ndarray, cell: Cell, tile: int, margin: int
) -> np.ndarray:
    """Computes a function of images or grids tile by tile.

    Args:
        function: from a window of x to what it makes of it.
        x: NumPy array (B, H, W, C); H and W are multiples of `cell.input`.
        cell: of the function.
        tile, margin: lengths in cells.

    Returns:
        NumPy array, as `function(x)` would be.
    """
    height, width = (n // cell.input for n in x.shape[1:3])
    whole: Any = None
    for rows, seen_rows in _windows(height, tile, margin):
        for columns, seen_columns in _windows(width, tile, margin):
            window = x[:, _scaled(seen_rows, cell.input), _scaled(seen_columns, cell.input)]
            found = function(window)
            if whole is None:
                shape = (len(x), height * cell.output, width * cell.output, found.shape[-1])
                whole = np.empty(shape, found.dtype)
            kept = (_within(a, b) for a, b in ((rows, seen_rows), (columns, seen_columns)))
            inside = found[(slice(None), *(_scaled(own, cell.output) for own in kept))]
            whole[:, _scaled(rows, cell.output), _scaled(columns, cell.output)] = inside
    return whole


def _windows(cells: int, tile: int, margin: int) -> Iterator[tuple[slice, slice]]:
    """Yields the cells of each tile, and the cells that it is computed from, always as many."""
    length = min(tile + 2 * margin, cells)
    for start in range(0, cells, tile):
        first = min(max(start - margin, 0), cells - length)
        yield slice(start, min(start + tile, cells)), slice(first, first + length)


def _scaled(cells, size):
    return slice(cells.start * size, cells.stop * size)


def _within(cells, window):
    return slice(cells.start - window.start, cells.stop - window.start)


def margin_of(body: keras.Model, argument: str) -> int:
    """Measures how far a network sees, in cells, rounded up.

    The network runs on noise, of which everything on one side of a border is then changed. What it
    makes of the other side changes as far as it sees.

    Args:
        body: a network for images of any size.
        argument: "encoder" or "decoder", for the error.

    Returns:
        Number of cells.

    Raises:
        ValueError: if each place sees the whole image.
    """
    for length in _STRIPS:
        margin = max(_reach(body, axis, length) for axis in (1, 2))
        if margin < length // 2:
            return margin
    raise ValueError(
        f"`tile` must be left out, because the {argument} sees more than {_STRIPS[-1] // 2} "
        "latents in each direction, so that tiles would differ from the whole image. Attention and "
        "normalisation over the whole image, such as GroupNormalization, do so; "
        f"LayerNormalization over the channels does not. Received: {argument}={body.name!r}"
    )


def _reach(body, axis, length):
    """How many cells on the other side of a border change, on a strip along an axis of images."""
    cell = cell_of(body)
    shape = [1, cell.input, cell.input, body.input_shape[-1]]
    shape[axis] *= length
    noise = np.random.default_rng(0).normal(size=shape).astype("float32")
    expected, reach = _run(body, noise), 0
    half = slice(None, length // 2), slice(length // 2, None)
    for side in (0, 1):
        for change in _CHANGES:
            changed = np.moveaxis(noise.copy(), axis, 0)
            changed[_all(half[side], cell.input)] = change
            differs = _run(body, np.moveaxis(changed, 0, axis)) != expected
            along = np.moveaxis(differs, axis, 0).any(axis=(1, 2, 3))
            cells = along.reshape(length, cell.output).any(axis=1)[half[1 - side]]
            reach = max(reach, _extent(cells if side == 0 else cells[::-1]))
    return reach


def _all(half, size):
    return slice(half.start and half.start * size, half.stop and half.stop * size)


def _extent(changed):
    """The number of cells up to the last that has changed."""
    places = np.flatnonzero(changed)
    return int(places[-1]) + 1 if len(places) else 0


def _run(body, x):
    return ops.convert_to_numpy(body(x, training=False))
