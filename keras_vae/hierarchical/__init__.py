"""Ladders: hierarchies of latent groups, each drawn given those above it and what the image says.

Shapes: K draws, B examples, L groups, D latent dimensions of all groups together.
"""

from keras_vae.hierarchical.ladder import Block, TopDown, bottom_up
from keras_vae.hierarchical.model import HierarchicalVAE

__all__ = ["Block", "HierarchicalVAE", "TopDown", "bottom_up"]
