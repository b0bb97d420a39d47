"""`keras-vae export`."""

import argparse

from keras_vae import saving


def export(arguments: argparse.Namespace) -> None:
    """Writes a model for TF Serving, ONNX Runtime or LiteRT."""
    vae = saving.load_model(arguments.model)
    vae.export(arguments.output, arguments.format, component=arguments.component)
