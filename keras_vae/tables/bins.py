"""Bins of a histogram that fit a column: equal shares of rows, and one for each frequent value."""

import itertools

import numpy as np

BINS = 48
"""As many bins as a column has at most, apart from empty ones."""


def decimals_of(values: np.ndarray, most: int = 6) -> int | None:
    """Returns how many decimals all values have at most; None for more than `most`.

    Args:
        values: array (N,) of finite numbers.
        most: the largest number of decimals that is looked for.

    Example: `decimals_of(np.array([0.5, 1.25]))` is 2.
    """
    for decimals in range(most + 1):
        error = np.abs(values - np.round(values, decimals))
        if np.all(error <= 3 * np.spacing(np.abs(values))):
            return decimals
    return None


def histogram(
    values: np.ndarray, decimals: int | None, most: int = BINS
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the edges of bins, (M + 1,), and how many values are in each, (M,).

    A value that fills a bin alone gets one as wide as the last decimal, and an empty bin lies
    between it and its neighbours, so that what is drawn from the bin rounds to the value.

    Args:
        values: array (N,) of finite numbers.
        decimals: how many decimals they have; None for any.
        most: number of bins that are not empty, at most.

    Example: `edges, counts = histogram(ages, decimals=0)`.
    """
    different, counts = np.unique(values, return_counts=True)
    half = 0.5 * _resolution(different, decimals)
    groups = _groups(counts, most)
    edges = [different[0] - half]
    for (first, last), (following, end) in itertools.pairwise(groups):
        above, below = different[last] + half, different[following] - half
        if (first < last and following < end) or below - above < half:
            edges.append(0.5 * (above + below))
        else:
            edges += [above, below]
    found = np.array([*edges, different[-1] + half])
    return found, np.histogram(values, found)[0]


def _resolution(different, decimals):
    """The distance of neighbouring values: one of the last decimal, or a millionth of the range."""
    span = max(different[-1] - different[0], 1e-6 * abs(different[-1]), 1e-30)
    smallest = 1e-5 * span
    return max(smallest if decimals is None else 10.0**-decimals, 1e-7 * span)


def _groups(counts, most):
    """Pairs (first, last) of indices: frequent values alone, others until they fill a bin."""
    frequent = counts >= counts.sum() / most
    rest = counts[~frequent].sum() / max(most - frequent.sum(), 1)
    groups, start, filled = [], 0, 0
    for index, count in enumerate(counts):
        if frequent[index] and index > start:
            groups.append((start, index - 1))
            start = index
        filled = filled + count if start < index else count
        if frequent[index] or filled >= rest:
            groups.append((start, index))
            start = index + 1
    return groups if start == len(counts) else [*groups, (start, len(counts) - 1)]
