"""What the training of images and that of tables have in common."""

import argparse
import importlib.util
import pathlib
import shlex
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import keras

from keras_vae import callbacks, datasets, plotting
from keras_vae.cli import run_file
from keras_vae.cli.output import has_matplotlib, remove_run
from keras_vae.model import VAE
from keras_vae.typing import FilePath


def begin(
    output: pathlib.Path, arguments: argparse.Namespace, data: FilePath, is_chief: bool
) -> list[keras.callbacks.Callback]:
    """Returns the callback that turns a folder into that of this run, after all checks of the data.

    It removes an earlier run if `--overwrite` says so, and writes `run.json`.
    """

    def start(logs: Any) -> None:
        if arguments.overwrite:
            remove_run(output)
        run_file.write(output, arguments, data)

    return [keras.callbacks.LambdaCallback(on_train_begin=start)] if is_chief else []


PICTURES = ("reconstructions.png", "latent_scatter.png", "loss.png")
"""The pictures of a run, the one that says most first."""
GO_ON = "The same command with --resume goes on after the last whole epoch, as if never stopped."


def stop(
    vae: VAE, output: pathlib.Path, interrupted: callbacks.Interrupted, advice: str = GO_ON
) -> NoReturn:
    """Saves the model as it is, and exits with 128 + the number of the signal."""
    vae.save(output / "interrupted.keras")
    print(
        f"\nStopped by {interrupted}. The model as it is: {output / 'interrupted.keras'}. {advice}"
    )
    sys.exit(128 + interrupted.signal)


def say_what_is_left(
    output: pathlib.Path, loss: float, what: str, next_command: Sequence[str | pathlib.Path]
) -> None:
    """Names the files of a finished run, its loss on the test, a picture, and the next command.

    Args:
        output: the folder of the run.
        loss: the loss of the test examples.
        what: what one of them is, such as "row".
        next_command: the words of the next command.
    """
    (output / "interrupted.keras").unlink(missing_ok=True)
    shown = sorted(p.name for p in output.iterdir() if not p.name.startswith("."))
    print(f"Left in {output}/:", *shown)
    print(f"Test loss: {loss:.3f} nats per {what}")
    pictures = [output / name for name in PICTURES if name in shown]
    if pictures:
        print(f"Picture: {pictures[0]}")
    print(f"Next: keras-vae {shlex.join(map(str, next_command))}")


def final_loss(output: pathlib.Path) -> float:
    """Returns the loss of the test examples after the last epoch."""
    return callbacks.read_history(output / "history.csv")["val_loss"][-1]


def learning_rate(
    arguments: argparse.Namespace, steps_per_epoch: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Returns the rate, or with `--decay` its fall along a cosine over all epochs."""
    rate = arguments.learning_rate
    if not arguments.decay:
        return rate
    steps = arguments.epochs * steps_per_epoch
    return keras.optimizers.schedules.CosineDecay(rate, steps, alpha=0.02)


def finished_epochs(vae: VAE, train_set: datasets.Batches) -> int:
    """Returns how many whole epochs of `train_set` the optimizer of a saved model has seen."""
    steps = int(keras.ops.convert_to_numpy(vae.optimizer.iterations))
    epochs, rest = divmod(steps, len(train_set))
    if rest:
        raise ValueError(
            "`--resume` must be given the same --data, --limit and --batch-size as before, because "
            f"an epoch must have as many steps. Received: {len(train_set)} steps an epoch, and a "
            f"model after {steps} steps"
        )
    return epochs


def go_on(vae: VAE, train_set: datasets.Batches, arguments: argparse.Namespace) -> None:
    """Prepares a saved model and its data for the epochs that are left."""
    train_set.epoch = finished_epochs(vae, train_set)
    if arguments.decay:  # --epochs may be more than before
        vae.optimizer.learning_rate = learning_rate(arguments, len(train_set))
    print(f"Going on from {arguments.output}/vae.keras after epoch {train_set.epoch}.")


def say_what_is_missing() -> None:
    """Prints what a run will lack because an optional package is not installed."""
    if not has_matplotlib():
        print('No pictures: pip install "keras_vae[plot]".')
    if importlib.util.find_spec("tensorboard") is None:
        print('No TensorBoard logs: pip install "keras_vae[tensorboard]".')


def tensorboard(folder: FilePath) -> list[keras.callbacks.Callback]:
    """Returns the TensorBoard callback where its package is installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return []
    return [keras.callbacks.TensorBoard(folder, write_graph=False)]


def draw_loss_curves(output: pathlib.Path) -> None:
    """Draws the curves of `history.csv`."""
    history = callbacks.read_history(output / "history.csv")
    plotting.loss_curves(history, path=output / "loss.png")
