"""`keras-vae train`."""

import argparse
import contextlib
import pathlib
from typing import Any

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
from keras_vae.cli import rows, running, train_table
from keras_vae.cli.data import batch_size, load_data, some
from keras_vae.cli.output import check_no_run, has_matplotlib, writable_folder
from keras_vae.model import VAE

LIKELIHOODS = {
    "bernoulli": likelihoods.Bernoulli,
    "continuous_bernoulli": likelihoods.ContinuousBernoulli,
    "discretized_logistic": likelihoods.DiscretizedLogistic,
    "normal": lambda: likelihoods.Normal(scale="optimal"),
    "laplace": lambda: likelihoods.Laplace(scale="shared"),
}
DEFAULTS = {
    "epochs": 10,
    "latent_dim": 2,
    "network": "vae",
    "likelihood": "bernoulli",
    "beta": 1.0,
    "warm_up": 0,
}
"""Options that tables lack, or have other defaults for."""


def train(arguments: argparse.Namespace) -> None:
    """Trains, and leaves model, history, logs and pictures in the output folder."""
    check_no_run(arguments.output, arguments.resume, arguments.overwrite)
    output = writable_folder(arguments.output)
    with contextlib.nullcontext() if replicas.in_cluster() else saving.sole_use(output):
        try:
            is_table = rows.is_rows_file(arguments.data)
            (train_table.train_in if is_table else train_in)(output, arguments)
        except OSError as error:
            raise OSError(
                "`--output` could not be written to any more "
                f"({error.strerror or error}); what is there is whole: make room, and go on with "
                f"the same command and --resume. Received: --output={output}"
            ) from error


def train_in(output: pathlib.Path, arguments: argparse.Namespace) -> None:
    """Trains in a folder; exits with 128 + its number if a signal comes."""
    take_defaults(arguments)
    strategy = replicas.strategy(arguments.strategy)
    splits = load_data(arguments.data, arguments.strict)
    train_set = training_batches(splits, arguments)
    saving.remove_leftovers(output)
    path = output / "vae.keras"
    with strategy.scope() if strategy else contextlib.nullcontext():
        if arguments.resume and path.exists():
            vae = saving.load_model(path)
            running.go_on(vae, train_set, arguments)
        else:
            vae = new_model(arguments, splits.train.shape[1:], len(train_set))
    try:
        fit(vae, train_set, splits, output, arguments)
    except callbacks.Interrupted as interrupted:
        running.stop(vae, output, interrupted)
    closing_pictures(vae, splits, output)
    if vae.is_chief:
        running.say_what_is_left(output, f"keras-vae generate {path}")


def take_defaults(arguments: argparse.Namespace) -> None:
    """Sets the options that were not given to the defaults for images."""
    for name, value in DEFAULTS.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)


def training_batches(splits: datasets.Splits, arguments: argparse.Namespace) -> datasets.Batches:
    """Returns the first `--limit` training examples in shuffled batches."""
    limit = arguments.limit or len(splits.train)
    return datasets.Batches(
        splits.train[:limit], batch_size(arguments), shuffle=True, seed=arguments.seed
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
        validation_data=datasets.Batches(splits.test, batch_size(arguments)),
        shuffle=False,
        callbacks=[
            callbacks.StopOnSignal(),
            callbacks.StopOnNonFinite(path),
            callbacks.CollapseMonitor(some(splits.test, 1000)),
            callbacks.HistoryFile(output / "history.csv"),
            keras.callbacks.ModelCheckpoint(path),
            *running.tensorboard(output / "logs"),
            *pictures_while_training(splits.test, output),
            *running.replacing(output, arguments.overwrite and vae.is_chief),
        ],
    )


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
    rate = running.learning_rate(arguments, steps_per_epoch)
    vae.compile(optimizer=keras.optimizers.Adam(rate, beta_2=0.99))
    return vae


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
        running.draw_loss_curves(output)
    if vae.posterior.latent_dim == 2:
        codes = vae.encode(datasets.Batches(splits.test, 1000))  # on every worker
        path = output / "latent_scatter.png" if vae.is_chief else None
        plotting.latent_scatter(
            codes, splits.test_labels, path, splits.class_names, title="Codes of the test set"
        )
