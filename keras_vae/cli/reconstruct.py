"""`keras-vae reconstruct`."""

import argparse

from keras_vae import plotting, saving
from keras_vae.cli.data import load_data, some
from keras_vae.cli.output import check_new, write
from keras_vae.cli.table import check_no_rows
from keras_vae.tables import TableVAE


def reconstruct(arguments: argparse.Namespace) -> None:
    """Writes test examples and their reconstructions, as a picture or an array."""
    check_new([arguments.output], (), arguments.overwrite)
    vae = saving.load_model(arguments.model)
    if isinstance(vae, TableVAE):
        raise ValueError(
            "`model` must be of images or arrays, because rows have no picture: `keras-vae score "
            f"--cells` tells which cells fit. Received: {arguments.model}, a TableVAE"
        )
    check_no_rows(vae, arguments.data)
    x = some(load_data(arguments.data, arguments.strict).test, arguments.num)
    write(
        vae.predict(x, verbose=0),
        arguments.output,
        lambda y, path: plotting.reconstructions(x, y, path),
    )
