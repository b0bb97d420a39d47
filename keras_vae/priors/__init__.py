"""Priors p(z) over the latent code."""

from keras_vae.priors.base import Prior, ReparameterizedDistribution
from keras_vae.priors.flow import FlowPrior
from keras_vae.priors.mixtures import NormalMixture, VampPrior
from keras_vae.priors.normal import (
    ConditionalNormal,
    DiagonalNormalDistribution,
    LearnedNormal,
    StandardNormal,
)
from keras_vae.priors.spaces import default
from keras_vae.priors.uniform import UniformCategorical, UniformSphere

__all__ = [
    "ConditionalNormal",
    "DiagonalNormalDistribution",
    "FlowPrior",
    "LearnedNormal",
    "NormalMixture",
    "Prior",
    "ReparameterizedDistribution",
    "StandardNormal",
    "UniformCategorical",
    "UniformSphere",
    "VampPrior",
    "default",
]
