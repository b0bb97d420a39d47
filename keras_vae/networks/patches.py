"""Discriminators of the patches of images."""

from collections.abc import Sequence

import keras
from keras import layers

from keras_vae.networks.blocks import normalised
from keras_vae.networks.shapes import image_shape
from keras_vae.typing import Activation


def patch_discriminator(
    input_shape: Sequence[int],
    filters: Sequence[int] = (64, 128),
    activation: Activation = "leaky_relu",
    name: str = "discriminator",
) -> keras.Model:
    """Makes convolutions from an image to a logit for each patch, in float32.

    It is for `adversarial.PatchAdversary`. Neighbouring patches overlap, and are 34 pixels high and
    wide with two filters. Layers after the first are normalised over groups of channels, and not
    over the batch, so that each image is judged alone.

    Args:
        input_shape: (H, W, C).
        filters: channels after each convolution of stride 2.
        activation: of the hidden layers.
        name: of the model.

    Returns:
        A model from images, (B, H, W, C), to logits, (B, h, w, 1).

    Example: `patch_discriminator((64, 64, 3))`.

    Reference: Isola et al., Image-to-Image Translation with Conditional Adversarial Networks
    (arXiv:1611.07004), appendix 6.1.2, with BatchNormalization and four filters.
    """
    x = inputs = keras.Input(image_shape(input_shape, "input_shape"))
    for width in filters:
        x = _convolution(width, strides=2)(x)
        x = x if width is filters[0] else normalised(x, dtype="float32")
        x = layers.Activation(activation, dtype="float32")(x)
    x = normalised(_convolution(2 * filters[-1])(x), dtype="float32")
    x = layers.Activation(activation, dtype="float32")(x)
    return keras.Model(inputs, _convolution(1)(x), name=name)


def _convolution(width, strides=1):
    return layers.Conv2D(width, 4, strides=strides, padding="same", dtype="float32")
