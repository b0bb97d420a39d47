"""`keras-vae reconstruct`."""

import argparse

from keras_vae import plotting, saving
from keras_vae.cli.data import load_data, some
from keras_vae.cli.output import write


def reconstruct(arguments: argparse.Namespace) -> None:
    """Writes test examples and their reconstructions, as a picture or an array."""
    vae = saving.load_model(arguments.model)
    x = some(load_data(arguments.data, arguments.strict).test, arguments.num)
    write(
        vae.predict(x, verbose=0),
        arguments.output,
        lambda y, path: plotting.reconstructions(x, y, path),
    )
