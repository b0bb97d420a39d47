"""Images in rows: originals and reconstructions, and grids of samples."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_vae.plotting.style import TITLE, finish, grid, label, set_title, styled
from keras_vae.typing import FilePath, Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def reconstructions(
    originals: Tensor,
    reconstructed: Tensor,
    path: FilePath | None = None,
    max_columns: int = 10,
    title: str | None = "Images and their reconstructions",
    targets: Tensor | None = None,
) -> "Figure":
    """Draws originals over their reconstructions.

    Args:
        originals, reconstructed: images (N, H, W, C) in [0, 1] or uint8, C of 1 or 3.
        path: file to save to, such as "reconstructions.png".
        max_columns: how many of the images to show.
        title: title of the figure, or None.
        targets: what the model was to reconstruct, if that is not the original, such as the clean
            images of a denoiser; they are drawn in a third row.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: if these are no images, or not as many of each.

    Example: `keras_vae.plotting.reconstructions(x_test[:10], vae.predict(x_test[:10]))`.
    """
    given = {"originals": originals, "reconstructed": reconstructed, "targets": targets}
    rows = {n: checked_images(x, n)[:max_columns] for n, x in given.items() if x is not None}
    count = _same_length(rows)
    names = {"originals": "original", "reconstructed": "reconstruction"}
    if targets is not None:
        names = {"originals": "input", "reconstructed": "output", "targets": "clean"}
    figure, axes = grid(len(rows), count, left=0.9, top=TITLE if title else 0.0)
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        label(line[0], names[name])
        for axis, image in zip(line, images, strict=True):
            show(axis, image)
    set_title(figure, title)
    return finish(figure, path)


def _same_length(rows):
    """The number of images in each row; ValueError if it is not the same."""
    count = len(rows["originals"])
    for name, images in rows.items():
        if len(images) != count:
            raise ValueError(
                f"`{name}` must have an image for each of `originals`, to be drawn below it. "
                f"Received: {len(images)} for {count} originals"
            )
    return count


@styled
def image_grid(
    images: Tensor,
    path: FilePath | None = None,
    columns: int | None = None,
    title: str | None = "Images, row by row",
) -> "Figure":
    """Draws images in rows.

    Args:
        images: images (N, H, W, C) in [0, 1] or uint8, C of 1 or 3.
        path: file to save to.
        columns: number of images in a row; by default the grid is about square.
        title: title of the figure, or None.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: if these are no images.
    """
    images = checked_images(images, "images")
    columns = columns or int(np.ceil(np.sqrt(len(images))))
    figure, axes = grid(-(-len(images) // columns), columns, top=TITLE if title else 0.0)
    for axis, image in zip(axes.flat, images, strict=False):
        show(axis, image)
    set_title(figure, title)
    return finish(figure, path)


def mosaic(images: np.ndarray, columns: int) -> np.ndarray:
    """Joins images to one picture.

    Args:
        images: images (N, H, W, C); N must fill the rows.
        columns: number of images in a row.

    Returns:
        NumPy array (rows * H, columns * W, C).
    """
    count, height, width, channels = images.shape
    rows = count // columns
    grid = images.reshape(rows, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    return grid.reshape(rows * height, columns * width, channels)


def is_image(shape: Sequence[int]) -> bool:
    """Returns whether an example of this shape, (H, W, C), can be drawn."""
    return len(shape) == 3 and shape[-1] in (1, 3)


def checked_images(x: Tensor, argument: str) -> np.ndarray:
    """Returns images (N, H, W, C) of numbers in [0, 1], or raises ValueError."""
    x = np.asarray(x)
    x = x[..., None] if x.ndim == 3 else x
    if x.ndim != 4 or len(x) == 0 or not is_image(x.shape[1:]):
        raise ValueError(
            f"`{argument}` must be one or more images of shape (N, height, width, 1 or 3), to be "
            "drawn. "
            f"Received: {argument} with shape={x.shape}"
        )
    return x / 255 if x.dtype == np.uint8 else np.clip(x, 0, 1)


def show(axis: Any, image: np.ndarray) -> None:
    """Draws an image (H, W, C) to an axis, the grey ones from black at 0 to white at 1."""
    if image.shape[-1] == 1:
        axis.imshow(image[..., 0], cmap="gray", vmin=0, vmax=1)
    else:
        axis.imshow(image)
