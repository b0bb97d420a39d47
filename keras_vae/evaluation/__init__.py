"""Instruments that judge a model, NumPy in and NumPy out."""

from keras_vae.evaluation.disentanglement import (
    beta_vae_score,
    dci,
    discretize,
    disentanglement_scores,
    explicitness,
    factor_vae_score,
    interventional_robustness,
    modularity,
    mutual_information_gap,
    sap,
)
from keras_vae.evaluation.latents import active_units, decompose_kl
from keras_vae.evaluation.likelihood import bits_per_dim
from keras_vae.evaluation.probes import cluster_accuracy, linear_probe, neighbour_accuracy
from keras_vae.evaluation.samples import (
    feature_model,
    features,
    frechet_distance,
    precision_recall,
)

__all__ = [
    "active_units",
    "beta_vae_score",
    "bits_per_dim",
    "cluster_accuracy",
    "dci",
    "decompose_kl",
    "discretize",
    "disentanglement_scores",
    "explicitness",
    "factor_vae_score",
    "feature_model",
    "features",
    "frechet_distance",
    "interventional_robustness",
    "linear_probe",
    "modularity",
    "mutual_information_gap",
    "neighbour_accuracy",
    "precision_recall",
    "sap",
]
