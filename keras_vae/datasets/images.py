"""A folder of images, read when indexed."""

import copy
import math
import numbers
import operator
import pathlib
import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from keras_vae.datasets import decoding, folders
from keras_vae.typing import FilePath, Rows
from keras_vae.validation import positive_integer

CACHE_BYTES = 2**30
"""How much memory the scaled images of a folder may take: 1 GiB, or 87,000 of 64 x 64 in colour."""


class ImageFolder:
    """The images below a folder as an array (N, H, W, C) of uint8, read when it is indexed.

    `fit`, `evaluate`, `encode` and the other methods of a model take a folder. They scale its
    images to the size and the channels of the model, and their values to [0, 1]. Needs
    `pip install "keras_vae[images]"`.

    PNG, JPEG, WebP, TIFF, GIF and BMP are read: turned as their EXIF data say, transparent ones
    over `background`, 16-bit greys scaled to 8 bits, of animations the first frame.

    Args:
        path: folder, searched with all its subfolders; the images are in the order of their paths.
        image_size: int or (H, W). Images of another size are scaled, and cropped at the centre
            where their proportions differ.
        channels: 3 for colour, 1 for grey.
        strict: whether to refuse a folder with a file that cannot be read, instead of leaving the
            file out.
        check: whether to decode every image once to see that it is whole. Without it the folder
            opens faster, and a truncated image raises in the midst of training.
        background: name of the colour behind transparent images, or one like "#ffa040".
        cache_bytes: how much memory the scaled images may take. Those that fit are decoded once.

    Attributes:
        paths: of the images.
        shape: (N, H, W, C).
        labels: integers (N,) if each class has a folder of its own, else None.
        class_names: names of these folders, or None.
        skipped_paths: files and folders that are left out, because they cannot be read or are
            images of another kind, such as HEIC.
        skipped: how many these are.

    Raises:
        ValueError: if there is no such folder, or no image in it, or with `strict` a damaged one.

    Example:

    ```python
    train, test = keras_vae.datasets.ImageFolder("photos", image_size=32).split()
    vae = keras_vae.recipes.vae(train.shape[1:], latent_dim=16)
    vae.compile("adam")
    vae.fit(train, epochs=10)
    codes = vae.encode(test)
    ```
    """

    dtype = np.dtype("uint8")

    def __init__(
        self,
        path: FilePath,
        image_size: int | Sequence[int] = 64,
        channels: int = 3,
        strict: bool = False,
        check: bool = True,
        background: str = "white",
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.path = pathlib.Path(path)
        if not self.path.is_dir():
            raise ValueError(f"`path` must be a folder of images. Received: path={str(path)!r}")
        size = _pair(image_size)
        self._form = decoding.Form(size, _channels(channels), decoding.colour(background))
        self._files, self.skipped_paths = folders.find(self.path)
        self._cache = _Cache(cache_bytes)
        self._rows = np.arange(len(self._files))
        self._leave_out_damaged(check)
        self._check_some(strict)
        self._rows.flags.writeable = False
        self._labels, self.class_names = self._classes()

    def _leave_out_damaged(self, check):
        is_image = self._is_whole if check else lambda row: decoding.has_header(self._files[row])
        with warnings.catch_warnings():  # Pillow warns of what is found and counted here
            warnings.simplefilter("ignore")
            whole = np.array([is_image(row) for row in self._rows], "bool")
        self.skipped_paths += [self._files[row] for row in self._rows[~whole]]
        self._rows = self._rows[whole]

    def _is_whole(self, row):
        try:
            self._read(row)
        except ValueError:
            return False
        return True

    def _check_some(self, strict):
        if strict and self.skipped_paths:
            raise ValueError(
                "`path` must hold images only that can be read, with `strict`; "
                f"{self.skipped} cannot, the first of them {self.skipped_paths[0].name}. "
                f"Received: path={str(self.path)!r}"
            )
        if len(self._rows) == 0:
            suffixes = ", ".join(sorted(folders.IMAGE_SUFFIXES))
            raise ValueError(
                f"`path` must hold images that can be read ({suffixes}). Received: "
                f"path={str(self.path)!r} with {self.skipped} files of such a name, none of them "
                "an image"
            )

    def _classes(self):
        """Labels by the number of the file, and the names of the classes."""
        labels, names = folders.classes(self.paths, self.path)
        if labels is None:
            return None, None
        by_file = np.zeros(len(self._files), int)
        by_file[self._rows] = labels
        return by_file, names

    @property
    def paths(self) -> list[pathlib.Path]:
        """Returns the files of the images."""
        return [self._files[row] for row in self._rows]

    @property
    def labels(self) -> np.ndarray | None:
        """Returns the classes of the images, integers (N,), or None."""
        return None if self._labels is None else self._labels[self._rows]

    @property
    def skipped(self) -> int:
        """Returns how many files were left out."""
        return len(self.skipped_paths)

    @property
    def image_size(self) -> tuple[int, int]:
        """Returns (H, W)."""
        return self._form.image_size

    @property
    def channels(self) -> int:
        """Returns 3 for colour, 1 for grey."""
        return self._form.channels

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Returns (N, H, W, C)."""
        return (len(self), *self._form.shape)

    @property
    def ndim(self) -> int:
        """Returns 4."""
        return 4

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        height, width, channels = self._form.shape
        names = f", {len(self.class_names)} classes" if self.class_names else ""
        skipped = f", {self.skipped} files left out" if self.skipped else ""
        size = f"{height} x {width} x {channels}"
        return f"<ImageFolder {self.path}: {len(self)} images, {size}{names}{skipped}>"

    def __getitem__(self, rows: Rows | int) -> Any:
        """Returns one image (H, W, C), several (B, H, W, C), or for a slice a part of the folder.

        Args:
            rows: an integer, an array of integers or booleans, or a slice.

        Raises:
            IndexError: if there is no such image.
            ValueError: if an image has been damaged since the folder was opened.
        """
        if isinstance(rows, slice):
            return self._part(self._rows[rows])
        if isinstance(rows, numbers.Integral):
            return self._read(self._rows[operator.index(rows)]).copy()
        rows = np.asarray(rows)
        chosen = self._rows[rows if rows.size else rows.astype(int)]
        images = np.empty((len(chosen), *self._form.shape), self.dtype)
        for place, row in enumerate(chosen):
            images[place] = self._read(row)
        return images

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        images = self[np.arange(len(self))]
        return images if dtype is None else images.astype(dtype)

    def split(self, every: int = 10) -> tuple[Self, Self]:
        """Splits the folder by holding images out for testing, always the same ones.

        With classes, each holds out its share, and both parts go through the classes in turn.

        Args:
            every: int of at least 2; of so many images of a class the first is for testing. A
                class with one image is for training only.

        Returns:
            Tuple of the training part and the test part.

        Raises:
            ValueError: if there are fewer than two images.
        """
        if positive_integer(every, "every", "of so many images one is for testing") < 2:
            raise ValueError(
                "`every` must be at least 2, so that images are left to train on. "
                f"Received: every={every}"
            )
        if len(self) < 2:
            raise ValueError(
                "`path` must hold at least two images, one to train on and one held out for "
                f"testing; add images. Received: path={str(self.path)!r} with {len(self)}"
            )
        train, test = folders.divide(len(self), self.labels, every)
        return self._part(self._rows[train]), self._part(self._rows[test])

    def scaled_to(self, image_size: int | Sequence[int], channels: int) -> Self:
        """Returns the same images in another size, or with other channels.

        Args:
            image_size, channels: as for the class.

        Returns:
            An `ImageFolder`.
        """
        scaled = copy.copy(self)
        scaled._form = self._form._replace(
            image_size=_pair(image_size), channels=_channels(channels)
        )
        return scaled

    def _part(self, rows):
        part = copy.copy(self)
        part._rows = rows
        return part

    def _read(self, row):
        """The image of a file: from memory, or decoded and kept there if it fits."""
        images, known = self._cache.store(self._form, len(self._files))
        if row >= len(images):
            return decoding.read(self._files[row], self._form)
        if not known[row]:
            images[row] = decoding.read(self._files[row], self._form)
            known[row] = True
        return images[row]


class _Cache:
    """Decoded images, for each form that they were asked for in, within a number of bytes."""

    def __init__(self, max_bytes: int) -> None:
        self.left = max_bytes
        self.stores: dict[decoding.Form, tuple[np.ndarray, np.ndarray]] = {}

    def store(self, form, count):
        """The first images of so many in a form, as many as fit, and which are known."""
        if form not in self.stores:
            size = math.prod(form.shape)
            kept = max(0, min(count, self.left // size))
            self.left -= kept * size
            self.stores[form] = np.empty((kept, *form.shape), "uint8"), np.zeros(kept, "bool")
        return self.stores[form]


def _pair(image_size):
    """(H, W) of an int or a pair."""
    sides = image_size if isinstance(image_size, Sequence) else (image_size, image_size)
    if len(sides) != 2:
        raise ValueError(
            "`image_size` must be an integer or (height, width), to which images are scaled. "
            f"Received: image_size={image_size!r}"
        )
    height, width = (positive_integer(n, "image_size", "height and width") for n in sides)
    return height, width


def _channels(channels):
    if channels not in (1, 3):
        raise ValueError(
            "`channels` must be 3 for colour or 1 for grey, to which images are converted. "
            f"Received: channels={channels!r}"
        )
    return int(channels)
