"""Posteriors q(z|x): from the encoder's features to draws of the latent code.

Shapes: K draws, B examples, D latent dimensions; draws are (K, B, D), log-densities (K, B).
"""

from keras_vae.posteriors.base import Posterior
from keras_vae.posteriors.discrete import Categorical
from keras_vae.posteriors.flow import NormalizingFlow
from keras_vae.posteriors.grids import GridNormal
from keras_vae.posteriors.normal import DiagonalNormal, FullNormal, NormalPosterior
from keras_vae.posteriors.points import score_points
from keras_vae.posteriors.spherical import VonMisesFisher

__all__ = [
    "Categorical",
    "DiagonalNormal",
    "FullNormal",
    "GridNormal",
    "NormalPosterior",
    "NormalizingFlow",
    "Posterior",
    "VonMisesFisher",
    "score_points",
]
