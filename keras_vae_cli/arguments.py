"""The arguments of the command line. Nothing here may import TensorFlow, Keras or NumPy."""

import argparse
import importlib.metadata
from typing import Any

from keras_vae_cli import commands, numbers

LIKELIHOODS = ("bernoulli", "continuous_bernoulli", "discretized_logistic", "normal", "laplace")
"""The names that `keras_vae.cli.train` makes likelihoods of."""


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults that say something."""

    def _get_help_string(self, action):
        silent = action.default is None or action.default is False
        return action.help if silent else super()._get_help_string(action)


class _Version(argparse.Action):
    """Prints the version of the installed package, and exits."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        print(importlib.metadata.version("keras_vae"))
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """Returns the parser, with one subcommand for each function of `commands`."""
    top = argparse.ArgumentParser(prog="keras-vae", description="Variational autoencoders.")
    top.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    subparsers = top.add_subparsers(required=True, metavar="COMMAND")
    data, rows = _data(), _rows()
    _train(_command(subparsers, commands.train, data).add_argument)
    _evaluate(_command(subparsers, commands.evaluate, data).add_argument)
    _generate(_command(subparsers, commands.generate).add_argument)
    _reconstruct(_command(subparsers, commands.reconstruct, data).add_argument)
    _encode(_command(subparsers, commands.encode, data).add_argument)
    _impute(_command(subparsers, commands.impute, rows).add_argument)
    _score(_command(subparsers, commands.score, rows).add_argument)
    _export(_command(subparsers, commands.export).add_argument)
    return top


def _command(subparsers, function, *parents):
    sub = subparsers.add_parser(
        function.__name__,
        help=function.__doc__,
        description=function.__doc__,
        parents=parents,
        formatter_class=_HelpFormatter,
    )
    sub.set_defaults(run=function)
    return sub


def _data():
    """The options of every command that reads data."""
    data = argparse.ArgumentParser(add_help=False)
    add = data.add_argument
    add(
        "--data",
        help="fashion_mnist, shapes, a folder of images, a .npy or .npz file, or for a table a "
        ".csv, .tsv or .parquet file (default: fashion_mnist)",
    )
    add("--strict", action="store_true", help="refuse a folder with a damaged image")
    add(
        "--batch-size",
        type=numbers.count,
        metavar="N",
        help="examples in a batch (default: 128; to train a table: by its rows)",
    )
    return data


def _rows():
    """The options of the commands that are about the rows of a table alone."""
    rows = argparse.ArgumentParser(add_help=False)
    rows.add_argument("--data", required=True, help="a .csv, .tsv or .parquet file of rows")
    return rows


def _train(add):
    count, seed = numbers.count, numbers.seed
    add("--output", default="vae_run", metavar="DIR", help="folder for all that it leaves")
    add(
        "--epochs",
        type=count,
        metavar="N",
        help="in total, with --resume too (default: 10; a table: until it fits best)",
    )
    add(
        "--latent-dim",
        type=count,
        metavar="D",
        help="length of the code (default: 2; a table: 10, from 5000 rows on 32)",
    )
    add(
        "--network",
        choices=["vae", "tutorial"],
        help="of images; tutorial: convolutions (default: vae)",
    )
    add("--likelihood", choices=LIKELIHOODS, help="of the data, p(x|z) (default: bernoulli)")
    add("--beta", type=numbers.not_negative, help="weight of the KL (default: 1.0)")
    add(
        "--warm-up",
        type=numbers.count_or_zero,
        metavar="N",
        help="epochs in which beta rises from 0 (default: 0)",
    )
    add("--learning-rate", type=numbers.positive, default=1e-3, metavar="R", help="of Adam")
    add("--decay", action="store_true", help="let the rate fall along a cosine over --epochs")
    add("--strategy", choices=["none", "mirrored"], default="none", help="mirrored: all devices")
    add("--limit", type=count, metavar="N", help="use the first N training examples")
    add("--seed", type=seed, default=0, help="of weights, noise and order")
    add("--resume", action="store_true", help="go on after the last epoch in --output")
    add("--overwrite", action="store_true", help="replace the run that is in --output")


def _evaluate(add):
    _model(add)
    add("--diagnose", action="store_true", help="print active units and the parts of the KL too")
    add("--report", metavar="FILE", help="write a page with numbers and pictures, such as r.html")
    add(
        "--draws",
        type=numbers.count,
        default=100,
        metavar="K",
        help="for the report's log-likelihood",
    )


def _generate(add):
    _model(add)
    add("--num", "--count", type=numbers.count, default=64, metavar="N", help="how many")
    temperature = numbers.not_negative
    add("--temperature", type=temperature, default=1.0, metavar="T", help="scale of the prior")
    add("--seed", type=numbers.seed, help="of the draws")
    add(
        "--condition",
        action="append",
        metavar="COLUMN=VALUE",
        help="what all rows have; may be repeated (for a table)",
    )
    add(
        "--output",
        help="a .png or .npy file (default: samples.png), or for a table a .csv, .tsv or "
        ".parquet file (default: rows.csv)",
    )
    _overwrite(add)


def _reconstruct(add):
    _model(add)
    add("--num", type=numbers.count, default=10, metavar="N", help="how many")
    add("--output", default="reconstructions.png", help="a .png or .npy file")
    _overwrite(add)


def _encode(add):
    _model(add)
    add(
        "--split",
        choices=["test", "train", "all"],
        default="test",
        help="which examples; of a table all rows",
    )
    add("--output", default="codes.csv", help="a .csv, .npy or .parquet file")
    _overwrite(add)


def _impute(add):
    _model(add)
    add(
        "--num-imputations",
        type=numbers.count,
        metavar="N",
        help="draw the gaps N times, and write filled-1.csv, … for --output filled.csv "
        "(default: fill them once, by the most probable)",
    )
    add("--seed", type=numbers.seed, help="of the draws")
    add("--output", default="filled.csv", help="a .csv, .tsv or .parquet file")
    _overwrite(add)


def _score(add):
    _model(add)
    add("--cells", action="store_true", help="write the nats of each cell too")
    add("--output", default="scores.csv", help="a .csv, .tsv or .parquet file")
    _overwrite(add)


def _export(add):
    _model(add)
    add("--format", choices=["tf_saved_model", "onnx", "litert"], default="tf_saved_model")
    add("--component", choices=["encoder", "decoder", "all"], default="all")
    add("--output", required=True, help="a folder, .onnx or .tflite file")


def _overwrite(add):
    add("--overwrite", action="store_true", help="replace the file that is in --output")


def _model(add):
    add("model", help="a .keras file")
