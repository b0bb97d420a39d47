"""`keras-vae encode`."""

import argparse
import csv
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_vae import datasets, saving
from keras_vae.cli import rows
from keras_vae.cli.data import batch_size, load_data
from keras_vae.cli.output import check_new
from keras_vae.cli.table import check_no_rows, read_rows
from keras_vae.model import VAE
from keras_vae.tables import TableVAE

SUFFIXES = (".csv", ".npy", ".parquet")


def encode(arguments: argparse.Namespace) -> None:
    """Writes codes: of all rows of a table, or of the test set with its labels."""
    check_new([arguments.output], SUFFIXES, arguments.overwrite)
    vae = saving.load_model(arguments.model)
    if isinstance(vae, TableVAE):
        columns, what = of_table(vae, arguments), f"all rows of {arguments.data}"
    else:
        columns, what = of_split(vae, arguments), f"the {arguments.split} set"
    write(columns, arguments.output)
    print(f"Wrote {len(columns['z0'])} codes of {what} to {arguments.output}")


def of_table(vae: TableVAE, arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns the columns of the file: the row, and the code."""
    frame = read_rows(vae, arguments)
    codes = vae.encode(frame, batch_size=batch_size(arguments))
    return rows.index(frame, ()) | named(codes)


def of_split(vae: VAE, arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns the columns of the file: the image's file if there is one, the code, the label."""
    check_no_rows(vae, arguments.data)
    splits = load_data(arguments.data, arguments.strict)
    parts = {
        "test": [(splits.test, splits.test_labels)],
        "train": [(splits.train, splits.train_labels)],
    }
    parts["all"] = [*parts["train"], *parts["test"]]
    sources, labels = zip(*parts[arguments.split], strict=True)
    found = [vae.encode(datasets.Batches(source, batch_size(arguments))) for source in sources]
    columns = files(sources) | named(np.concatenate(found))
    if any(own is None for own in labels):
        return columns
    return columns | {"label": np.concatenate(labels).tolist()}


def files(sources: Sequence[Any]) -> dict[str, list[str]]:
    """Returns a column of the files of the images, or none where they are not from a folder."""
    paths = [str(path) for source in sources for path in getattr(source, "paths", ())]
    return {"file": paths} if paths else {}


def named(codes: np.ndarray) -> dict[str, list[float]]:
    """Returns the dimensions of codes as columns."""
    return {f"z{i}": column.tolist() for i, column in enumerate(codes.T)}


def write(columns: dict[str, Any], path: str) -> None:
    """Writes columns as text or Parquet, or the codes alone as an array."""
    if path.endswith(".npy"):
        codes = [column for name, column in columns.items() if name[0] == "z"]
        with saving.atomic(path) as temporary, open(temporary, "wb") as file:
            np.save(file, np.array(codes, "float32").T, allow_pickle=False)
    elif path.endswith(".parquet"):
        rows.write(rows.make(columns, rows.library(path)), path)
    else:
        with saving.atomic(path) as temporary, open(temporary, "w", newline="") as file:
            csv.writer(file).writerows([list(columns), *zip(*columns.values(), strict=True)])
