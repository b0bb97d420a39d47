"""The von Mises-Fisher distribution by quadrature over the angle to its mean direction.

At concentration κ on the unit sphere of R^D the angle θ has the density
exp(-κ (1 - cos θ)) sin(θ)^(D-2) / Z. It has one peak, and a grid over the peak alone gives Z, the
mean and the quantiles at any κ, with gradients; Bessel functions would give none of these in
float32 at large κ.
"""

import math

import numpy as np
from keras import ops

from keras_vae.typing import Tensor

POINTS = 257
"""Of the grid; odd, for Simpson's rule."""


def unit(x: Tensor) -> Tensor:
    """Returns `x` with length 1 on the last axis."""
    return x / ops.sqrt(ops.maximum(ops.sum(ops.square(x), axis=-1, keepdims=True), 1e-24))


def log_surface(dim: int) -> float:
    """Returns the logarithm of the surface of the unit sphere of R^dim."""
    return math.log(2.0) + 0.5 * dim * math.log(math.pi) - math.lgamma(0.5 * dim)


def log_normaliser(log_concentration: Tensor, dim: int) -> Tensor:
    """Computes log ∫ exp(-κ (1 - μᵀz)) dz over the unit sphere of R^dim.

    Args:
        log_concentration: log κ, (B,).
        dim: dimension of the space.

    Returns:
        Tensor (B,).
    """
    _, _, log_total = _grid(log_concentration, dim)
    return log_total + log_surface(dim - 1)


def mean_versine(log_concentration: Tensor, dim: int) -> Tensor:
    """Computes E[1 - μᵀz].

    Args:
        log_concentration: log κ, (B,).
        dim: dimension of the space.

    Returns:
        Tensor (B,).
    """
    angle, log_mass, log_total = _grid(log_concentration, dim)
    mass = ops.exp(log_mass - log_total[..., None])
    return ops.sum(mass * _versine(angle), axis=-1)


def quantile(level: Tensor, log_concentration: Tensor, dim: int) -> Tensor:
    """Computes the angle below which there is a given part of the probability.

    Args:
        level: that part, (K, B), in [0, 1].
        log_concentration: log κ, (B,).
        dim: dimension of the space.

    Returns:
        Tensor of angles in radians, (K, B).
    """
    angle, log_density = _curve(log_concentration, dim)
    density = ops.exp(log_density - ops.max(log_density, axis=-1, keepdims=True))
    cells = 0.5 * (density[..., 1:] + density[..., :-1])
    below = ops.cumsum(cells, axis=-1)
    level = level[..., None] * below[..., -1:]
    cell = ops.minimum(ops.sum(ops.cast(below <= level, "int32"), axis=-1), POINTS - 2)
    chosen = ops.one_hot(cell, POINTS - 1)

    def at(values):
        return ops.sum(chosen * values, axis=-1)

    left, right = at(density[..., :-1]), at(density[..., 1:])
    missing = ops.maximum(level[..., 0] - at(below - cells), 0.0)
    # within the cell the density is a line: missing = left t + (right - left) t² / 2
    root = ops.sqrt(ops.maximum(left**2 + 2.0 * (right - left) * missing, 1e-30))
    t = ops.clip(2.0 * missing / ops.maximum(left + root, 1e-30), 0.0, 1.0)
    return at(angle[..., :-1]) + t * at(angle[..., 1:] - angle[..., :-1])


def _grid(log_concentration, dim):
    """Angles, the logarithms of their masses by Simpson's rule, and of the sum of those."""
    angle, log_density = _curve(log_concentration, dim)
    step = angle[..., 1:2] - angle[..., :1]
    weights = np.full(POINTS, 2.0, "float32")
    weights[1::2], weights[[0, -1]] = 4.0, 1.0
    log_mass = log_density + ops.log(step * ops.convert_to_tensor(weights / 3.0))
    return angle, log_mass, ops.logsumexp(log_mass, axis=-1)


def _curve(log_concentration, dim):
    """Angles over the peak, (B, POINTS), and the logarithm of their density, not normalised."""
    concentration = ops.exp(log_concentration)[..., None]
    n = dim - 2.0
    # the peak, where κ sin² θ = n cos θ, and its width from the second derivative there
    cosine = 2.0 * concentration / (n + ops.sqrt(n**2 + 4.0 * concentration**2))
    peak = ops.arccos(ops.clip(cosine, 0.0, 1.0 - 1e-7)) if n else ops.zeros_like(cosine)
    sine = ops.maximum(ops.sin(peak), 1e-4)
    width = 1.0 / ops.sqrt(concentration * cosine + n / sine**2 + 0.1)
    first = ops.maximum(ops.stop_gradient(peak - 9.0 * width), 0.0)
    last = ops.minimum(ops.stop_gradient(peak + 9.0 * width), math.pi)
    angle = first + (last - first) * ops.linspace(0.0, 1.0, POINTS, dtype="float32")
    log_density = -concentration * _versine(angle)
    if n:
        log_density = log_density + n * ops.log(ops.maximum(ops.sin(angle), 1e-12))
    return angle, log_density


def _versine(angle):
    """1 - cos(angle), precise near 0."""
    return 2.0 * ops.square(ops.sin(0.5 * angle))
