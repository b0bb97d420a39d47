"""The logs of each epoch in a CSV file."""

import csv
import pathlib

import keras

from keras_vae import saving


class HistoryFile(keras.callbacks.Callback):
    """Writes the logs of each epoch to a CSV file, which is whole at every instant.

    Unlike Keras' CSVLogger it goes on from `initial_epoch`: rows of later epochs, which a killed
    run wrote after its last checkpoint, are dropped. Place it before the checkpoint.

    Args:
        path: the file.

    Example: `vae.fit(x, callbacks=[keras_vae.callbacks.HistoryFile("history.csv")])`.
    """

    def __init__(self, path):
        super().__init__()
        self.path, self.rows = pathlib.Path(path), None

    def on_epoch_begin(self, epoch, logs=None):
        if self.rows is None:
            self.rows = _rows(self.path) if epoch and self.path.exists() else []
        self.rows = [row for row in self.rows if int(row["epoch"]) < epoch]

    def on_epoch_end(self, epoch, logs=None):
        self.rows.append({"epoch": epoch} | {k: float(v) for k, v in (logs or {}).items()})
        if not self.model.is_chief:
            return
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        with saving.atomic(self.path) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, names, restval="")
            writer.writeheader()
            writer.writerows(self.rows)


def read_history(path):
    """A file of `HistoryFile` as a dict of columns, lists of numbers."""
    rows = _rows(path)
    names = rows[0] if rows else ()
    return {name: [float(row[name] or "nan") for row in rows] for name in names}


def _rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))
