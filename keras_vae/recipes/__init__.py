"""Well-known models, each a short composition of parts.

All take the shape of an example, (H, W, C) or (F,), the `latent_dim` and a `likelihood` (by default
`Bernoulli()`, for x in [0, 1]); the rest is what the paper varies. `seed`, of the noise, and the
other parts of `VAE` can be given to each.
"""

from keras_vae.recipes.baselines import linear_vae, tutorial_vae
from keras_vae.recipes.bounds import (
    annealed_vae,
    beta_tc_vae,
    dip_vae,
    factor_vae,
    info_vae,
    iwae,
    miwae,
    sigma_vae,
    vae,
    wae_gan,
    wae_mmd,
)
from keras_vae.recipes.codes import (
    categorical_vae,
    conditional_vae,
    flow_prior_vae,
    hyperspherical_vae,
    iaf_vae,
    mixture_vae,
    planar_vae,
    vamp_vae,
)
from keras_vae.recipes.fitting import fitting_networks
from keras_vae.recipes.grids import (
    bsq_vae,
    deep_ladder_vae,
    fsq_vae,
    kl_autoencoder,
    ladder_vae,
    lfq_vae,
    rvq_vae,
    vq_vae,
)
from keras_vae.recipes.tables import table_vae

__all__ = [
    "annealed_vae",
    "beta_tc_vae",
    "bsq_vae",
    "categorical_vae",
    "conditional_vae",
    "deep_ladder_vae",
    "dip_vae",
    "factor_vae",
    "fitting_networks",
    "flow_prior_vae",
    "fsq_vae",
    "hyperspherical_vae",
    "iaf_vae",
    "info_vae",
    "iwae",
    "kl_autoencoder",
    "ladder_vae",
    "lfq_vae",
    "linear_vae",
    "miwae",
    "mixture_vae",
    "planar_vae",
    "rvq_vae",
    "sigma_vae",
    "table_vae",
    "tutorial_vae",
    "vae",
    "vamp_vae",
    "vq_vae",
    "wae_gan",
    "wae_mmd",
]
