"""Discrete codes: vector quantisation, finite scalar quantisation, and priors over the codes.

A quantised model is a `VAE` whose posterior is over sequences of N codes out of num_codes each.
Most put all their mass on one: its KL under the uniform prior is N log num_codes nats, so that the
ELBO is an honest bound; `vae.fit_prior(x, AutoregressiveCodes(…))` learns how the codes are spread,
and `generate` then draws from that.
"""

from keras_vae.quantized.codes import AutoregressiveCodes, UniformCodes
from keras_vae.quantized.commitment import Commitment
from keras_vae.quantized.entropy import CodeEntropy
from keras_vae.quantized.gumbel import GumbelQuantizer
from keras_vae.quantized.linear import LinearVectorQuantizer
from keras_vae.quantized.packing import pack, unpack
from keras_vae.quantized.quantizers import Quantizer
from keras_vae.quantized.scalar import BinaryQuantizer, FiniteScalarQuantizer
from keras_vae.quantized.vector import VectorQuantizer, rotated

__all__ = [
    "AutoregressiveCodes",
    "BinaryQuantizer",
    "CodeEntropy",
    "Commitment",
    "FiniteScalarQuantizer",
    "GumbelQuantizer",
    "LinearVectorQuantizer",
    "Quantizer",
    "UniformCodes",
    "VectorQuantizer",
    "pack",
    "rotated",
    "unpack",
]
