"""The commands. Each imports what it runs when it is called; its docstring is its help."""

import argparse

from keras_vae_cli import listing, settings
from keras_vae_cli.completion import script


def train(arguments: argparse.Namespace) -> None:
    """Trains, and leaves model, history, logs and pictures in the output folder."""
    settings.check(arguments)
    from keras_vae.cli.train import train

    train(arguments)


def evaluate(arguments: argparse.Namespace) -> None:
    """Prints the logs of the test examples, in nats; writes a report on request."""
    from keras_vae.cli.evaluate import evaluate

    evaluate(arguments)


def generate(arguments: argparse.Namespace) -> None:
    """Writes new examples as a picture or an array, or new rows of a table."""
    from keras_vae.cli.generate import generate

    generate(arguments)


def reconstruct(arguments: argparse.Namespace) -> None:
    """Writes test examples and their reconstructions, as a picture or an array."""
    from keras_vae.cli.reconstruct import reconstruct

    reconstruct(arguments)


def encode(arguments: argparse.Namespace) -> None:
    """Writes the codes of all examples or rows, with the names of their files and labels."""
    from keras_vae.cli.encode import encode

    encode(arguments)


def impute(arguments: argparse.Namespace) -> None:
    """Writes the rows of a file with their gaps filled, and all else as it is."""
    from keras_vae.cli.impute import impute

    impute(arguments)


def score(arguments: argparse.Namespace) -> None:
    """Writes how strange each row of a file is, in nats, and on request each of its cells."""
    from keras_vae.cli.score import score

    score(arguments)


def export(arguments: argparse.Namespace) -> None:
    """Writes a model for TF Serving, ONNX Runtime or LiteRT."""
    from keras_vae.cli.export import export

    export(arguments)


def recipes(arguments: argparse.Namespace) -> None:
    """Lists what `train` can make: recipes and likelihoods, or the arguments of one."""
    print(listing.one(arguments.name) if arguments.name else listing.everything())


def completion(arguments: argparse.Namespace) -> None:
    """Prints a script that completes words: `source <(keras-vae completion bash)`."""
    from keras_vae_cli.arguments import parser

    print(script(parser(), arguments.shell))
