"""A folder of images, read when indexed."""

import math
import pathlib
import struct
from collections.abc import Sequence

import keras
import numpy as np

from keras_vae.typing import FilePath, Rows

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif"}
MAX_PIXELS = 100_000_000
_SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"GIF8")


class ImageFolder:
    """The images below a folder, read when indexed with an array of integers: (B, H, W, C), uint8.

    Args:
        path: folder, searched with all its subfolders; the images are in the order of their paths.
        image_size: (H, W); by default that of the first image. Images of another size are scaled,
            and cropped at the centre where their proportions differ.
        channels: 3 for colour, 1 for grey.
        strict: whether to refuse a folder with a damaged image, instead of leaving it out.
        check: whether to decode every image once to see that it is whole. Without it the folder
            opens faster, and a truncated image raises in the midst of training.

    Attributes:
        paths: of the images.
        shape: (N, H, W, C).
        skipped: the number of files with the name of an image that cannot be read (not an image,
            truncated, of over 100 million pixels, a dangling link), which are left out.

    Raises:
        ValueError: if there is no such folder, or no image in it, or with `strict` a damaged one.

    Example: `datasets.Batches(ImageFolder("photos", image_size=(64, 64)), 64, shuffle=True)`.
    """

    dtype = np.dtype("uint8")

    def __init__(
        self,
        path: FilePath,
        image_size: Sequence[int] | None = None,
        channels: int = 3,
        strict: bool = False,
        check: bool = True,
    ) -> None:
        path = pathlib.Path(path)
        if not path.is_dir():
            raise ValueError(f"`path` must be a folder of images. Received: path={str(path)!r}")
        self.channels = channels
        named = [p for p in sorted(path.rglob("*")) if p.suffix.lower() in IMAGE_SUFFIXES]
        files = [p for p in named if not p.is_dir()]
        is_image = self._is_whole if check else _looks_like_an_image
        self.paths = [p for p in files if is_image(p)]
        self.skipped = len(files) - len(self.paths)
        if strict and self.skipped:
            damaged = sorted(set(files) - set(self.paths))
            raise ValueError(
                "`path` must hold images only that can be read, with `strict`; "
                f"{self.skipped} cannot, the first of them {damaged[0].name}. "
                f"Received: path={str(path)!r}"
            )
        if not self.paths:
            raise ValueError(
                f"`path` must hold images that can be read ({', '.join(sorted(IMAGE_SUFFIXES))}). "
                f"Received: path={str(path)!r} with {len(files)} files of such a name, none of "
                "them an image"
            )
        self.image_size = tuple(image_size or self._decode(self.paths[0]).shape[:2])

    @property
    def shape(self) -> tuple[int, ...]:
        """Returns (N, H, W, C)."""
        return (len(self.paths), *self.image_size, self.channels)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: Rows) -> "np.ndarray | ImageFolder":
        if isinstance(rows, slice):
            return self._part(self.paths[rows])
        return np.stack([self._read(self.paths[row]) for row in rows])

    def split(self, every: int = 10) -> tuple["ImageFolder", "ImageFolder"]:
        """Splits the folder by holding files out for testing.

        Args:
            every: int; of so many files one is for testing.

        Returns:
            Tuple of the training part and the test part.
        """
        test = self.paths[::every]
        train = [p for i, p in enumerate(self.paths) if i % every]
        return self._part(train or test), self._part(test)

    def _part(self, paths):
        part = object.__new__(ImageFolder)
        part.__dict__.update(self.__dict__, paths=paths)
        return part

    def _read(self, path):
        image = self._decode(path)
        if image.shape[:2] != self.image_size:
            image = keras.ops.image.resize(
                keras.ops.cast(image, "float32"),
                self.image_size,
                antialias=True,
                crop_to_aspect_ratio=True,
            )
            image = np.clip(np.round(keras.ops.convert_to_numpy(image)), 0, 255).astype("uint8")
        return image

    def _is_whole(self, path):
        try:
            return _looks_like_an_image(path) and self._decode(path) is not None
        except (ValueError, OSError):
            return False

    def _decode(self, path):
        import tensorflow as tf

        content = path.read_bytes()
        try:
            if math.prod(_size(content)) > MAX_PIXELS:
                raise ValueError(
                    f"Every image must have at most {MAX_PIXELS:,} pixels, to fit into memory. "
                    f"Received: {str(path)!r}"
                )
            image = tf.io.decode_image(content, 3, expand_animations=False)
        except (tf.errors.InvalidArgumentError, struct.error) as error:
            raise ValueError(
                "Every image must be readable; this one is damaged, so delete or replace it. "
                f"Received: {str(path)!r}"
            ) from error
        # TensorFlow decodes no BMP or GIF to grey by itself
        return (tf.image.rgb_to_grayscale(image) if self.channels == 1 else image).numpy()


def _size(content):
    """(height, width) or (width, height), from the header alone."""
    if content.startswith(b"\x89PNG"):
        return struct.unpack(">II", content[16:24])
    if content.startswith(b"GIF8"):
        return struct.unpack("<HH", content[6:10])
    if content.startswith(b"BM"):
        return tuple(map(abs, struct.unpack("<ii", content[18:26])))
    import tensorflow as tf

    return tuple(tf.io.extract_jpeg_shape(content).numpy()[:2].tolist())


def _looks_like_an_image(path):
    try:
        with open(path, "rb") as file:
            return file.read(8).startswith(_SIGNATURES)
    except OSError:  # a dangling link
        return False
