"""Encoders and decoders for any (F,), (H, W, C) or (D, H, W, C), plain functional models of Keras.

An encoder maps x to a vector of features, (B, F); a decoder maps z, (B, D), to the parameters of a
likelihood: it has no final activation. Any `keras.Model` with those shapes serves as well.
"""

from keras_vae.networks.any_size import decoder_of, encoder_of, latent_decoder, latent_encoder
from keras_vae.networks.convolutional import conv_decoder, conv_encoder
from keras_vae.networks.dense import dense_decoder, dense_encoder, discriminator
from keras_vae.networks.features import features_of, image_classifier
from keras_vae.networks.grids import grid_decoder, grid_encoder
from keras_vae.networks.images import fitting_filters, image_decoder, image_encoder
from keras_vae.networks.patches import patch_discriminator
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
    "decoder_of",
    "dense_decoder",
    "dense_encoder",
    "discriminator",
    "encoder_of",
    "features_of",
    "fitting_filters",
    "grid_decoder",
    "grid_encoder",
    "grid_size",
    "image_classifier",
    "image_decoder",
    "image_encoder",
    "image_shape",
    "latent_decoder",
    "latent_encoder",
    "patch_discriminator",
    "positive_shape",
    "recurrent_decoder",
    "recurrent_encoder",
    "residual_decoder",
    "residual_encoder",
    "sequence_decoder",
    "sequence_encoder",
]
