"""Priors p(z) over the latent code."""

from keras_vae.priors.base import FromNoise, Prior
from keras_vae.priors.flow import FlowPrior
from keras_vae.priors.mixtures import NormalMixture, VampPrior
from keras_vae.priors.normal import ConditionalNormal, LearnedNormal, NormalGiven, StandardNormal
from keras_vae.priors.spaces import default
from keras_vae.priors.uniform import UniformCategorical, UniformSphere

__all__ = [
    "ConditionalNormal",
    "FlowPrior",
    "FromNoise",
    "LearnedNormal",
    "NormalGiven",
    "NormalMixture",
    "Prior",
    "StandardNormal",
    "UniformCategorical",
    "UniformSphere",
    "VampPrior",
    "default",
]
