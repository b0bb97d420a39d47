"""Anomaly maps: where an image is unlike what the model knows."""

from typing import TYPE_CHECKING

import numpy as np

from keras_vae.plotting.images import checked_images, show
from keras_vae.plotting.style import TITLE, finish, grid, label, set_title, styled
from keras_vae.typing import FilePath, Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BRIGHT = 0.995
"""The quantile of a map that is drawn brightest."""


@styled
def anomaly_maps(
    images: Tensor,
    scores: Tensor,
    path: FilePath | None = None,
    max_columns: int = 10,
    title: str | None = "Images, and the nats of each pixel: bright where it is unexpected",
) -> "Figure":
    """Draws images over maps of the scores of their pixels, which `vae.explain` returns.

    All maps share one scale, from the median of the scores to their 99.5 % quantile, so that images
    can be compared.

    Args:
        images: images (N, H, W, C) in [0, 1] or uint8, C of 1 or 3.
        scores: numbers like `images`, of which those of a pixel's channels are added up.
        path: file to save to.
        max_columns: how many of the images to show.
        title: title of the figure, or None.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: if these are no images, or the scores have another shape.

    Example: `keras_vae.plotting.anomaly_maps(x_test[:10], vae.explain(x_test[:10]))`.
    """
    images, scores = checked_images(images, "images"), np.asarray(scores)
    if scores.shape != images.shape:
        raise ValueError(
            "`scores` must be shaped like `images`, as `explain` returns them, because each pixel "
            f"is coloured by its own. Received: scores with shape={scores.shape} for images with "
            f"shape={images.shape}"
        )
    maps = scores[:max_columns].sum(axis=-1)
    low, high = np.quantile(maps, (0.5, _BRIGHT))
    figure, axes = grid(2, len(maps), left=0.9, top=TITLE if title else 0.0)
    for row, name in zip(axes, ("image", "nats"), strict=True):
        label(row[0], name)
    for upper, lower, image, own in zip(*axes, images, maps, strict=False):
        show(upper, image)
        lower.imshow(own, cmap="magma", vmin=low, vmax=high)
    set_title(figure, title)
    return finish(figure, path)
