"""The logs of each epoch in a CSV file."""

import csv
import pathlib
from typing import Any

import keras

from keras_vae import saving
from keras_vae.typing import FilePath, Logs


class HistoryFile(keras.callbacks.Callback):
    """Writes the logs of each epoch to a CSV file, which is whole at every instant.

    Unlike Keras' CSVLogger it goes on from `initial_epoch`: rows of later epochs, which a killed
    run wrote after its last checkpoint, are dropped. Place it before the checkpoint.

    Args:
        path: the file.

    Example: `vae.fit(x, callbacks=[keras_vae.callbacks.HistoryFile("history.csv")])`.
    """

    def __init__(self, path: FilePath) -> None:
        super().__init__()
        self.path = pathlib.Path(path)
        self.rows: list[dict[str, Any]] | None = None

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        rows = self.rows
        if rows is None:
            rows = _rows(self.path) if epoch and self.path.exists() else []
        self.rows = [row for row in rows if int(row["epoch"]) < epoch]

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        row = {"epoch": epoch} | {k: float(v) for k, v in (logs or {}).items()}
        self.rows = rows = [*(self.rows or []), row]
        if not self.model.is_chief:
            return
        names = list(dict.fromkeys(name for row in rows for name in row))
        with saving.atomic(self.path) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, names, restval="")
            writer.writeheader()
            writer.writerows(rows)


def read_history(path: FilePath) -> dict[str, list[float]]:
    """Reads a file of `HistoryFile`.

    Args:
        path: the file.

    Returns:
        A dict of columns, lists of numbers; NaN where a row has none.
    """
    rows = _rows(path)
    names = rows[0] if rows else ()
    return {name: [float(row[name] or "nan") for row in rows] for name in names}


def _rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))
