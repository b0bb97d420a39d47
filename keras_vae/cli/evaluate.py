"""`keras-vae evaluate`."""

import argparse
import pathlib

from keras_vae import callbacks, datasets, report, saving
from keras_vae.cli import run_file, train_table
from keras_vae.cli.data import batch_size, load_for, name_of, some
from keras_vae.cli.output import check_new, print_logs
from keras_vae.cli.table import check_no_rows, read_rows
from keras_vae.model import VAE
from keras_vae.tables import TableVAE
from keras_vae.validation import optional


def evaluate(arguments: argparse.Namespace) -> None:
    """Prints the logs of the test examples, in nats; writes a report on request."""
    check_report(arguments.report)
    run_file.take_data(arguments)
    vae = saving.load_model(arguments.model)
    if isinstance(vae, TableVAE):
        return evaluate_rows(vae, arguments)
    check_no_rows(vae, arguments.data)
    splits = load_for(vae, arguments)
    data = datasets.Batches(splits.test, batch_size(arguments))
    logs = vae.evaluate(data, verbose=0, return_dict=True)
    if arguments.diagnose:
        logs |= vae.diagnose(some(splits.test, 10_000))
    print(
        f"{len(splits.test):,} test examples of {arguments.data or name_of(splits)}, which "
        "`keras-vae train` holds out, in nats per example:"
    )
    print_logs(logs)
    if arguments.report:
        write_report(vae, splits, arguments)


def check_report(path: str | None) -> None:
    """Raises an error if the page of `--report` could not be written."""
    if path is None:
        return
    check_new([path], (".html",), overwrite=True, option="--report")
    for module in ("jinja2", "matplotlib"):
        optional(module, "report", "Reports")


def evaluate_rows(vae: TableVAE, arguments: argparse.Namespace) -> None:
    """Prints the logs of the rows that `train` holds out of a file, in nats per row."""
    frame = read_rows(vae, arguments)
    arrays = vae.table.to_arrays(frame)
    _, test_rows = train_table.split(len(arrays["x"]))
    held_out = {name: array[test_rows] for name, array in arrays.items()}
    logs = train_table.test_logs(vae, held_out)
    if arguments.diagnose:
        logs |= vae.diagnose(held_out)
    print(
        f"{len(test_rows)} of {len(arrays['x'])} rows of {arguments.data}: those that `keras-vae "
        "train` holds out, in nats per row:"
    )
    print_logs(logs)
    if arguments.report:
        report.write(arguments.report, vae, frame, title=f"VAE {arguments.model}")
        print(f"Wrote {arguments.report}")


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
