"""Folders of images, whose files become arrays one batch at a time."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from keras_vae.data_adapters.arrays import RowSource
from keras_vae.datasets.batches import as_float
from keras_vae.datasets.images import ImageFolder


class FolderAdapter:
    """A `datasets.ImageFolder`."""

    @staticmethod
    def accepts(value: Any) -> bool:
        """Returns whether `value` is a folder of images."""
        return isinstance(value, ImageFolder)

    @staticmethod
    def read(value: Any, argument: str, missing: bool = False) -> "FolderRows":
        """Returns a `RowSource` of the images."""
        return FolderRows(value)


class FolderRows(RowSource):
    """The images of a folder as float32 in [0, 1].

    The first of them stand for all in checks, because every 8-bit pixel is finite and in [0, 1].

    Args:
        folder: an `ImageFolder`.
    """

    rows_to_check = 1

    def __init__(self, folder: ImageFolder) -> None:
        super().__init__(folder, as_float)
        self.dtype = np.dtype("float32")

    def scaled_to(self, shape: Sequence[int | None]) -> Self:
        """Returns the images as a model takes them.

        Args:
            shape: (H, W, C) of the model's images, with None for any length. Other shapes are no
                images, and leave the folder as it is.

        Returns:
            The images, scaled to H and W and converted to C channels where it is 1 or 3.
        """
        if len(shape) != 3 or shape[-1] not in (1, 3, None):
            return self
        wanted = [want or own for want, own in zip(shape, self.shape[1:], strict=True)]
        return type(self)(self.rows.scaled_to(wanted[:2], wanted[2]))


def scaled_to_model(parts: dict[str, Any], x_shape: Any, target_shape: Any) -> dict[str, Any]:
    """Returns the parts of a batch, with folders of images in the shapes that a model takes.

    Args:
        parts: dict of arrays: `x`, and `target` where there is one.
        x_shape, target_shape: shapes of one example.
    """
    shapes = {"x": x_shape, "target": target_shape}
    folders = {key: parts[key] for key in shapes if isinstance(parts.get(key), FolderRows)}
    return parts | {key: rows.scaled_to(shapes[key]) for key, rows in folders.items()}
