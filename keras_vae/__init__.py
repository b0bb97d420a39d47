"""Variational autoencoders as ordinary Keras models."""

from keras_vae import (
    adversarial,
    callbacks,
    datasets,
    divergences,
    evaluation,
    flows,
    hierarchical,
    latent_grids,
    layers,
    likelihoods,
    memory,
    networks,
    normal,
    objectives,
    optimizers,
    penalties,
    plotting,
    posteriors,
    priors,
    quantized,
    recipes,
    report,
    schedules,
    tables,
)
from keras_vae.model import VAE
from keras_vae.part import Part
from keras_vae.saving import load_model

__version__ = "0.1.0"

__all__ = [
    "VAE",
    "Part",
    "adversarial",
    "callbacks",
    "datasets",
    "divergences",
    "evaluation",
    "flows",
    "hierarchical",
    "latent_grids",
    "layers",
    "likelihoods",
    "load_model",
    "memory",
    "networks",
    "normal",
    "objectives",
    "optimizers",
    "penalties",
    "plotting",
    "posteriors",
    "priors",
    "quantized",
    "recipes",
    "report",
    "schedules",
    "tables",
]
