"""`keras-vae encode`."""

import argparse
import csv
from typing import Any

import numpy as np

from keras_vae import datasets, saving
from keras_vae.cli.data import load_data


def encode(arguments: argparse.Namespace) -> None:
    """Writes the codes of the test set: one row an example, the label last if there is one."""
    vae = saving.load_model(arguments.model)
    splits = load_data(arguments.data, arguments.strict)
    codes = vae.encode(datasets.Batches(splits.test, arguments.batch_size))
    rows = table(codes, splits.test_labels)
    with saving.atomic(arguments.output) as temporary, open(temporary, "w", newline="") as file:
        csv.writer(file).writerows(rows)
    print(f"Wrote {len(codes)} codes to {arguments.output}")


def table(codes: np.ndarray, labels: np.ndarray | None = None) -> list[list[Any]]:
    """Returns the rows of the file, the header first."""
    rows = [[f"z{i}" for i in range(codes.shape[1])], *codes.tolist()]
    if labels is None:
        return rows
    last = ["label", *np.asarray(labels).tolist()]
    return [[*row, label] for row, label in zip(rows, last, strict=True)]
