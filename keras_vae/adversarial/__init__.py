"""Penalties that a second network estimates: of codes, and of the patches of images.

A discriminator learns to tell what the model makes from a reference; what it says of that is a
penalty of the VAE. One backward pass serves both: the penalty holds the discriminator's weights
fixed, the discriminator's loss holds what the model makes, and `TwoOptimizers` gives each network
its own optimizer.
"""

from keras_vae.adversarial.base import Opponent
from keras_vae.adversarial.codes import Adversary, PriorAdversary, TotalCorrelationAdversary
from keras_vae.adversarial.model import AdversarialVAE
from keras_vae.adversarial.optimizers import TwoOptimizers, paired
from keras_vae.adversarial.patches import PatchAdversary

__all__ = [
    "AdversarialVAE",
    "Adversary",
    "Opponent",
    "PatchAdversary",
    "PriorAdversary",
    "TotalCorrelationAdversary",
    "TwoOptimizers",
    "paired",
]
