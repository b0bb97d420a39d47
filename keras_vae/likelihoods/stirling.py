"""Densities of counts, gamma functions and deviances that keep their digits in float32.

The density of a count of 100,000 is the small difference of terms of a million nats, of which
float32 knows one digit behind the point. Loader's form has no such differences.

Reference: Loader, Fast and Accurate Computation of Binomial Probabilities (2000).
"""

import math

from keras import ops

from keras_vae.typing import Tensor

HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


def log_gamma(x: Tensor) -> Tensor:
    """Computes log Γ(x) for x > 0: Stirling's series at x + 8, and the recurrence back to x."""
    y = x + 8.0
    stirling = (y - 0.5) * ops.log(y) - y + HALF_LOG_TWO_PI + _series(y)
    return stirling - sum(ops.log(x + i) for i in range(8))


def stirling_error(x: Tensor) -> Tensor:
    """Computes log Γ(x + 1) - ((x + ½) log x - x + ½ log 2π), for x > 0."""
    small = ops.minimum(x, 8.0)
    exact = log_gamma(small + 1.0) - (small + 0.5) * ops.log(small) + small - HALF_LOG_TWO_PI
    return ops.where(x > 8.0, _series(ops.maximum(x, 8.0)), exact)


def deviance(x: Tensor, mean: Tensor, difference: Tensor, log_ratio: Tensor) -> Tensor:
    """Computes x log(x / mean) + mean - x, at least 0, and 0 where x and mean are equal.

    Args:
        x, mean: positive tensors.
        difference: x - mean, computed without cancellation.
        log_ratio: log(x / mean), used where the two are far apart.

    Returns:
        Tensor like x.
    """
    v = difference / (x + mean)
    near = difference * v + 2.0 * x * v * _excess_of_atanh(ops.clip(v, -0.4, 0.4))
    return ops.where(ops.abs(v) < 0.4, near, x * log_ratio - difference)


def _excess_of_atanh(v):
    """atanh(v) / v - 1, by the first levels of its continued fraction."""
    square = ops.square(v)
    level = square / (
        3 - 4 * square / (5 - 9 * square / (7 - 16 * square / (9 - 25 * square / 11)))
    )
    return level / (1.0 - level)


def _series(x):
    inverse = 1.0 / x
    square = ops.square(inverse)
    return inverse * (1 / 12 - square * (1 / 360 - square / 1260))


def poisson_log_prob(x: Tensor, log_rate: Tensor) -> Tensor:
    """Computes log p(x) of a Poisson variable, for whole x from 0 on."""
    positive, rate = ops.maximum(x, 1.0), ops.exp(log_rate)
    log_x = ops.log(positive)
    off = deviance(positive, rate, positive - rate, ops.log(positive / rate))
    several = -off - stirling_error(positive) - HALF_LOG_TWO_PI - 0.5 * log_x
    return ops.where(x > 0, several, -rate)


def negative_binomial_log_prob(x: Tensor, log_mean: Tensor, log_dispersion: Tensor) -> Tensor:
    """Computes log p(x) of a negative binomial variable, for whole x from 0 on.

    That is r / (r + x) times the binomial probability of r in r + x, for the dispersion r.
    """
    mean, r = ops.exp(log_mean), ops.exp(log_dispersion)
    positive = ops.maximum(x, 1.0)
    stirling = stirling_error(positive + r) - stirling_error(r) - stirling_error(positive)
    size = 0.5 * (log_dispersion - ops.log(positive) - ops.log(positive + r)) - HALF_LOG_TWO_PI
    several = stirling + size - _deviance_from_shares(positive, r, mean)
    return ops.where(x > 0, several, -r * ops.log1p(mean / r))


def student_t_log_prob(size: Tensor, df: Tensor) -> Tensor:
    """Computes log p of Student's t variable, in units of its scale.

    Args:
        size: the absolute value of the variable.
        df: degrees of freedom, positive.

    Returns:
        Tensor like `size`.
    """
    half = 0.5 * df
    of_gammas = stirling_error(half + 0.5) - stirling_error(half)
    off = deviance(half, half + 0.5, -0.5, -ops.log1p(0.5 / half))
    tail = _log1p_square(size / ops.sqrt(df))
    return (of_gammas - off - HALF_LOG_TWO_PI) - (half + 0.5) * tail


def _log1p_square(x):
    """Returns log(1 + x²) for x of at least 0, also where the square overflows."""
    small, large = ops.minimum(x, 1.0), ops.maximum(x, 1.0)
    beyond = 2.0 * ops.log(large) + ops.log1p(ops.square(1.0 / large))
    return ops.where(x > 1.0, beyond, ops.log1p(ops.square(small)))


def _deviance_from_shares(x, r, mean):
    """Deviances of x and r from their expected shares of x + r."""
    n, total = x + r, mean + r
    difference = r * ((x - mean) / total)
    of_x = deviance(x, n * (mean / total), difference, ops.log((x / mean) * (total / n)))
    return of_x + deviance(r, n * (r / total), -difference, ops.log(total / n))
