"""Fixed points that stand for standard normal noise, so that a score is the same each time."""

import math

import numpy as np

from keras_vae.validation import positive_integer

SEED = 0
FEWEST, MOST = 16, 64


def default_num_points(latent_dim: int) -> int:
    """Returns how many points scores take by default: whole bases, of 16 points or more.

    With whole bases the mean of quadratic functions is exact. Above 32 latent dimensions they would
    cost too much, and there are 64 points.
    """
    basis = 2 * latent_dim
    return min(basis * math.ceil(FEWEST / basis), MOST)


def score_points(num_samples: int, latent_dim: int) -> np.ndarray:
    """Returns points whose mean over a function approximates its mean over N(0, I).

    The points are ±r d along orthonormal directions d. When every direction of a basis is used
    equally often, that is when `num_samples // 2` is a multiple of `latent_dim`, the points have
    the mean 0 and the covariance I, so that the mean of any quadratic function is exact. With fewer
    points the mean and the trace of the covariance are still exact.

    An odd `num_samples` adds the origin and moves the other points outwards, which leaves these
    moments as they are. A single point is the origin alone, and then no spread is measured.

    Args:
        num_samples: Number K of points, at least 1.
        latent_dim: Number D of latent dimensions, at least 1.

    Returns:
        NumPy array (K, D), float32; the same for the same arguments.

    Raises:
        ValueError: If an argument is not a positive integer.

    Example:

    ```python
    score_points(4, 2)   # ± two orthogonal directions, each of length √2
    ```

    Reference:
        Julier and Uhlmann, A New Extension of the Kalman Filter to Nonlinear Systems (1997).
    """
    positive_integer(num_samples, "num_samples", "the number of points")
    positive_integer(latent_dim, "latent_dim", "the length of a point")
    pairs = num_samples // 2
    radius = math.sqrt(latent_dim * num_samples / max(2 * pairs, 1))
    half = radius * _directions(pairs, latent_dim)
    origin = np.zeros((num_samples % 2, latent_dim))
    return np.concatenate([half, -half, origin]).astype("float32")


def _directions(count: int, dim: int) -> np.ndarray:
    """Returns `count` directions (count, dim): orthonormal bases, the last one cut off."""
    generator = np.random.default_rng(SEED)
    sizes = [min(dim, count - start) for start in range(0, count, dim)]
    bases = [_orthonormal_rows(generator, size, dim) for size in sizes]
    return np.concatenate([np.zeros((0, dim)), *bases])


def _orthonormal_rows(generator: np.random.Generator, count: int, dim: int) -> np.ndarray:
    """Returns random orthonormal rows (count, dim); signs are fixed, so they are unique."""
    q, r = np.linalg.qr(generator.normal(size=(count, dim)).T)
    return (q * np.sign(np.diag(r))).T
