"""The diagonal normal: its log density, its KL divergence and its samples, each written once.

A normal is given by its mean and its log-variance, tensors that end in the D latent dimensions.
Samples have the shape (K, B, D) for K draws and B examples; M counts the components of a mixture.
Both parameters may also be numbers: `log_prob(z, 0.0, 0.0)` is the standard normal.
"""

import math
from typing import Any

import keras
from keras import ops

from keras_vae import random
from keras_vae.typing import Seed, Tensor

LOG_TWO_PI = math.log(2.0 * math.pi)


def log_density(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Computes log N(z_d; mean_d, variance_d) in nats, for each dimension.

    Args:
        z: Tensor (…, D).
        mean: Tensor that broadcasts against `z`, or a number.
        log_variance: Logarithm of the variance; like `mean`.

    Returns:
        Tensor (…, D).
    """
    return log_density_at(ops.square(ops.subtract(z, mean)), log_variance)


def log_density_at(square_error: Tensor, log_variance: Tensor) -> Tensor:
    """Computes the log density in nats where the squared distance to the mean is known.

    Args:
        square_error: Tensor (…, D), (z - mean)².
        log_variance: Tensor that broadcasts against `square_error`, or a number.

    Returns:
        Tensor (…, D).
    """
    square = ops.multiply(square_error, ops.exp(ops.negative(log_variance)))
    return -0.5 * (square + log_variance + LOG_TWO_PI)


def log_prob(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Computes log N(z; mean, diag(variance)) in nats: `log_density` summed over the last axis.

    Args:
        z: Tensor (…, D).
        mean: Tensor that broadcasts against `z`, or a number.
        log_variance: Logarithm of the variance; like `mean`.

    Returns:
        Tensor (…).
    """
    return ops.sum(log_density(z, mean, log_variance), axis=-1)


def log_prob_of_each(z: Tensor, means: Tensor, log_variances: Tensor) -> Tensor:
    """Computes the log density in nats of each code under each of M diagonal normals.

    The square is expanded, so that no tensor of shape (…, M, D) is stored. The terms of the
    expansion cancel, so it is computed in float64. JAX has no float64 by default and needs none,
    because XLA does not store the differences either.

    Args:
        z: Tensor (…, D).
        means: Tensor (M, D).
        log_variances: Logarithms of the variances, (M, D).

    Returns:
        Tensor (…, M) with the dtype of `z`.
    """
    if keras.backend.backend() == "jax":
        return log_prob(z[..., None, :], means, log_variances)
    x, mean, log_variance = (ops.cast(a, "float64") for a in (z, means, log_variances))
    precision = ops.exp(-log_variance)
    constant = ops.sum(ops.square(mean) * precision + log_variance + LOG_TWO_PI, axis=-1)
    powers = ops.concatenate([ops.square(x), x], axis=-1)
    factors = ops.concatenate([-0.5 * precision, mean * precision], axis=-1)
    # the operator, because `ops.matmul` rounds to float32 on torch
    return ops.cast(powers @ ops.transpose(factors) - 0.5 * constant, z.dtype)


def kl(
    mean: Tensor, log_variance: Tensor, other_mean: Tensor = 0.0, other_log_variance: Tensor = 0.0
) -> Tensor:
    """Computes the KL divergence between two diagonal normals in nats, for each dimension.

    Args:
        mean: Mean of the first normal q, (…, D).
        log_variance: Logarithm of the variance of q, (…, D).
        other_mean: Mean of the second normal p; the default is that of the standard normal.
        other_log_variance: Logarithm of the variance of p; likewise.

    Returns:
        Tensor (…, D), KL(q_d || p_d).

    Reference:
        Kingma and Welling, Auto-Encoding Variational Bayes (arXiv:1312.6114), appendix B.
    """
    difference = ops.subtract(log_variance, other_log_variance)
    square = ops.square(ops.subtract(mean, other_mean))
    square = ops.multiply(square, ops.exp(ops.negative(other_log_variance)))
    return 0.5 * (ops.exp(difference) + square - 1.0 - difference)


def from_noise(mean: Tensor, log_variance: Tensor, noise: Tensor, temperature: Any = 1.0) -> Tensor:
    """Turns standard normal noise into samples; gradients reach both parameters.

    Args:
        mean: Tensor (…, D).
        log_variance: Logarithm of the variance, (…, D).
        noise: Standard normal noise that broadcasts against `mean`, such as (K, B, D).
        temperature: Factor of the standard deviation. The mean stays where it is.

    Returns:
        Tensor, `mean + temperature * exp(0.5 * log_variance) * noise`.
    """
    scale = ops.exp(ops.multiply(0.5, log_variance))
    return mean + scale * ops.multiply(temperature, noise)


def sample(
    mean: Tensor, log_variance: Tensor, num_samples: int, seed: Seed, temperature: Any = 1.0
) -> Tensor:
    """Draws reparameterised samples.

    Args:
        mean: Tensor (B, D).
        log_variance: Logarithm of the variance, (B, D).
        num_samples: Number K of samples for each example.
        seed: Integer, `keras.random.SeedGenerator` or `keras_vae.random.RowSharedSeed`.
        temperature: Factor of the standard deviation.

    Returns:
        Tensor (K, B, D).
    """
    noise = random.normal((num_samples, *ops.shape(mean)), seed, axis=1)
    return from_noise(mean, log_variance, noise, temperature)
