"""Instruments that judge a model, NumPy in and NumPy out."""

import numpy as np


def active_units(codes, threshold=0.01):
    """The number of latent dimensions in use: those whose posterior means vary over the data.

    Args:
        codes: (N, D), posterior means, `vae.encode(x)`.
        threshold: the variance over the data from which on a dimension counts.

    Example: `active_units(vae.encode(x_test))`.

    Reference: Burda et al., Importance Weighted Autoencoders (arXiv:1509.00519), section 5.2.
    """
    return int(np.sum(np.var(np.asarray(codes, "float64"), axis=0) > threshold))
