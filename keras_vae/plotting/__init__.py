"""Pictures: every function returns a matplotlib figure, and saves it where `path` is given."""

from keras_vae.plotting.cells import cell_scores, strangest_cells
from keras_vae.plotting.images import image_grid, is_image, mosaic, reconstructions
from keras_vae.plotting.latents import latent_map, latent_scatter, traversals
from keras_vae.plotting.maps import anomaly_maps
from keras_vae.plotting.sequences import is_tokens, sequences
from keras_vae.plotting.style import figure_colours
from keras_vae.plotting.tables import marginals, pairs
from keras_vae.plotting.training import loss_curves

__all__ = [
    "anomaly_maps",
    "cell_scores",
    "figure_colours",
    "image_grid",
    "is_image",
    "is_tokens",
    "latent_map",
    "latent_scatter",
    "loss_curves",
    "marginals",
    "mosaic",
    "pairs",
    "reconstructions",
    "sequences",
    "strangest_cells",
    "traversals",
]
