"""VAEs whose codes are grids of vectors, as latent diffusion models are trained on."""

from keras_vae.latent_grids.model import AdversarialGridVAE, GridVAE

__all__ = ["AdversarialGridVAE", "GridVAE"]
