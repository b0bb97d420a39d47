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
    data = _data()
    _train(_command(subparsers, commands.train, data).add_argument)
    _evaluate(_command(subparsers, commands.evaluate, data).add_argument)
    _generate(_command(subparsers, commands.generate).add_argument)
    _reconstruct(_command(subparsers, commands.reconstruct, data).add_argument)
    _encode(_command(subparsers, commands.encode, data).add_argument)
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
        help="fashion_mnist, shapes, a folder of images, a .npy or .npz file "
        "(default: fashion_mnist)",
    )
    add("--strict", action="store_true", help="refuse a folder with a damaged image")
    add("--batch-size", type=numbers.count, default=128, metavar="N", help="examples in a batch")
    return data


def _train(add):
    count, seed = numbers.count, numbers.seed
    add("--output", default="vae_run", metavar="DIR", help="folder for all that it leaves")
    add("--epochs", type=count, default=10, metavar="N", help="in total, with --resume too")
    add("--latent-dim", type=count, default=2, metavar="D", help="length of the code")
    add("--network", choices=["vae", "tutorial"], default="vae", help="tutorial: convolutions")
    add("--likelihood", choices=LIKELIHOODS, default="bernoulli", help="of the data, p(x|z)")
    add("--beta", type=numbers.not_negative, default=1.0, help="weight of the KL")
    add(
        "--warm-up",
        type=numbers.count_or_zero,
        default=0,
        metavar="N",
        help="epochs in which beta rises from 0",
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
    add("--num", type=numbers.count, default=64, metavar="N", help="how many")
    temperature = numbers.not_negative
    add("--temperature", type=temperature, default=1.0, metavar="T", help="scale of the prior")
    add("--seed", type=numbers.seed, help="of the draws")
    add("--output", default="samples.png", help="a .png or .npy file")


def _reconstruct(add):
    _model(add)
    add("--num", type=numbers.count, default=10, metavar="N", help="how many")
    add("--output", default="reconstructions.png", help="a .png or .npy file")


def _encode(add):
    _model(add)
    add("--output", default="codes.csv", help="a .csv file")


def _export(add):
    _model(add)
    add("--format", choices=["tf_saved_model", "onnx", "litert"], default="tf_saved_model")
    add("--component", choices=["encoder", "decoder", "all"], default="all")
    add("--output", required=True, help="a folder, .onnx or .tflite file")


def _model(add):
    add("model", help="a .keras file")
