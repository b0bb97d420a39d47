"""`keras-vae train` with a file of rows."""

import argparse
import contextlib
import csv
import pathlib
import time
from itertools import zip_longest
from typing import Any

import keras
import numpy as np

from keras_vae import callbacks, datasets, plotting, recipes, replicas, saving
from keras_vae.cli import rows, running
from keras_vae.cli.output import has_matplotlib, print_logs
from keras_vae.tables import Table, TableVAE, frames, kinds, training
from keras_vae_cli.settings import split as split_settings

EVERY = 10
"""One row of so many is held out for the test."""
SECONDS = 10
"""Between two lines that tell how far the training is."""
ANEW = "The same command with --overwrite starts anew."

Arrays = dict[str, np.ndarray]


class RowBatches(datasets.Batches):
    """Batches of the rows of a table.

    Args:
        arrays: dict of `x` and `mask`, as `Table.to_arrays` makes it.
        batch_size, options: as for `datasets.Batches`.
    """

    def __init__(self, arrays: Arrays, batch_size: int, **options: Any) -> None:
        super().__init__(arrays["x"], batch_size, **options)
        self.arrays = arrays

    def __getitem__(self, index: int) -> Any:
        own = self.order()[index * self.batch_size : (index + 1) * self.batch_size]
        return {name: array[own] for name, array in self.arrays.items()}


class Progress(keras.callbacks.Callback):
    """Prints the loss every few seconds: epochs of a small table are too short for a line each."""

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.printed = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if time.monotonic() > self.printed + SECONDS:
            self.printed = time.monotonic()
            print(f"Epoch {epoch + 1}: {(logs or {})['loss']:.3f} nats per row", flush=True)


def train_in(output: pathlib.Path, arguments: argparse.Namespace) -> None:
    """Trains a model of a table in a folder; exits with 128 + its number if a signal comes."""
    check_options(arguments)
    strategy = replicas.strategy(arguments.strategy)
    path = output / "vae.keras"
    saving.remove_leftovers(output)
    with strategy.scope() if strategy else contextlib.nullcontext():
        earlier = saving.load_model(path) if arguments.resume and path.exists() else None
        frame = rows.read(arguments.data, None if earlier is None else earlier.table)
        train_rows, test_rows = split(len(frame), arguments.limit)
        table = described(frame, train_rows) if earlier is None else earlier.table
        arrays = table.to_arrays(frame)
        train_set = batches(arrays, train_rows, arguments)
        vae = earlier or new_model(table, len(train_set), arguments)
    running.say_what_is_missing()
    if vae.is_chief:
        print(table)
    if earlier is not None:
        running.go_on(vae, train_set, arguments)
    test_set = {name: array[test_rows] for name, array in arrays.items()}
    fit(vae, train_set, test_set, output, arguments)
    finish(vae, test_set, bool(np.all(arrays["mask"])), output, arguments)


def check_options(arguments: argparse.Namespace) -> None:
    """Raises ValueError for options that must come together."""
    for option in ("resume", "decay"):
        if getattr(arguments, option) and arguments.epochs is None:
            raise ValueError(
                f"`--{option}` must come with --epochs for a table, because training that stops "
                f"by itself has no known end. Received: --{option} without --epochs"
            )


def split(count: int, limit: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Splits the numbers of the rows: of ten rows the first is for testing.

    Args:
        count: how many rows there are.
        limit: how many rows to train on at most.

    Returns:
        Tuple of the rows to train on and those for the test.

    Raises:
        ValueError: if there are fewer than three.
    """
    if count < 3:
        raise ValueError(
            "`--data` must have at least three rows, because one is held out for the test. "
            f"Received: {count} rows"
        )
    numbers = np.arange(count)
    return numbers[numbers % EVERY > 0][:limit], numbers[::EVERY]


def described(frame: Any, train_rows: np.ndarray) -> Table:
    """Returns the table of a frame, whose numbers are scaled by the rows to train on alone.

    The kinds and the classes are those of all rows.
    """
    table, frame = Table.infer(frame), frames.read(frame)
    for name in table.names:
        values, observed = frames.values_of(frame[name])
        if isinstance(table[name], kinds.Real) and observed[train_rows].any():
            table[name].fit(values[train_rows], observed[train_rows])
    return table


def batches(arrays: Arrays, train_rows: np.ndarray, arguments: argparse.Namespace) -> RowBatches:
    """Returns the rows to train on in shuffled batches."""
    own = {name: array[train_rows] for name, array in arrays.items()}
    size = arguments.batch_size or training.batch_size_for(len(train_rows))
    return RowBatches(own, size, shuffle=True, seed=arguments.seed)


def new_model(table: Table, steps_per_epoch: int, arguments: argparse.Namespace) -> TableVAE:
    """Returns a compiled model of a table."""
    keras.utils.set_random_seed(arguments.seed)
    settings, _ = split_settings(arguments.set)
    vae = recipes.table_vae(table, arguments.latent_dim, seed=arguments.seed, **settings)
    rate = running.learning_rate(arguments, steps_per_epoch)
    vae.compile(optimizer=keras.optimizers.Adam(rate))
    return vae


def fit(
    vae: TableVAE,
    train_set: RowBatches,
    test_set: Arrays,
    output: pathlib.Path,
    arguments: argparse.Namespace,
) -> None:
    """Trains for `--epochs`, or until the model predicts best what it has not seen."""
    shared = [
        callbacks.StopOnSignal(),
        callbacks.StopOnNonFinite(output / "vae.keras"),
        *running.begin(output, arguments, arguments.data, vae.is_chief),
    ]
    try:
        if arguments.epochs is None:
            fit_until_best(vae, train_set, output, shared)
        else:
            fit_epochs(vae, train_set, test_set, output, arguments.epochs, shared)
    except callbacks.Interrupted as interrupted:
        running.stop(vae, output, interrupted, running.GO_ON if arguments.epochs else ANEW)


def fit_until_best(
    vae: TableVAE,
    train_set: RowBatches,
    output: pathlib.Path,
    shared: list[keras.callbacks.Callback],
) -> None:
    """Trains until the model predicts best what it has not seen, and saves it then."""
    print("Training until the model predicts best what it has not seen …", flush=True)
    history = vae.fit(
        train_set.arrays,
        batch_size=train_set.batch_size,
        verbose=0,
        callbacks=[*shared, Progress()],
    )
    if vae.is_chief:
        write_history(history.history, output / "history.csv")
    vae.save(output / "vae.keras")


def write_history(history: dict[str, list[float]], path: pathlib.Path) -> None:
    """Writes the logs of all epochs, as `callbacks.HistoryFile` writes them after each."""
    rows_of_epochs = zip_longest(*history.values(), fillvalue="")
    with saving.atomic(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *history])
        writer.writerows([epoch, *row] for epoch, row in enumerate(rows_of_epochs))


def fit_epochs(
    vae: TableVAE,
    train_set: RowBatches,
    test_set: Arrays,
    output: pathlib.Path,
    epochs: int,
    shared: list[keras.callbacks.Callback],
) -> None:
    """Trains the epochs that are left, with a file of everything after each."""
    vae.fit(
        train_set,
        epochs=epochs,
        initial_epoch=train_set.epoch,
        validation_data=RowBatches(test_set, train_set.batch_size),
        shuffle=False,
        callbacks=[
            *shared,
            callbacks.CollapseMonitor({n: array[:1000] for n, array in test_set.items()}),
            callbacks.HistoryFile(output / "history.csv"),
            keras.callbacks.ModelCheckpoint(output / "vae.keras"),
            *running.tensorboard(output / "logs"),
        ],
    )


def finish(
    vae: TableVAE,
    test_set: Arrays,
    is_whole: bool,
    output: pathlib.Path,
    arguments: argparse.Namespace,
) -> None:
    """Draws, prints the logs of the test rows, and names what is left and the next command."""
    logs, codes = test_logs(vae, test_set), vae.encode(test_set)  # on every worker
    if not vae.is_chief:
        return
    draw(codes, output)
    print(f"Test, {len(codes)} rows that were held out, in nats per row:")
    print_logs(logs)
    model = output / "vae.keras"
    command: list[Any] = ["generate", model, "--output", output / "rows.csv"]
    if not is_whole:
        command = ["impute", model, "--data", arguments.data, "--output", output / "filled.csv"]
    running.say_what_is_left(output, logs["loss"], "row", command)


def test_logs(vae: keras.Model, arrays: Arrays) -> dict[str, Any]:
    """Returns the logs of some rows, in nats per row."""
    return vae.evaluate(arrays, verbose=0, return_dict=True)


def draw(codes: np.ndarray, output: pathlib.Path) -> None:
    """Draws the loss curves, and codes of the test rows that have two dimensions."""
    if not has_matplotlib():
        return
    running.draw_loss_curves(output)
    if codes.shape[1] == 2:
        path = output / "latent_scatter.png"
        plotting.latent_scatter(codes, path=path, title="Codes of the test rows")
