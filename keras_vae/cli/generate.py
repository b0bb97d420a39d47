"""`keras-vae generate`."""

import argparse

from keras_vae import plotting, saving
from keras_vae.cli.output import write


def generate(arguments: argparse.Namespace) -> None:
    """Writes new examples as a picture or an array."""
    vae = saving.load_model(arguments.model)
    x = vae.generate(arguments.num, temperature=arguments.temperature, seed=arguments.seed)
    write(x, arguments.output, plotting.image_grid)
