"""`keras-vae train`."""

import argparse
import contextlib
import inspect
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
from keras_vae.cli import run_file, running, train_table
from keras_vae.cli.data import batch_size, check_image_size, load_data, name_of, some
from keras_vae.cli.output import check_no_run, has_matplotlib, has_report, run_folder
from keras_vae.model import VAE
from keras_vae.names import part_classes
from keras_vae_cli import catalogue
from keras_vae_cli.settings import is_rows_file, split

DEFAULTS = {"epochs": 10, "beta": 1.0, "warm_up": 0}
"""Options that tables lack, or have other defaults for."""
LIKELIHOOD_SETTINGS: dict[str, dict[str, Any]] = {
    "normal": {"scale": "optimal"},
    "laplace": {"scale": "shared"},
}
"""Arguments of likelihoods that `--set` may change, where the command line has other defaults."""


def train(arguments: argparse.Namespace) -> None:
    """Trains, and leaves model, history, logs and pictures in the output folder."""
    check_no_run(arguments.output, arguments.resume, arguments.overwrite)
    if arguments.resume:
        run_file.check_same(arguments.output, arguments)
    with run_folder(arguments.output) as output:
        try:
            is_table = is_rows_file(arguments.data)
            (train_table.train_in if is_table else train_in)(output, arguments)
        except OSError as error:
            raise OSError(
                "`--output` could not be written to any more "
                f"({error.strerror or error}); what is there is whole: make room, and go on with "
                f"the same command and --resume. Received: --output={output}"
            ) from error


def train_in(output: pathlib.Path, arguments: argparse.Namespace) -> None:
    """Trains in a folder; exits with 128 + its number if a signal comes."""
    given = argparse.Namespace(**vars(arguments))
    take_defaults(arguments)
    strategy = replicas.strategy(arguments.strategy)
    splits = load_data(arguments.data, arguments.strict, arguments.image_size)
    check_image_size(splits, arguments)
    train_set = training_batches(splits, arguments)
    saving.remove_leftovers(output)
    path = output / "vae.keras"
    with strategy.scope() if strategy else contextlib.nullcontext():
        if arguments.resume and path.exists():
            vae = saving.load_model(path)
            running.go_on(vae, train_set, arguments)
        else:
            vae = new_model(arguments, train_set)
    running.say_what_is_missing()
    begin = running.begin(output, given, arguments.data or name_of(splits), vae.is_chief)
    try:
        fit(vae, train_set, splits, output, arguments, begin)
    except callbacks.Interrupted as interrupted:
        running.stop(vae, output, interrupted)
    closing_pictures(vae, splits, output)
    if vae.is_chief:
        report = ["--report", output / "report.html"] if has_report() else ["--diagnose"]
        command = ["evaluate", path, *report]
        running.say_what_is_left(output, running.final_loss(output), "example", command)


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
    begin: list[keras.callbacks.Callback],
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
            *begin,
        ],
    )


def new_model(arguments: argparse.Namespace, train_set: datasets.Batches) -> VAE:
    """Returns a compiled model as the arguments ask for."""
    keras.utils.set_random_seed(arguments.seed)
    examples, steps_per_epoch = train_set.source, len(train_set)
    beta = arguments.beta
    if arguments.warm_up:
        beta = schedules.Linear(arguments.warm_up * steps_per_epoch, end=beta)
    options = {
        "latent_dim": arguments.latent_dim,
        "likelihood": new_likelihood(arguments),
        "beta": beta if catalogue.recipes()[arguments.recipe].has_beta else None,
        "dataset_size": len(examples),
    }
    vae = made(arguments, examples.shape[1:], options)
    rate = running.learning_rate(arguments, steps_per_epoch)
    vae.compile(optimizer=keras.optimizers.Adam(rate, beta_2=0.99))
    return vae


def made(
    arguments: argparse.Namespace, input_shape: tuple[int, ...], options: dict[str, Any]
) -> VAE:
    """Returns the model that a recipe makes of those options that it takes, and of `--set`."""
    recipe = getattr(recipes, arguments.recipe)
    accepted = inspect.signature(recipe).parameters
    given = {n: v for n, v in options.items() if n in accepted and v is not None}
    settings, _ = split(arguments.set)
    try:
        return recipe(input_shape, **given, seed=arguments.seed, **settings)
    except TypeError as error:
        raise ValueError(
            f"`--set` must give recipes.{arguments.recipe} what it takes ({error}). "
            f"Received: --set {settings}"
        ) from error


def new_likelihood(arguments: argparse.Namespace) -> likelihoods.Likelihood | None:
    """Returns the likelihood of `--likelihood` and `--set likelihood.…`, or None."""
    if arguments.likelihood is None:
        return None
    _, settings = split(arguments.set)
    likelihood = part_classes(likelihoods)[arguments.likelihood]
    return likelihood(**LIKELIHOOD_SETTINGS.get(arguments.likelihood, {}) | settings)


def pictures_while_training(source: Any, output: pathlib.Path) -> list[keras.callbacks.Callback]:
    """Returns the callback that draws, for images and where matplotlib is installed."""
    if not has_matplotlib() or not plotting.is_image(source.shape[1:]):
        return []
    return [callbacks.Pictures(some(source, 10), output)]


def closing_pictures(vae: VAE, splits: datasets.Splits, output: pathlib.Path) -> None:
    """Draws the loss curves, and with two latents the codes of the test set by class."""
    if not has_matplotlib():
        return
    if vae.is_chief:
        running.draw_loss_curves(output)
    if vae.posterior.latent_dim == 2:
        codes = vae.encode(datasets.Batches(splits.test, 1000))  # on every worker
        path = output / "latent_scatter.png" if vae.is_chief else None
        plotting.latent_scatter(
            codes, splits.test_labels, path, splits.class_names, title="Codes of the test set"
        )
