"""Encoders and decoders for any (H, W, C) or (F,), each a plain functional `keras.Model`.

An encoder maps x to a vector of features, (B, F); a decoder maps z, (B, D), to the raw values of a
likelihood: it has no final activation. Any `keras.Model` with those shapes serves as well.
"""

import math

import keras
import numpy as np
from keras import layers

from keras_vae.validation import positive_integer


def positive_shape(shape, argument):
    """`shape`, an integer or several, as a tuple; ValueError if it is not that of an example."""
    shape = tuple(np.atleast_1d(np.asarray(shape, "object")))
    if not shape:
        raise ValueError(
            f"`{argument}` must be positive integers, the shape of one example without the batch. "
            f"Received: {argument}={shape}"
        )
    return tuple(positive_integer(n, argument, "a length of one example's shape") for n in shape)


def _code(latent_dim):
    return keras.Input((positive_integer(latent_dim, "latent_dim", "the length of the code z"),))


def _condition(condition_dim):
    """The inputs for a condition: none or one."""
    if condition_dim is None:
        return []
    return [keras.Input((positive_integer(condition_dim, "condition_dim", "its length"),))]


def _joined(x, condition):
    """Vectors x with the condition behind, if there is one."""
    return layers.Concatenate()([x, *condition]) if condition else x


def _model(x, condition, outputs, name):
    return keras.Model([x, *condition] if condition else x, outputs, name=name)


def image_shape(shape, argument):
    why = "the network is convolutional; use the dense one for other data"
    return _shape_of(shape, argument, ("height", "width", "channels"), why)


def _sequence_shape(shape, argument):
    return _shape_of(shape, argument, ("steps", "features"), "the network goes along the steps")


def _shape_of(shape, argument, axes, why):
    shape = positive_shape(shape, argument)
    if len(shape) != len(axes):
        raise ValueError(
            f"`{argument}` must be ({', '.join(axes)}), because {why}. Received: {argument}={shape}"
        )
    return shape


def _dense(x, units, activation, residual=False):
    for width in units:
        y = layers.Dense(width, activation=activation)(x)
        x = layers.Add()([x, y]) if residual and x.shape[-1] == width else y
    return x


def dense_encoder(
    input_shape,
    units=(512, 256, 256, 256),
    activation="gelu",
    residual=True,
    name="encoder",
    condition_dim=None,
):
    """Flatten, then one Dense layer for each of `units`.

    Args:
        input_shape: shape of an example, such as (28, 28, 1) or (30,).
        units: widths of the layers; the last is F.
        activation: of every layer.
        residual: whether a layer as wide as the one before adds to it instead of replacing it.
        condition_dim: length of a condition, a second input, or None.

    Example: `dense_encoder((30,), units=(64, 64))`.
    """
    x = inputs = keras.Input(positive_shape(input_shape, "input_shape"))
    condition = _condition(condition_dim)
    x = _dense(_joined(layers.Flatten()(x), condition), units, activation, residual)
    return _model(inputs, condition, x, name)


def dense_decoder(
    latent_dim,
    output_shape,
    units=(256, 256, 256, 512),
    activation="gelu",
    residual=True,
    name="decoder",
    condition_dim=None,
):
    """The mirror of `dense_encoder`.

    Args:
        latent_dim: D.
        output_shape: shape of what the decoder emits for an example, such as (28, 28, 1).
        units, activation, residual, condition_dim: as in `dense_encoder`.

    Example: `dense_decoder(2, (30,), units=(64, 64))`.
    """
    output_shape = positive_shape(output_shape, "output_shape")
    inputs, condition = _code(latent_dim), _condition(condition_dim)
    x = _dense(_joined(inputs, condition), units, activation, residual)
    x = layers.Reshape(output_shape)(layers.Dense(math.prod(output_shape))(x))
    return _model(inputs, condition, x, name)


def conv_encoder(
    input_shape,
    filters=(32, 64),
    units=(16,),
    activation="relu",
    units_activation="relu",
    name="encoder",
    condition_dim=None,
):
    """3x3 convolutions of stride 2, Flatten, Dense.

    Args:
        input_shape: (height, width, channels), of any size, odd ones too.
        filters: channels after each convolution; each halves height and width, rounding up.
        units: widths of the dense layers behind; the last is F.
        activation, units_activation: of the convolutions, of the dense layers.
        condition_dim: length of a condition, a second input behind the convolutions, or None.

    Example: `conv_encoder((64, 64, 3), filters=(32, 64, 128), units=(256,))`.
    """
    x = inputs = keras.Input(image_shape(input_shape, "input_shape"))
    for channels in filters:
        x = layers.Conv2D(channels, 3, strides=2, padding="same", activation=activation)(x)
    condition = _condition(condition_dim)
    x = _dense(_joined(layers.Flatten()(x), condition), units, units_activation)
    return _model(inputs, condition, x, name)


def conv_decoder(
    latent_dim,
    output_shape,
    filters=(64, 32),
    units=(),
    activation="relu",
    name="decoder",
    condition_dim=None,
):
    """Dense, transposed 3x3 convolutions of stride 2, and a last one of stride 1.

    Starts from `filters[0]` channels on the smallest grid that grows to `output_shape` or just
    past it; what is too much is cropped.

    Args:
        latent_dim: D.
        output_shape: (height, width, channels) that the decoder emits, of any size.
        filters: channels after each transposed convolution; each doubles height and width.
        units: widths of dense layers in front.
        activation: of the hidden layers.
        condition_dim: length of a condition, a second input, or None.

    Example: `conv_decoder(16, (64, 64, 3), filters=(128, 64, 32))`.
    """
    height, width, channels = image_shape(output_shape, "output_shape")
    inputs, condition = _code(latent_dim), _condition(condition_dim)
    x = _dense(_joined(inputs, condition), units, activation)
    x = _to_grid(x, height, width, filters, activation)
    for number in filters:
        x = layers.Conv2DTranspose(number, 3, strides=2, padding="same", activation=activation)(x)
    x = layers.Conv2DTranspose(channels, 3, padding="same")(x)
    return _model(inputs, condition, _crop(x, height, width), name)


def residual_encoder(
    input_shape,
    filters=(32, 64, 128),
    units=(256,),
    activation="gelu",
    name="encoder",
    condition_dim=None,
):
    """Like `conv_encoder`, with a residual block after each convolution: for larger images.

    Args and example as in `conv_encoder`, with one activation for all.

    Reference: He et al., Identity Mappings in Deep Residual Networks (arXiv:1603.05027).
    """
    inputs = keras.Input(image_shape(input_shape, "input_shape"))
    x, condition = _residual_down(inputs, filters, activation), _condition(condition_dim)
    x = _joined(layers.Flatten()(x), condition)
    return _model(inputs, condition, _dense(x, units, activation), name)


def residual_decoder(
    latent_dim,
    output_shape,
    filters=(128, 64, 32),
    units=(256,),
    activation="gelu",
    name="decoder",
    condition_dim=None,
):
    """Like `conv_decoder`, with a residual block in front of each transposed convolution.

    Args and example as in `conv_decoder`.

    Reference: He et al., Identity Mappings in Deep Residual Networks (arXiv:1603.05027).
    """
    height, width, channels = image_shape(output_shape, "output_shape")
    inputs, condition = _code(latent_dim), _condition(condition_dim)
    x = _dense(_joined(inputs, condition), units, activation)
    x = _to_grid(x, height, width, filters, None)
    x = _residual_up(x, filters, channels, activation)
    return _model(inputs, condition, _crop(x, height, width), name)


def grid_encoder(input_shape, channels, filters=(64, 128), activation="gelu", name="encoder"):
    """Like `residual_encoder`, ending in a grid of `channels` for each place, flattened.

    For codes with a place: F is ceil(H / 2^n) · ceil(W / 2^n) · channels, n the number of filters.

    Args:
        input_shape: (H, W, C).
        channels: int, of the last grid.
        filters: channels after each convolution of stride 2.

    Example: `grid_encoder((28, 28, 1), 16)`, of 7 x 7 x 16 features.
    """
    inputs = keras.Input(image_shape(input_shape, "input_shape"))
    x = layers.Conv2D(channels, 1)(_residual_down(inputs, filters, activation))
    return _model(inputs, [], layers.Flatten()(x), name)


def grid_decoder(
    channels, output_shape, filters=(128, 64), activation="gelu", name="decoder", depth=1
):
    """The mirror of `grid_encoder`: z is a flattened grid of `channels` for each place.

    With a `depth` z has so many vectors of `channels` for each place, and the decoder begins with
    their sum, as residual quantisation wants it.

    Example: `grid_decoder(16, (28, 28, 1))`.
    """
    height, width, last = image_shape(output_shape, "output_shape")
    grid = grid_size(output_shape, filters)
    inputs = _code(math.prod(grid) * depth * channels)
    x = keras.ops.sum(layers.Reshape((*grid, depth, channels))(inputs), axis=-2)
    x = layers.Conv2D(filters[0], 3, padding="same")(x)
    x = _residual_up(x, filters, last, activation)
    return _model(inputs, [], _crop(x, height, width), name)


def grid_size(shape, filters=(64, 128)):
    """(height, width) of the grid that `grid_encoder` ends in for examples (H, W, C)."""
    return tuple(math.ceil(n / 2 ** len(filters)) for n in shape[:2])


def sequence_encoder(input_shape, filters=(32, 64), units=(64,), activation="gelu", name="encoder"):
    """Convolutions of width 5 and stride 2 along the steps, Flatten, Dense.

    Sequences of different lengths are padded to one, with a `mask` that is 0 on what is padded:
    `fit({"x": x, "mask": mask})`. A padded step then counts for nothing, whatever it holds.

    Args:
        input_shape: (steps, features).
        filters: channels after each convolution; each halves the steps, rounding up.
        units: widths of the dense layers behind; the last is F.
        activation: of every layer.

    Example: `sequence_encoder((64, 3))`.
    """
    x = inputs = keras.Input(_sequence_shape(input_shape, "input_shape"))
    for channels in filters:
        x = layers.Conv1D(channels, 5, strides=2, padding="same", activation=activation)(x)
    return _model(inputs, [], _dense(layers.Flatten()(x), units, activation), name)


def sequence_decoder(
    latent_dim, output_shape, filters=(64, 32), units=(64,), activation="gelu", name="decoder"
):
    """The mirror of `sequence_encoder`; steps in excess are cropped.

    Args:
        latent_dim: D.
        output_shape: (steps, features) that the decoder emits.
        filters, units, activation: as in `sequence_encoder`.

    Example: `sequence_decoder(4, (64, 3))`.
    """
    steps, features = _sequence_shape(output_shape, "output_shape")
    inputs = _code(latent_dim)
    x = _dense(inputs, units, activation)
    first = math.ceil(steps / 2 ** len(filters))
    x = layers.Dense(first * filters[0], activation=activation)(x)
    x = layers.Reshape((first, filters[0]))(x)
    for channels in filters:
        x = layers.Conv1DTranspose(channels, 5, strides=2, padding="same", activation=activation)(x)
    x = layers.Conv1D(features, 5, padding="same")(x)
    extra = x.shape[1] - steps
    x = layers.Cropping1D((extra // 2, extra - extra // 2))(x) if extra else x
    return _model(inputs, [], x, name)


def recurrent_encoder(input_shape, units=64, name="encoder", num_classes=None):
    """The last states of a GRU that goes along the steps and of one that goes back; F is 2 units.

    Args:
        input_shape: (steps, features); padding as in `sequence_encoder`.
        units: int, of each GRU, and of the embedding.
        num_classes: int, where x holds classes or tokens, 0 to num_classes - 1, each of which gets
            a learned vector; None for numbers. Hand tokens in as integers: a half-precision policy
            rounds large floats.

    Example: `recurrent_encoder((64, 3))`.
    """
    shape = _sequence_shape(input_shape, "input_shape")
    x = inputs = keras.Input(shape, dtype=None if num_classes is None else "int32")
    if num_classes is not None:
        positive_integer(num_classes, "num_classes", "how many classes x has")
        x = layers.Embedding(num_classes, units)(x)
        x = layers.Reshape((shape[0], shape[1] * units))(x)
    return _model(inputs, [], layers.Bidirectional(layers.GRU(units))(x), name)


def recurrent_decoder(latent_dim, output_shape, units=64, name="decoder"):
    """A GRU that sees the code at each step.

    Args:
        latent_dim: D.
        output_shape: (steps, features) that the decoder emits.
        units: int, of the GRU.

    Example: `recurrent_decoder(4, (64, 3))`.
    """
    steps, features = _sequence_shape(output_shape, "output_shape")
    inputs = _code(latent_dim)
    x = layers.GRU(units, return_sequences=True)(layers.RepeatVector(steps)(inputs))
    return _model(inputs, [], layers.Dense(features)(x), name)


def discriminator(latent_dim, units=(256, 256, 256), activation="leaky_relu"):
    """Dense layers from a code to one logit, in float32: for the parts of `adversarial`.

    Args:
        latent_dim: D.
        units: widths of the hidden layers.
        activation: of the hidden layers.

    Example: `discriminator(10)`.

    Reference: Kim and Mnih, Disentangling by Factorising (arXiv:1802.05983), appendix A, with six
    layers of 1,000.
    """
    x = inputs = _code(latent_dim)
    for width in units:
        x = layers.Dense(width, activation=activation, dtype="float32")(x)
    return keras.Model(inputs, layers.Dense(1, dtype="float32")(x), name="discriminator")


def _to_grid(x, height, width, filters, activation):
    grid = (*grid_size((height, width), filters), filters[0])
    return layers.Reshape(grid)(layers.Dense(math.prod(grid), activation=activation)(x))


def _crop(x, height, width):
    extra = x.shape[1] - height, x.shape[2] - width
    return layers.Cropping2D([(n // 2, n - n // 2) for n in extra])(x) if any(extra) else x


def _residual_down(x, filters, activation):
    for channels in filters:
        x = layers.Conv2D(channels, 3, strides=2, padding="same")(x)
        x = _residual_block(x, activation)
    return layers.Activation(activation)(x)


def _residual_up(x, filters, channels, activation):
    for number in filters:
        x = _residual_block(x, activation)
        x = layers.Conv2DTranspose(number, 3, strides=2, padding="same")(x)
    x = layers.Activation(activation)(x)
    return layers.Conv2DTranspose(channels, 3, padding="same")(x)


def _residual_block(x, activation):
    channels = x.shape[-1]
    hidden = layers.Conv2D(channels, 3, padding="same")(layers.Activation(activation)(x))
    hidden = layers.Conv2D(channels, 3, padding="same")(layers.Activation(activation)(hidden))
    return layers.Add()([x, hidden])
