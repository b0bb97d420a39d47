"""One image file as an array of 8-bit pixels, read with Pillow."""

import pathlib
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from keras_vae.validation import optional

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
"""What is read, whatever the name of the file says. Other formats of Pillow run other programs."""
MAX_PIXELS = 100_000_000
"""A file of more pixels is refused, because a small file may claim to be a huge image."""


class Form(NamedTuple):
    """What every image of a folder becomes: its size, its channels, the colour behind it."""

    image_size: tuple[int, int]
    channels: int
    background: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Returns (H, W, C)."""
        return (*self.image_size, self.channels)


def read(path: pathlib.Path, form: Form) -> np.ndarray:
    """Reads an image: turned as its EXIF data say, opaque, scaled, and cropped at the centre.

    Args:
        path: file in one of `FORMATS`. Of an animation the first frame is read.
        form: what it becomes.

    Returns:
        uint8 (H, W, C).

    Raises:
        ValueError: if it cannot be read.
    """
    mode, (height, width) = "L" if form.channels == 1 else "RGB", form.image_size
    try:
        with _opened(path) as image:
            twice = 2 * max(height, width)  # for both sides, because EXIF data may swap them
            image.draft(mode, (twice, twice))  # decodes a JPEG no larger than needed
            pillow("ImageOps").exif_transpose(image, in_place=True)
            opaque = _over(_in_eight_bits(image), form.background)
            middle = _middle(_in_mode(opaque, mode), width, height)
            scaled = middle.resize((width, height), pillow("Image").Resampling.BICUBIC)
            return np.asarray(scaled).reshape(form.shape)
    except Exception as error:  # Pillow raises whatever a damaged file leads it to
        raise ValueError(
            f"Every image must be readable; this one is damaged or of another kind ({error}), so "
            f"delete or replace it. Received: {str(path)!r}"
        ) from error


def has_header(path: pathlib.Path) -> bool:
    """Returns whether a file begins like an image that can be read; decodes no pixel."""
    try:
        with _opened(path):
            return True
    except Exception:
        return False


def pillow(module: str) -> ModuleType:
    """Returns a module of Pillow.

    Args:
        module: name of the module, such as "Image".

    Raises:
        ImportError: if Pillow is not installed.
    """
    return optional(f"PIL.{module}", "images", "Folders of images")


def colour(name: str) -> tuple[int, ...]:
    """Returns (red, green, blue) of a colour by name, or of one like "#ffa040".

    Raises:
        ValueError: if there is no such colour.
    """
    try:
        return pillow("ImageColor").getrgb(name)[:3]
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(
            "`background` must be the name of a colour, such as 'white' or '#ffa040': it shows "
            f"where images are transparent. Received: background={name!r}"
        ) from error


def _opened(path):
    if not path.is_file():  # a pipe would wait for ever
        raise ValueError("it is no file")
    image = pillow("Image").open(path, formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise ValueError(f"it has more than {MAX_PIXELS:,} pixels, too many to fit into memory")
    return image


def _in_eight_bits(image: Any) -> Any:
    """Scales 16-bit greys, which Pillow would clip at 255."""
    if image.mode == "F":
        raise ValueError("its pixels are floats, which do not say what is white")
    if not image.mode.startswith("I"):
        return image
    pixels = np.asarray(image).astype("int64")
    if pixels.min() < 0 or pixels.max() > 65_535:
        raise ValueError("its pixels have 32 bits, which do not say what is white")
    return pillow("Image").fromarray(((pixels + 128) // 257).astype("uint8"))


def _over(image, background):
    """Puts a transparent image over a colour."""
    bands = {"A", "a"} & set(image.getbands())
    if not bands and "transparency" not in image.info:
        return image
    behind = pillow("Image").new("RGBA", image.size, (*background, 255))
    behind.alpha_composite(image.convert("RGBA"))
    return behind


def _in_mode(image, mode):
    return image if image.mode == mode else image.convert(mode)


def _middle(image, width, height):
    """Cuts off what is too wide or too high for the proportions of width and height."""
    kept_width = max(1, min(image.width, round(image.height * width / height)))
    kept_height = max(1, min(image.height, round(image.width * height / width)))
    if (kept_width, kept_height) == image.size:
        return image
    left, top = (image.width - kept_width) // 2, (image.height - kept_height) // 2
    return image.crop((left, top, left + kept_width, top + kept_height))
