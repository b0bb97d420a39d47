"""The data that a command names."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from keras_vae import datasets
from keras_vae.model import VAE
from keras_vae.typing import FilePath

BATCH_SIZE = 128
"""Examples in a batch of images."""
IMAGE_SIZE = 64
"""Height and width to which `train` scales the images of a folder."""


def batch_size(arguments: argparse.Namespace) -> int:
    """Returns what `--batch-size` says, or the default for images."""
    return arguments.batch_size or BATCH_SIZE


def load_data(
    name: FilePath | None,
    strict: bool = False,
    image_size: int | Sequence[int] | None = None,
    channels: int = 3,
) -> datasets.Splits:
    """Loads the named data, or Fashion-MNIST if no name is given.

    Where no name is given and Fashion-MNIST cannot be had, the built-in shapes stand in for it.
    """
    if name is not None:
        return _named(name, strict, image_size or IMAGE_SIZE, channels)
    try:
        return datasets.load("fashion_mnist")
    except ValueError as error:
        if isinstance(error.__cause__, datasets.files.DAMAGED):
            raise
        print(
            f"\n*** Fashion-MNIST cannot be downloaded ({error}).\n"
            "*** USING THE BUILT-IN DRAWN SHAPES INSTEAD. Name your data with --data.\n",
            file=sys.stderr,
        )
        return datasets.load("shapes")


def load_for(vae: VAE, arguments: argparse.Namespace) -> datasets.Splits:
    """Loads what `--data` names for a trained model; scales a folder of images to what it takes."""
    shape = tuple(vae.x_shape)
    if len(shape) == 3 and None not in shape and shape[2] in (1, 3):
        return load_data(arguments.data, arguments.strict, shape[:2], shape[2])
    return load_data(arguments.data, arguments.strict)


def name_of(splits: datasets.Splits) -> str:
    """Returns the name of the data that are used where `--data` names none."""
    return "shapes" if splits.class_names == datasets.SHAPES else "fashion_mnist"


def check_image_size(splits: datasets.Splits, arguments: argparse.Namespace) -> None:
    """Refuses `--image-size` for data that are not scaled."""
    if arguments.image_size and not isinstance(splits.train, datasets.ImageFolder):
        raise ValueError(
            "`--image-size` must be left out unless --data is a folder of images, because arrays "
            f"keep their size. Received: --image-size={arguments.image_size} "
            f"--data={arguments.data}"
        )


def _named(name, strict, image_size, channels):
    splits = datasets.load(name, strict, image_size, channels)
    if isinstance(splits.train, datasets.ImageFolder):
        print(_about(splits), file=sys.stderr)
    return splits


def _about(splits):
    """What was found in a folder, in one line."""
    train, test = splits.train, splits.test
    height, width, _ = train.shape[1:]
    classes = f" in {len(splits.class_names)} classes" if splits.class_names else ""
    skipped = f", left out {train.skipped} files that are no whole images" if train.skipped else ""
    return (
        f"{train.path}: {len(train)} images to train on and {len(test)} held out{classes}, each "
        f"scaled to {height} x {width} and cropped at the centre{skipped}."
    )


def some(source: Any, count: int) -> np.ndarray:
    """Returns the first examples of a data set as float32, 8-bit images scaled to [0, 1]."""
    return cast(np.ndarray, datasets.Batches(source, min(count, len(source)))[0])
