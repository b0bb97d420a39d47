"""A VAE whose likelihood has a closed form."""

import numpy as np
from scipy import stats

from keras_vae import recipes

RNG = np.random.default_rng(0)


def principal_components():
    """A linear VAE set by hand to a probabilistic PCA model of 6 features, and that model.

    With orthogonal columns of W the true posterior is diagonal, so q can be exact.
    """
    basis = np.linalg.qr(RNG.normal(size=(6, 6)))[0][:, :2]
    loadings, centre, variance = basis * [2.0, 0.7], RNG.normal(size=6), 0.3
    model = stats.multivariate_normal(centre, loadings @ loadings.T + variance * np.eye(6))
    precision = (loadings**2).sum(0) / variance + 1.0
    vae = recipes.linear_vae((6,), latent_dim=2, seed=0)
    vae.decoder.set_weights([loadings.T, centre])
    project = loadings / variance / precision
    vae.posterior.mean_layer.set_weights([project, -centre @ project])
    vae.posterior.log_variance_layer.set_weights([np.zeros((6, 2)), -np.log(precision)])
    vae.likelihood.log_scale.assign(0.5 * np.log(variance))
    return vae, model
