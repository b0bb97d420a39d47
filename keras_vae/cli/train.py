"""`keras-vae train`."""

import argparse
import contextlib
import pathlib
import sys
from typing import Any, NoReturn

import keras

from keras_vae import (
    callbacks,
    datasets,
    likelihoods,
    plotting,
    recipes,
    replicas,
    saving,
    schedules,
)
from keras_vae.cli.data import load_data, some
from keras_vae.cli.output import check_no_run, has_matplotlib, remove_run, writable_folder
from keras_vae.model import VAE
from keras_vae.typing import FilePath

LIKELIHOODS = {
    "bernoulli": likelihoods.Bernoulli,
    "continuous_bernoulli": likelihoods.ContinuousBernoulli,
    "discretized_logistic": likelihoods.DiscretizedLogistic,
    "normal": lambda: likelihoods.Normal(scale="optimal"),
    "laplace": lambda: likelihoods.Laplace(scale="shared"),
}


def train(arguments: argparse.Namespace) -> None:
    """Trains, and leaves model, history, logs and pictures in the output folder."""
    check_no_run(arguments.output, arguments.resume, arguments.overwrite)
    output = writable_folder(arguments.output)
    with contextlib.nullcontext() if replicas.in_cluster() else saving.sole_use(output):
        try:
            train_in(output, arguments)
        except OSError as error:
            raise ValueError(
                "`--output` could not be written to any more "
                f"({error.strerror or error}); what is there is whole: make room, and go on with "
                f"the same command and --resume. Received: --output={output}"
            ) from error


def train_in(output: pathlib.Path, arguments: argparse.Namespace) -> None:
    """Trains in a folder; exits with 128 + its number if a signal comes."""
    strategy = replicas.strategy(arguments.strategy)
    splits = load_data(arguments.data, arguments.strict)
    train_set = training_batches(splits, arguments)
    saving.remove_leftovers(output)
    path = output / "vae.keras"
    with strategy.scope() if strategy else contextlib.nullcontext():
        if arguments.resume and path.exists():
            vae = saving.load_model(path)
            train_set.epoch = finished_epochs(vae, train_set)
            if arguments.decay:  # --epochs may be more than before
                vae.optimizer.learning_rate = learning_rate(arguments, len(train_set))
            print(f"Going on from {path} after epoch {train_set.epoch}.")
        else:
            vae = new_model(arguments, splits.train.shape[1:], len(train_set))
    try:
        fit(vae, train_set, splits, output, arguments)
    except callbacks.Interrupted as interrupted:
        stop(vae, output, interrupted)
    closing_pictures(vae, splits, output)
    if vae.is_chief:
        say_what_is_left(output)


def training_batches(splits: datasets.Splits, arguments: argparse.Namespace) -> datasets.Batches:
    """Returns the first `--limit` training examples in shuffled batches."""
    limit = arguments.limit or len(splits.train)
    return datasets.Batches(
        splits.train[:limit], arguments.batch_size, shuffle=True, seed=arguments.seed
    )


def fit(
    vae: VAE,
    train_set: datasets.Batches,
    splits: datasets.Splits,
    output: pathlib.Path,
    arguments: argparse.Namespace,
) -> None:
    """Trains the epochs that are left, with a file of everything after each."""
    path = output / "vae.keras"
    vae.fit(
        train_set,
        epochs=arguments.epochs,
        initial_epoch=train_set.epoch,
        validation_data=datasets.Batches(splits.test, arguments.batch_size),
        shuffle=False,
        callbacks=[
            callbacks.StopOnSignal(),
            callbacks.StopOnNonFinite(path),
            callbacks.CollapseMonitor(some(splits.test, 1000)),
            callbacks.HistoryFile(output / "history.csv"),
            keras.callbacks.ModelCheckpoint(path),
            *tensorboard(output / "logs"),
            *pictures_while_training(splits.test, output),
            *replacing(output, arguments.overwrite and vae.is_chief),
        ],
    )


def replacing(output: pathlib.Path, wanted: bool) -> list[keras.callbacks.Callback]:
    """Returns the callback that removes an earlier run, once the data have passed all checks."""
    if not wanted:
        return []
    return [keras.callbacks.LambdaCallback(on_train_begin=lambda logs: remove_run(output))]


def stop(vae: VAE, output: pathlib.Path, interrupted: callbacks.Interrupted) -> NoReturn:
    """Saves the model as it is, and exits with 128 + the number of the signal."""
    vae.save(output / "interrupted.keras")
    print(
        f"\nStopped by {interrupted}. The model as it is: {output / 'interrupted.keras'}. The "
        "same command with --resume goes on from the last whole epoch, and ends as if never "
        "stopped."
    )
    sys.exit(128 + interrupted.signal)


def say_what_is_left(output: pathlib.Path) -> None:
    """Names the files of a finished run, and the next command."""
    (output / "interrupted.keras").unlink(missing_ok=True)
    shown = sorted(p.name for p in output.iterdir() if not p.name.startswith("."))
    print(f"Left in {output}/:", *shown)
    print(f"Next: keras-vae generate {output / 'vae.keras'}")


def new_model(
    arguments: argparse.Namespace, input_shape: tuple[int, ...], steps_per_epoch: int
) -> VAE:
    """Returns a compiled model as the arguments ask for."""
    keras.utils.set_random_seed(arguments.seed)
    beta = arguments.beta
    if arguments.warm_up:
        beta = schedules.Linear(arguments.warm_up * steps_per_epoch, end=beta)
    recipe = recipes.tutorial_vae if arguments.network == "tutorial" else recipes.vae
    likelihood = LIKELIHOODS[arguments.likelihood]()
    vae = recipe(input_shape, arguments.latent_dim, likelihood, beta, arguments.seed)
    rate = learning_rate(arguments, steps_per_epoch)
    vae.compile(optimizer=keras.optimizers.Adam(rate, beta_2=0.99))
    return vae


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


def tensorboard(folder: FilePath) -> list[keras.callbacks.Callback]:
    """Returns the TensorBoard callback where its package is installed."""
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        print('No TensorBoard logs: pip install "keras_vae[tensorboard]".')
        return []
    return [keras.callbacks.TensorBoard(folder, write_graph=False)]


def pictures_while_training(source: Any, output: pathlib.Path) -> list[keras.callbacks.Callback]:
    """Returns the callback that draws, for images and where matplotlib is installed."""
    if not has_matplotlib() or not plotting.is_image(source.shape[1:]):
        return []
    return [callbacks.Pictures(some(source, 10), output)]


def closing_pictures(vae: VAE, splits: datasets.Splits, output: pathlib.Path) -> None:
    """Draws the loss curves, and with two latents the codes of the test set by class."""
    if not has_matplotlib():
        print('No pictures: pip install "keras_vae[plot]".')
        return
    if vae.is_chief:
        plotting.loss_curves(
            callbacks.read_history(output / "history.csv"), path=output / "loss.png"
        )
    if vae.posterior.latent_dim == 2:
        codes = vae.encode(datasets.Batches(splits.test, 1000))  # on every worker
        path = output / "latent_scatter.png" if vae.is_chief else None
        plotting.latent_scatter(codes, splits.test_labels, path, splits.class_names)
