"""Instruments that judge a model, NumPy in and NumPy out."""

import math

import numpy as np


def bits_per_dim(log_prob, example_shape):
    """Log-likelihoods in nats an example as bits per dimension, the lower the better.

    Comparable between image sizes where the likelihood is that of discrete levels, as of
    `DiscretizedLogistic`.

    Args:
        log_prob: (N,) or a number, such as `vae.log_likelihood(x)`.
        example_shape: shape of an example, `x.shape[1:]`.

    Example: `bits_per_dim(vae.log_likelihood(x), x.shape[1:]).mean()`.

    Reference: Theis et al., A Note on the Evaluation of Generative Models (arXiv:1511.01844).
    """
    return -np.asarray(log_prob) / (math.prod(example_shape) * math.log(2.0))


def active_units(codes, threshold=0.01):
    """The number of latent dimensions in use: those whose posterior means vary over the data.

    Args:
        codes: (N, D), posterior means, `vae.encode(x)`.
        threshold: the variance over the data from which on a dimension counts.

    Example: `active_units(vae.encode(x_test))`.

    Reference: Burda et al., Importance Weighted Autoencoders (arXiv:1509.00519), section 5.2.
    """
    return int(np.sum(np.var(np.asarray(codes, "float64"), axis=0) > threshold))
