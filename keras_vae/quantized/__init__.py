"""Discrete codes: vector quantisation, finite scalar quantisation, and priors over the codes.

A quantised model is a `VAE` whose posterior puts all its mass on one sequence of N codes out of
num_codes each. Its KL under the uniform prior is N log num_codes nats, so that the ELBO is an
honest bound; `vae.fit_prior(x, AutoregressiveCodes())` learns how the codes are spread, and
`generate` then draws from that.
"""

from keras_vae.quantized.codes import AutoregressiveCodes, UniformCodes
from keras_vae.quantized.quantizers import (
    Commitment,
    FiniteScalarQuantizer,
    Quantizer,
    VectorQuantizer,
    rotated,
)

__all__ = [
    "AutoregressiveCodes",
    "Commitment",
    "FiniteScalarQuantizer",
    "Quantizer",
    "UniformCodes",
    "VectorQuantizer",
    "rotated",
]
