"""Encoders and decoders for any (H, W, C) or (F,), each a plain functional `keras.Model`.

An encoder maps x to a vector of features, (B, F); a decoder maps z, (B, D), to the parameters of a
likelihood: it has no final activation. Any `keras.Model` with those shapes serves as well.
"""

from keras_vae.networks.convolutional import conv_decoder, conv_encoder
from keras_vae.networks.dense import dense_decoder, dense_encoder, discriminator
from keras_vae.networks.grids import grid_decoder, grid_encoder
from keras_vae.networks.residual import residual_decoder, residual_encoder
from keras_vae.networks.sequences import (
    recurrent_decoder,
    recurrent_encoder,
    sequence_decoder,
    sequence_encoder,
)
from keras_vae.networks.shapes import grid_size, image_shape, positive_shape

__all__ = [
    "conv_decoder",
    "conv_encoder",
    "dense_decoder",
    "dense_encoder",
    "discriminator",
    "grid_decoder",
    "grid_encoder",
    "grid_size",
    "image_shape",
    "positive_shape",
    "recurrent_decoder",
    "recurrent_encoder",
    "residual_decoder",
    "residual_encoder",
    "sequence_decoder",
    "sequence_encoder",
]
