"""`keras-vae encode`."""

import argparse
import csv
from typing import Any

import numpy as np

from keras_vae import datasets, saving
from keras_vae.cli import rows, run_file
from keras_vae.cli.data import batch_size, load_for
from keras_vae.cli.output import check_new
from keras_vae.cli.table import check_no_rows, read_rows
from keras_vae.model import VAE
from keras_vae.tables import TableVAE

SUFFIXES = (".csv", ".npy", ".parquet")
_OF_SPLIT = {"train": "those to train on", "test": "those held out", "all": "train and test"}


def encode(arguments: argparse.Namespace) -> None:
    """Writes the codes of all examples or rows, with the names of their files and labels."""
    check_new([arguments.output], SUFFIXES, arguments.overwrite)
    if arguments.output.endswith(".parquet"):
        rows.library(arguments.output)  # or an ImportError before the work
    run_file.take_data(arguments)
    vae = saving.load_model(arguments.model)
    if isinstance(vae, TableVAE):
        columns, what = of_table(vae, arguments), f"all rows of {arguments.data}"
    else:
        columns = of_split(vae, arguments)
        data = arguments.data or "the data"
        what = f"examples of {data}, split {arguments.split!r} ({_OF_SPLIT[arguments.split]})"
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
    splits = load_for(vae, arguments)
    own = {"train": ["train"], "test": ["test"], "all": ["train", "test"]}[arguments.split]
    parts = [of_part(vae, splits, name, batch_size(arguments)) for name in own]
    common = [name for name in parts[0] if all(name in part for part in parts)]
    return {name: [value for part in parts for value in part[name]] for name in common}


def of_part(vae: VAE, splits: datasets.Splits, name: str, batch: int) -> dict[str, list[Any]]:
    """Returns the columns of the training or of the test examples."""
    source, labels = getattr(splits, name), getattr(splits, f"{name}_labels")
    codes = np.reshape(vae.encode(datasets.Batches(source, batch)), (len(source), -1))
    columns: dict[str, list[Any]] = {"split": [name] * len(source)}
    if hasattr(source, "paths"):
        columns["file"] = [str(path) for path in source.paths]
    columns |= named(codes)
    return columns if labels is None else columns | {"label": np.asarray(labels).tolist()}


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
