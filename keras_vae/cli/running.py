"""What the training of images and that of tables have in common."""

import argparse
import pathlib
import sys
from typing import NoReturn

import keras

from keras_vae import callbacks, datasets, plotting
from keras_vae.cli.output import remove_run
from keras_vae.model import VAE
from keras_vae.typing import FilePath


def replacing(output: pathlib.Path, wanted: bool) -> list[keras.callbacks.Callback]:
    """Returns the callback that removes an earlier run, once the data have passed all checks."""
    if not wanted:
        return []
    return [keras.callbacks.LambdaCallback(on_train_begin=lambda logs: remove_run(output))]


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


def say_what_is_left(output: pathlib.Path, next_command: str) -> None:
    """Names the files of a finished run, and the next command."""
    (output / "interrupted.keras").unlink(missing_ok=True)
    shown = sorted(p.name for p in output.iterdir() if not p.name.startswith("."))
    print(f"Left in {output}/:", *shown)
    print(f"Next: {next_command}")


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


def tensorboard(folder: FilePath) -> list[keras.callbacks.Callback]:
    """Returns the TensorBoard callback where its package is installed."""
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        print('No TensorBoard logs: pip install "keras_vae[tensorboard]".')
        return []
    return [keras.callbacks.TensorBoard(folder, write_graph=False)]


def draw_loss_curves(output: pathlib.Path) -> None:
    """Draws the curves of `history.csv`."""
    history = callbacks.read_history(output / "history.csv")
    plotting.loss_curves(history, path=output / "loss.png")
