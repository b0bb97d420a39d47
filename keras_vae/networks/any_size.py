"""Convolutional networks for images of any size, whose code is a grid of vectors.

Each is a body of convolutions, which takes any height and width, inside a network for images of one
size: the encoder pads the image and flattens the grid, the decoder reshapes the code and crops the
image. The body is what codes images of other sizes, and tiles of large ones.
"""

import math
from collections.abc import Sequence

import keras
from keras import layers

from keras_vae.networks.blocks import code_input, model
from keras_vae.networks.residual import residual_block
from keras_vae.networks.shapes import image_shape
from keras_vae.typing import Activation

_PROBE = 256
"""Length of the image or grid with which the stride of a body is measured."""


def latent_encoder(
    input_shape: Sequence[int],
    channels: int,
    filters: Sequence[int] = (64, 128),
    blocks: int = 1,
    activation: Activation = "silu",
    name: str = "encoder",
) -> keras.Model:
    """Makes an encoder of an image to a grid, which also takes images of any other size.

    There is no normalisation. On photographs of hands of 64 x 64 networks with GroupNormalization
    learned as much from a step, and took a fifth longer; over the whole image it would also rule
    out tiles. LayerNormalization of each place learned much less.

    Args:
        input_shape: (H, W, C).
        channels: int, of the grid; `DiagonalNormal(linear=False)` wants two for each latent.
        filters: channels after each convolution of stride 2.
        blocks: int, residual blocks after each of these.
        activation: of the residual blocks.
        name: of the model.

    Returns:
        A model from x, (B, H, W, C), to features, (B, F).

    Example: `latent_encoder((64, 64, 3), 8)`, of 16 x 16 x 8 features.

    References: He et al., Identity Mappings in Deep Residual Networks (arXiv:1603.05027); Rombach
    et al., Latent Diffusion Models (arXiv:2112.10752), with GroupNormalization.
    """
    x = inputs = keras.Input((None, None, image_shape(input_shape, "input_shape")[-1]))
    for width in filters:
        x = layers.Conv2D(width, 3, strides=2, padding="same")(x)
        x = _blocks(x, blocks, activation)
    x = layers.Conv2D(channels, 3, padding="same")(layers.Activation(activation)(x))
    return encoder_of(keras.Model(inputs, x, name=f"{name}_body"), input_shape, name)


def latent_decoder(
    channels: int,
    output_shape: Sequence[int],
    filters: Sequence[int] = (128, 64),
    blocks: int = 1,
    activation: Activation = "silu",
    name: str = "decoder",
) -> keras.Model:
    """Makes a decoder that mirrors `latent_encoder`, and takes grids of any size.

    Args:
        channels: int, of the grid.
        output_shape: (H, W, C) that the decoder emits.
        filters: channels before each transposed convolution of stride 2.
        blocks: int, residual blocks before each of these.
        activation: of the residual blocks.
        name: of the model.

    Returns:
        A model from z, (B, D), to the parameters of a likelihood, (B, *output_shape).

    Example: `latent_decoder(4, (64, 64, 3))`.
    """
    x = inputs = keras.Input((None, None, channels))
    x = layers.Conv2D(filters[0], 3, padding="same")(x)
    for width in [*filters[1:], filters[-1]]:
        x = _blocks(x, blocks, activation)
        x = layers.Conv2DTranspose(width, 4, strides=2, padding="same")(x)
    last = image_shape(output_shape, "output_shape")[-1]
    x = layers.Conv2D(last, 3, padding="same")(layers.Activation(activation)(x))
    return decoder_of(keras.Model(inputs, x, name=f"{name}_body"), output_shape, name)


def _blocks(x, number, activation):
    for _ in range(number):
        x = residual_block(x, activation)
    return x


def encoder_of(body: keras.Model, input_shape: Sequence[int], name: str = "encoder") -> keras.Model:
    """Makes an encoder for images of one size of a network for images of any size.

    Height and width are padded with zeros below and on the right, up to a multiple of the stride.

    Args:
        body: `keras.Model` from images (B, None, None, C) to grids (B, None, None, channels).
        input_shape: (H, W, C).
        name: of the model.

    Returns:
        A model from x, (B, H, W, C), to features, (B, F).

    Raises:
        ValueError: if the body takes no images of any size.

    Example:

    ```python
    images = keras.Input((None, None, 3))
    body = keras.Model(images, keras.layers.Conv2D(8, 4, strides=2, padding="same")(images))
    encoder = networks.encoder_of(body, (64, 64, 3))
    ```
    """
    height, width, _ = shape = image_shape(input_shape, "input_shape")
    inputs, step = keras.Input(shape), round(stride(body))
    extra = -height % step, -width % step
    x = layers.ZeroPadding2D([(0, n) for n in extra])(inputs) if any(extra) else inputs
    return model(inputs, [], layers.Flatten()(body(x)), name)


def decoder_of(
    body: keras.Model, output_shape: Sequence[int], name: str = "decoder"
) -> keras.Model:
    """Makes a decoder to images of one size of a network for grids of any size.

    What exceeds the height and width is cropped below and on the right.

    Args:
        body: `keras.Model` from grids (B, None, None, channels) to images (B, None, None, C).
        output_shape: (H, W, C) that the decoder emits.
        name: of the model.

    Returns:
        A model from z, (B, D), to the parameters of a likelihood, (B, *output_shape).

    Raises:
        ValueError: if the body takes no grids of any size.

    Example:

    ```python
    grids = keras.Input((None, None, 4))
    layer = keras.layers.Conv2DTranspose(3, 4, strides=2, padding="same")
    decoder = networks.decoder_of(keras.Model(grids, layer(grids)), (64, 64, 3))
    ```
    """
    height, width, _ = image_shape(output_shape, "output_shape")
    step = round(1 / stride(body))
    grid = (math.ceil(height / step), math.ceil(width / step), body.input_shape[-1])
    inputs = code_input(math.prod(grid))
    x = body(layers.Reshape(grid)(inputs))
    extra = x.shape[1] - height, x.shape[2] - width
    x = layers.Cropping2D([(0, n) for n in extra])(x) if any(extra) else x
    return model(inputs, [], x, name)


def body_of(network: keras.Layer) -> keras.Model | None:
    """Returns the body of a network that `encoder_of` or `decoder_of` has made, or None.

    Args:
        network: an encoder or a decoder.

    Example: `body_of(vae.encoder)`.
    """
    found = [layer for layer in getattr(network, "layers", []) if _takes_any_size(layer)]
    return found[0] if len(found) == 1 and isinstance(found[0], keras.Model) else None


def _takes_any_size(network):
    shape = getattr(network, "input_shape", None)
    return isinstance(shape, tuple) and len(shape) == 4 and shape[1:3] == (None, None)


def stride(body: keras.Model) -> float:
    """Returns how many places of its input a body takes for one place of its output.

    Args:
        body: `keras.Model` for images or grids of any size.

    Returns:
        A number, such as 4 for an encoder with two convolutions of stride 2, and 1/4 for its
            decoder.

    Raises:
        ValueError: if the network takes no images of any size, or changes the length of images
            by other things than a stride, such as `padding="valid"`.

    Example: `stride(networks.latent_encoder((8, 8, 3), 8).get_layer("encoder_body"))  # 4`.
    """
    if not (isinstance(body, keras.Model) and _takes_any_size(body)):
        raise ValueError(
            "`body` must be a keras.Model for images of any size, with an input of "
            "(None, None, channels), because it codes images of other sizes and tiles of them. "
            f"Received: body={body!r} with input_shape={getattr(body, 'input_shape', None)}"
        )
    lengths = [
        body(keras.KerasTensor((1, n, n, body.input_shape[-1]))).shape[1]
        for n in (_PROBE, 2 * _PROBE)
    ]
    steps = (lengths[1] - lengths[0]) / _PROBE
    if lengths[0] != steps * _PROBE:
        raise ValueError(
            "`body` must multiply or divide height and width by a whole number, because tiles are "
            'put side by side; use convolutions with padding="same". Received: body='
            f"{body.name!r}, which makes images of {_PROBE} places into {lengths[0]}"
        )
    return 1 / steps
