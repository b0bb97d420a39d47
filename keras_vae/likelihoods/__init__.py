"""Likelihoods p(x|z): normalised densities in nats, on the parameters that a decoder emits.

Shapes: x is (B, …); params is (K, B, …), K draws of the code an example; log-densities are (K, B),
summed over everything in an example. Decoders have no final activation: it is part of the
likelihood, and computed in float32.
"""

from keras_vae.likelihoods.base import Likelihood
from keras_vae.likelihoods.counts import (
    Categorical,
    NegativeBinomial,
    Ordinal,
    Poisson,
    ZeroInflated,
)
from keras_vae.likelihoods.histogram import Histogram
from keras_vae.likelihoods.mixed import Mixed
from keras_vae.likelihoods.pixels import (
    Bernoulli,
    ContinuousBernoulli,
    DiscretizedLogistic,
    DiscretizedLogisticMixture,
)
from keras_vae.likelihoods.real import Beta, Laplace, LogNormal, Normal, StudentT
from keras_vae.likelihoods.rescaled import Rescaled
from keras_vae.likelihoods.sequences import AutoregressiveSequence

__all__ = [
    "AutoregressiveSequence",
    "Bernoulli",
    "Beta",
    "Categorical",
    "ContinuousBernoulli",
    "DiscretizedLogistic",
    "DiscretizedLogisticMixture",
    "Histogram",
    "Laplace",
    "Likelihood",
    "LogNormal",
    "Mixed",
    "NegativeBinomial",
    "Normal",
    "Ordinal",
    "Poisson",
    "Rescaled",
    "StudentT",
    "ZeroInflated",
]
