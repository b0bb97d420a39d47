"""`keras-vae reconstruct`."""

import argparse

from keras_vae import plotting, saving
from keras_vae.cli import run_file
from keras_vae.cli.data import load_for, some
from keras_vae.cli.output import check_examples, picture_or_array, write
from keras_vae.cli.table import check_no_rows
from keras_vae.tables import TableVAE


def reconstruct(arguments: argparse.Namespace) -> None:
    """Writes test examples and their reconstructions, as a picture or an array."""
    check_examples(arguments.output, arguments.overwrite)
    run_file.take_data(arguments)
    vae = saving.load_model(arguments.model)
    if isinstance(vae, TableVAE):
        raise ValueError(
            "`model` must be of images or arrays, because rows have no picture: `keras-vae score "
            f"--cells` tells which cells fit. Received: {arguments.model}, a TableVAE"
        )
    check_no_rows(vae, arguments.data)
    output = picture_or_array(arguments.output, "reconstructions", vae.target_shape)
    check_examples(output, arguments.overwrite)
    x = some(load_for(vae, arguments).test, arguments.num)
    write(
        vae.predict(x, verbose=0),
        output,
        lambda y, path: plotting.reconstructions(x, y, path),
    )
