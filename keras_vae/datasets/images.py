"""A folder of images, read when indexed."""

import pathlib

import keras
import numpy as np

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif"}
_SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"GIF8")


class ImageFolder:
    """The images below a folder, read when indexed with an array of integers: (B, H, W, C), uint8.

    Args:
        path: folder, searched with all its subfolders; the images are in the order of their paths.
        image_size: (H, W); by default that of the first image. Images of another size are scaled,
            and cropped at the centre where their proportions differ.
        channels: 3 for colour, 1 for grey.

    Attributes: `paths`; `shape`, (N, H, W, C); `skipped`, the number of files with the name of an
    image but the content of none, which are left out.

    Raises:
        ValueError: if there is no such folder, or no image in it.

    Example: `Batches(ImageFolder("photos", image_size=(64, 64)), batch_size=64, shuffle=True)`.
    """

    dtype = np.dtype("uint8")

    def __init__(self, path, image_size=None, channels=3):
        path = pathlib.Path(path)
        if not path.is_dir():
            raise ValueError(f"`path` must be a folder of images. Received: path={str(path)!r}")
        named = [p for p in sorted(path.rglob("*")) if p.suffix.lower() in IMAGE_SUFFIXES]
        files = [p for p in named if p.is_file()]
        self.paths = [p for p in files if _looks_like_an_image(p)]
        self.skipped = len(files) - len(self.paths)
        if not self.paths:
            raise ValueError(
                f"`path` must hold images that can be read ({', '.join(sorted(IMAGE_SUFFIXES))}). "
                f"Received: path={str(path)!r} with {len(files)} files of such a name, none of "
                "them an image"
            )
        self.channels = channels
        self.image_size = tuple(image_size or self._decode(self.paths[0]).shape[:2])

    @property
    def shape(self):
        return (len(self.paths), *self.image_size, self.channels)

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, rows):
        if isinstance(rows, slice):
            return self._part(self.paths[rows])
        return np.stack([self._read(self.paths[row]) for row in rows])

    def split(self, every=10):
        """(training part, test part): every tenth file is for testing."""
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

    def _decode(self, path):
        import tensorflow as tf

        try:
            image = tf.io.decode_image(path.read_bytes(), 3, expand_animations=False)
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(
                "Every image must be readable; this one is damaged, so delete or replace it. "
                f"Received: {str(path)!r}"
            ) from error
        # TensorFlow decodes no BMP or GIF to grey by itself
        return (tf.image.rgb_to_grayscale(image) if self.channels == 1 else image).numpy()


def _looks_like_an_image(path):
    with open(path, "rb") as file:
        return file.read(8).startswith(_SIGNATURES)
