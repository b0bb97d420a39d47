"""What the commands for tables share: the model, its rows, and values that are typed."""

import argparse
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_vae import saving
from keras_vae.cli import rows
from keras_vae.tables import Table, TableVAE, kinds
from keras_vae_cli.settings import is_rows_file


def load_table_model(arguments: argparse.Namespace) -> TableVAE:
    """Loads a model of a table, or raises ValueError."""
    vae = saving.load_model(arguments.model)
    if not isinstance(vae, TableVAE):
        raise ValueError(
            "`model` must be of a table, as `keras-vae train --data rows.csv` leaves it, because "
            f"this command is about rows. Received: {arguments.model}, a {type(vae).__name__}"
        )
    return vae


def read_rows(vae: TableVAE, arguments: argparse.Namespace, *paths: str) -> Any:
    """Reads the rows of `--data` with a library that can also write the files at `paths`."""
    if not is_rows_file(arguments.data):
        raise ValueError(
            f"`--data` must be a {', '.join(rows.SUFFIXES)} file, because the model is of a table. "
            f"Received: --data={arguments.data}"
        )
    return rows.read(arguments.data, vae.table, rows.library(arguments.data, *paths))


def check_no_rows(vae: keras.Model, data: str | None) -> None:
    """Raises ValueError if rows are given to a model that is not of a table."""
    if is_rows_file(data):
        raise ValueError(
            "`--data` must be images or arrays, because the model is not of a table. "
            f"Received: --data={data} and a {type(vae).__name__}"
        )


def conditions(table: Table, given: Sequence[str] | None) -> dict[str, Any] | None:
    """Returns the values of `--condition COLUMN=VALUE` by column, as the table has them; or None.

    Raises:
        ValueError: if one is not of this form, or of no column that the model knows.
    """
    found = {}
    for text in given or ():
        name, sign, value = text.partition("=")
        if not sign or name not in table.names:
            raise ValueError(
                "`--condition` must be COLUMN=VALUE with a column that the model knows, "
                f"{table.names}. Received: --condition {text}"
            )
        found[name] = _value(table[name], name, value)
    return found or None


def _value(kind, name, text):
    """A typed value as one of the column: a class of that spelling, a date or a number."""
    if isinstance(kind, kinds.Category):
        return next((value for value in kind.values or [] if rows.is_spelled(value, text)), text)
    try:
        return np.datetime64(text, "us") if isinstance(kind, kinds.Date) else float(text)
    except ValueError as error:
        expected = "a date" if isinstance(kind, kinds.Date) else "a number"
        raise ValueError(
            f"Column {name!r} must be given {expected}, because it is {type(kind).__name__}. "
            f"Received: --condition {name}={text}"
        ) from error
