"""`keras-vae evaluate`."""

import argparse
import pathlib

import numpy as np

from keras_vae import callbacks, datasets, report, saving
from keras_vae.cli.data import load_data, some
from keras_vae.model import VAE


def evaluate(arguments: argparse.Namespace) -> None:
    """Prints the logs of the test set, in nats per example; writes a report on request."""
    vae = saving.load_model(arguments.model)
    splits = load_data(arguments.data, arguments.strict)
    data = datasets.Batches(splits.test, arguments.batch_size)
    logs = vae.evaluate(data, return_dict=True)
    if arguments.diagnose:
        logs |= vae.diagnose(some(splits.test, 10_000))
    for name, value in logs.items():
        values = " ".join(f"{v:10.3f}" for v in np.ravel(value))
        print(f"{name:22} {values}")
    if arguments.report:
        write_report(vae, splits, arguments)


def write_report(vae: VAE, splits: datasets.Splits, arguments: argparse.Namespace) -> None:
    """Writes the page of `--report`, with the curves of the history beside the model."""
    history = pathlib.Path(arguments.model).with_name("history.csv")
    report.write(
        arguments.report,
        vae,
        some(splits.test, 10_000),
        splits.test_labels,
        splits.class_names,
        callbacks.read_history(history) if history.exists() else None,
        arguments.draws,
        title=f"VAE {arguments.model}",
    )
    print(f"Wrote {arguments.report}")
