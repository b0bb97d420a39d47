"""Draws of normal, gamma and Poisson variables from uniform noise.

The noise is given, so that replicas can draw what one device would (see `keras_vae.random`), and
has a last axis of several tries, because both methods reject some.
"""

import math

from keras import ops

from keras_vae.likelihoods.stirling import poisson_log_prob
from keras_vae.typing import Tensor

TRIES = 12
"""All are rejected for one draw in 10⁹, which is then the last try."""
GAMMA_NOISE, POISSON_NOISE = 3 * TRIES + 1, 2 * TRIES + 1
"""How many uniform numbers one draw takes."""


def normal_variable(noise: Tensor) -> Tensor:
    """Draws a standard normal variable from two uniform numbers, the first of the last axis.

    Args:
        noise: uniform in [0, 1), (…, at least 2).

    Returns:
        Tensor (…).

    Reference: Box and Muller, A Note on the Generation of Random Normal Deviates (1958).
    """
    return _normal(noise[..., 0], noise[..., 1])


def _normal(size, angle):
    return ops.sqrt(-2.0 * ops.log1p(-size)) * ops.cos(2 * math.pi * angle)


def log_gamma_variable(shape: Tensor, noise: Tensor) -> Tensor:
    """Draws the logarithm of a gamma variable of scale 1.

    Args:
        shape: the shape parameter, positive; a tensor of (…).
        noise: uniform in [0, 1), (…, GAMMA_NOISE).

    Returns:
        Tensor (…).

    Reference: Marsaglia and Tsang, A Simple Method for Generating Gamma Variables (2000).
    """
    boost = ops.log1p(-noise[..., 0]) / shape
    size, angle, uniform = ops.split(noise[..., 1:], 3, axis=-1)
    normal = _normal(size, angle)
    d = ops.expand_dims(ops.where(shape < 1.0, shape + 1.0, shape), -1) - 1 / 3
    root = 1.0 + normal / ops.sqrt(9.0 * d)
    log_v = 3.0 * ops.log(ops.maximum(root, 1e-6))
    bound = 0.5 * ops.square(normal) + d * (1.0 - ops.exp(log_v) + log_v)
    accepted = ops.logical_and(root > 1e-6, ops.log1p(-uniform) < bound)
    drawn = _first(ops.log(d) + log_v, accepted)
    return drawn + ops.where(shape < 1.0, boost, 0.0)


def poisson_variable(log_rate: Tensor, noise: Tensor) -> Tensor:
    """Draws a Poisson variable: by inversion for rates below 10, else by rejection.

    Args:
        log_rate: a tensor of (…).
        noise: uniform in [0, 1), (…, POISSON_NOISE).

    Returns:
        Whole numbers as float32, (…).
    """
    few = _poisson_by_inversion(ops.exp(ops.minimum(log_rate, math.log(10.0))), noise[..., 0])
    many = _poisson_by_rejection(ops.maximum(log_rate, math.log(10.0)), noise[..., 1:])
    return ops.where(log_rate < math.log(10.0), few, many)


def _poisson_by_inversion(rate, noise):
    """Counts the values of the distribution function that are not above the noise."""
    probability = ops.exp(-rate)
    below, count = probability, ops.zeros_like(rate)
    for k in range(1, 40):
        count = count + ops.cast(noise >= below, "float32")
        probability = probability * rate / k
        below = below + probability
    return count


def _poisson_by_rejection(log_rate, noise):
    """Hörmann, The Transformed Rejection Method for Poisson Variables (1993), PTRS."""
    log_rate = ops.expand_dims(log_rate, -1)
    rate = ops.exp(log_rate)
    b = 0.931 + 2.53 * ops.sqrt(rate)
    a = -0.059 + 0.02483 * b
    u, v = ops.split(noise, 2, axis=-1)
    u = u - 0.5
    edge = ops.maximum(0.5 - ops.abs(u), 1e-7)
    count = ops.floor((2.0 * a / edge + b) * u + rate + 0.43)
    possible = ops.maximum(count, 0.0)
    bound = poisson_log_prob(possible, log_rate)
    level = ops.log1p(-v) + ops.log((1.1239 + 1.1328 / (b - 3.4)) / (a / ops.square(edge) + b))
    return _first(possible, ops.logical_and(count >= 0, level <= bound))


def _first(tries, accepted):
    """Returns the first accepted try of the last axis, or the last try if there is none."""
    chosen = tries[..., -1]
    for i in reversed(range(tries.shape[-1])):
        chosen = ops.where(accepted[..., i], tries[..., i], chosen)
    return chosen
