"""Drawn shapes with known factors, which need no file and no network."""

import math

import numpy as np

from keras_vae import validation
from keras_vae.typing import Rows

SHAPES = ("ellipse", "square", "triangle")
FACTORS = ("shape", "size", "angle", "x", "y")
"""The columns of the factors of `shapes`."""
COLOUR_FACTORS = (*FACTORS, "hue", "background")
"""The columns of the factors of `colour_shapes`."""


def shapes(
    num_images: int = 10_000, image_size: int = 28, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draws ellipses, squares and triangles with known factors; needs no file and no network.

    Args:
        num_images: int, N.
        image_size: int, S: height and width.
        seed: int.

    Returns:
        Tuple of images, uint8 (N, S, S, 1), and factors, float32 (N, 5), with the columns
        `FACTORS`: shape (0 ellipse, 1 square, 2 triangle), size (radius as part of the width),
        angle (radians), and the centre x, y (parts of the width, y downwards).

    Example: `images, factors = shapes(1000, seed=1)`.
    """
    rng = np.random.default_rng(seed)
    factors = np.stack(
        [
            rng.integers(0, 3, num_images),
            rng.uniform(0.12, 0.28, num_images),
            rng.uniform(0, 2 * np.pi, num_images),
            rng.uniform(0.3, 0.7, num_images),
            rng.uniform(0.3, 0.7, num_images),
        ],
        axis=1,
    ).astype("float32")
    parts = np.array_split(factors, -(-num_images // 1000))
    return np.concatenate([_draw(part, image_size) for part in parts]), factors


def colour_shapes(
    num_images: int = 10_000, image_size: int = 64, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the shapes of `shapes` in bright colours on darker ones, with known factors.

    Args:
        num_images, image_size, seed: as for `shapes`.

    Returns:
        Tuple of images, uint8 (N, S, S, 3), and factors, float32 (N, 7), with the columns
        `COLOUR_FACTORS`: those of `shapes`, and the hues in [0, 1) of the shape and of what is
        behind it (0 red, 1/3 green, 2/3 blue).

    Example: `images, factors = colour_shapes(1000, image_size=32)`.
    """
    grey, factors = shapes(num_images, image_size, seed)
    hues = np.random.default_rng([seed, 1]).random((num_images, 2), "float32")
    front, behind = _colour(hues[:, 0], 0.9, 1.0), _colour(hues[:, 1], 0.6, 0.5)
    images = np.empty((*grey.shape[:3], 3), "uint8")
    for place, cover in enumerate(grey / np.float32(255)):
        images[place] = np.round(255 * (cover * front[place] + (1 - cover) * behind[place]))
    return images, np.concatenate([factors, hues], axis=1)


def _colour(hue, saturation, value):
    """Red, green and blue in [0, 1], (N, 3), of hues (N,)."""
    k = (np.array([5, 3, 1], "float32") + 6 * hue[:, None]) % 6
    return value * (1 - saturation * np.clip(np.minimum(k, 4 - k), 0, 1))


class ShapeGrid:
    """737,280 drawn images, one for each combination of factors, like dSprites; no file needed.

    3 shapes x 6 sizes x 40 angles x 32 x 32 places, drawn when indexed with a slice or an array of
    integers: uint8 (B, S, S, 1). The last factor changes fastest.

    Args:
        image_size: int, S.

    Attributes:
        shape: (737280, S, S, 1).
        sizes: (3, 6, 40, 32, 32), how many values each of the factors `FACTORS` has.

    Example:

    ```python
    grid = keras_vae.datasets.ShapeGrid()
    vae = keras_vae.recipes.vae((64, 64, 1), latent_dim=5)
    vae.compile("adam")
    vae.fit(keras_vae.datasets.Batches(grid, shuffle=True), shuffle=False)
    rows = np.random.default_rng(0).integers(len(grid), size=2000)
    codes = vae.encode(grid[rows] / 255)
    scores = keras_vae.evaluation.disentanglement_scores(codes, grid.factors(rows))
    ```

    Reference: the factors are those of Matthey et al., dSprites (2017), with our own shapes.
    """

    dtype = np.dtype("uint8")
    sizes = (3, 6, 40, 32, 32)

    def __init__(self, image_size: int = 64) -> None:
        self.image_size = validation.positive_integer(image_size, "image_size", "height and width")
        self.shape = (len(self), self.image_size, self.image_size, 1)

    def __len__(self) -> int:
        return math.prod(self.sizes)

    def __getitem__(self, rows: Rows) -> np.ndarray:
        """Returns the images, uint8 (B, S, S, 1)."""
        return _draw(self.values(rows), self.image_size)

    def factors(self, rows: Rows) -> np.ndarray:
        """Returns the numbers of the factors' values, integers (B, 5), columns as in `FACTORS`."""
        rows = np.arange(len(self))[rows] if isinstance(rows, slice) else np.asarray(rows)
        return np.stack(np.unravel_index(rows, self.sizes), axis=1)

    def values(self, rows: Rows) -> np.ndarray:
        """Returns the values of the factors, float32 (B, 5), in the units of `shapes`."""
        shape, size, angle, x, y = self.factors(rows).T
        place = (0.3 + 0.4 * axis / 31 for axis in (x, y))
        columns = (shape, 0.12 + 0.16 * size / 5, 2 * np.pi * angle / 40, *place)
        return np.stack(columns, axis=1).astype("float32")


def _draw(factors, image_size):
    """Anti-aliased: a pixel is as bright as the signed distance of its centre to the edge says."""
    kind, size, angle, x, y = factors.T[:, :, None, None]
    centres = (np.arange(image_size, dtype="float32") + 0.5) / image_size
    dx, dy = centres[None, None, :] - x, centres[None, :, None] - y
    u = np.cos(angle) * dx + np.sin(angle) * dy
    v = np.cos(angle) * dy - np.sin(angle) * dx
    distances = np.stack([_ellipse(u, v, size), _square(u, v, size), _triangle(u, v, size)])
    chosen = np.take_along_axis(distances, kind.astype(int)[None], axis=0)[0]
    return (255 * np.clip(0.5 - chosen * image_size, 0, 1)).round().astype("uint8")[..., None]


def _ellipse(u, v, size):
    """Twice as long as wide; to first order in the distance."""
    level = np.sqrt((u / size) ** 2 + (2 * v / size) ** 2)
    slope = np.sqrt((u / size**2) ** 2 + (4 * v / size**2) ** 2) / np.maximum(level, 1e-6)
    return (level - 1) / np.maximum(slope, 1e-6)


def _square(u, v, size):
    return np.maximum(np.abs(u), np.abs(v)) - size / np.sqrt(2)


def _triangle(u, v, size):
    """Equilateral; `size` is the radius of the circle through its corners."""
    sides = [np.cos(a) * u + np.sin(a) * v for a in (0, 2 * np.pi / 3, 4 * np.pi / 3)]
    return np.maximum.reduce(sides) - size / 2
