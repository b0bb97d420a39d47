"""`keras_vae_fit` where Keras puts the weights on an accelerator; elsewhere it says so."""

import sys

import keras
import keras_vae_fit


def prepare(x, batch):
    device = str(keras.Variable(0.0).value.device)
    if "cpu" in device.lower():
        sys.exit(f"no accelerator, {device}")
    return keras_vae_fit.prepare(x, batch)
