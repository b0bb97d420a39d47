"""The data that a command names."""

import argparse
import sys
from typing import Any, cast

import numpy as np

from keras_vae import datasets
from keras_vae.typing import FilePath

BATCH_SIZE = 128
"""Examples in a batch of images."""


def batch_size(arguments: argparse.Namespace) -> int:
    """Returns what `--batch-size` says, or the default for images."""
    return arguments.batch_size or BATCH_SIZE


def load_data(name: FilePath | None, strict: bool = False) -> datasets.Splits:
    """Loads the named data, or Fashion-MNIST if no name is given.

    Where no name is given and Fashion-MNIST cannot be had, the built-in shapes stand in for it.
    """
    if name is not None:
        return _named(name, strict)
    try:
        return datasets.load("fashion_mnist")
    except ValueError as error:
        print(
            f"\n*** Fashion-MNIST cannot be downloaded ({error}).\n"
            "*** USING THE BUILT-IN DRAWN SHAPES INSTEAD. Name your data with --data.\n",
            file=sys.stderr,
        )
        return datasets.load("shapes")


def _named(name, strict):
    splits = datasets.load(name, strict)
    skipped = getattr(splits.train, "skipped", 0)
    if skipped:
        print(f"Left out {skipped} files in {name} that are no whole images.", file=sys.stderr)
    return splits


def some(source: Any, count: int) -> np.ndarray:
    """Returns the first examples of a data set as float32, 8-bit images scaled to [0, 1]."""
    return cast(np.ndarray, datasets.Batches(source, min(count, len(source)))[0])
