"""The arguments of the command line. Nothing here may import TensorFlow, Keras or NumPy."""

import argparse
import importlib.metadata
from typing import Any

from keras_vae_cli import commands, completion, numbers, settings
from keras_vae_cli.parsing import Parser


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


def parser() -> Parser:
    """Returns the parser, with one subcommand for each function of `commands`."""
    top = Parser(prog="keras-vae", description="Variational autoencoders.")
    top.add_argument(
        "--version",
        action=_Version,
        nargs=0,
        default=argparse.SUPPRESS,
        help="print the version and exit",
    )
    subparsers = top.add_subparsers(required=True, metavar="COMMAND")
    for function, describe in COMMANDS.items():
        sub = subparsers.add_parser(
            function.__name__,
            help=function.__doc__,
            description=function.__doc__,
            formatter_class=_HelpFormatter,
        )
        sub.set_defaults(run=function, parser=sub)
        describe(sub.add_argument)
        top.commands[function.__name__] = sub
    return top


def _data(add):
    """Adds the options of every command that reads data."""
    add(
        "--data",
        help="fashion_mnist, shapes, colour_shapes, a folder of images, a .npy or .npz file, or "
        "for a table a .csv, .tsv or .parquet file (default: what the model was trained on, or "
        "fashion_mnist)",
    )
    add("--strict", action="store_true", help="refuse a folder with a damaged image")
    add(
        "--batch-size",
        type=numbers.count,
        metavar="N",
        help="examples in a batch (default: 128; to train a table: by its rows)",
    )


def _rows(add):
    """Adds the options of the commands that are about the rows of a table alone."""
    add("--data", required=True, help="a .csv, .tsv or .parquet file of rows")


def _train(add):
    _data(add)
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
        help="length of the code (default: that of the recipe; a table: 10, from 5000 rows on 32)",
    )
    add(
        "--image-size",
        type=count,
        metavar="N",
        help="height and width to which the images of a folder are scaled (default: 64)",
    )
    add(
        "--recipe",
        type=settings.recipe,
        help="one of `keras-vae recipes` (default: vae; a table: table_vae)",
    )
    add("--network", choices=["vae", "tutorial"], help=argparse.SUPPRESS)  # its earlier name
    add(
        "--likelihood",
        type=settings.likelihood,
        help="p(x|z), one of `keras-vae recipes` (default: that of the recipe, mostly bernoulli)",
    )
    add(
        "--set",
        type=settings.setting,
        action="append",
        metavar="NAME=VALUE",
        help="an argument of the recipe, or likelihood.NAME=VALUE; may be repeated",
    )
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
    _data(add)
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
        help="a .png or .npy file (default: samples.png, or .npy if no images), or for a table a "
        ".csv, .tsv or .parquet file (default: rows.csv)",
    )
    _overwrite(add)


def _reconstruct(add):
    _model(add)
    _data(add)
    add("--num", type=numbers.count, default=10, metavar="N", help="how many")
    add("--output", help="a .png or .npy file (default: reconstructions.png, or .npy if no images)")
    _overwrite(add)


def _encode(add):
    _model(add)
    _data(add)
    add(
        "--split",
        choices=["test", "train", "all"],
        default="all",
        help="which examples: all, or those that `train` holds out or not; of a table all rows",
    )
    add("--output", default="codes.csv", help="a .csv, .npy or .parquet file")
    _overwrite(add)


def _impute(add):
    _model(add)
    _rows(add)
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
    _rows(add)
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


def _recipes(add):
    add(
        "name",
        nargs="?",
        help="a recipe or a likelihood, whose arguments are then listed",
    )


def _completion(add):
    add("shell", choices=completion.SHELLS, help="for bash or zsh")


COMMANDS = {
    commands.train: _train,
    commands.evaluate: _evaluate,
    commands.generate: _generate,
    commands.reconstruct: _reconstruct,
    commands.encode: _encode,
    commands.impute: _impute,
    commands.score: _score,
    commands.export: _export,
    commands.recipes: _recipes,
    commands.completion: _completion,
}
"""What adds the arguments of each command."""
