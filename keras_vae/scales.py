"""A look at the columns of a table: are they on scales that a network can learn from?"""

from typing import Any

import numpy as np

LARGEST = 1e2
"""A larger standard deviation than this is worth a warning."""
RATIO = 1e3
"""So is a larger ratio of the largest to the smallest."""
_ROWS, _VALUES, _FEWEST = 10_000, 4_000_000, 10


def scale_warning(x: Any) -> str | None:
    """Returns one sentence about a badly scaled table, which says what to do.

    Constant columns and columns of 0 and 1 do not count, nor do tables of 8-bit pixels. Missing
    values are left out. At most the first 10,000 rows are looked at.

    Args:
        x: the data; anything but a NumPy array (N, F) of numbers passes.

    Returns:
        The sentence, or None if there is nothing to say: the largest standard deviation is at most
        100 and at most 1,000 times the smallest, and the values are not raw counts.

    Example: `scale_warning(np.random.default_rng(0).poisson(100.0, (50, 3)))`.
    """
    table = _table(x)
    if table is None or table.shape[1] == 0 or _are_pixels(table):
        return None
    if _are_counts(table):
        return (
            f"`x` looks like raw counts (whole numbers up to {np.nanmax(table):.6g}): let the "
            "encoder see their logarithms, by `fit(np.log1p(x), x)` with a likelihood of counts."
        )
    return _of_deviations(table)


def _table(x):
    """Returns the columns that count, as float64 with NaN for what is missing; None if no table."""
    if not isinstance(x, np.ndarray) or x.ndim != 2 or len(x) < _FEWEST:
        return None
    if x.dtype.kind not in "iuf" or x.dtype == np.uint8:
        return None
    rows = max(_FEWEST, min(_ROWS, _VALUES // max(x.shape[1], 1)))
    table = np.ma.filled(np.ma.asarray(x[:rows]).astype("float64"), np.nan)
    table = np.where(np.isfinite(table), table, np.nan)
    return table[:, _varies(table)]


def _varies(table):
    """Returns which columns hold more than one value, and not only 0 and 1."""
    missing = np.isnan(table)
    low = np.min(np.where(missing, np.inf, table), axis=0)
    high = np.max(np.where(missing, -np.inf, table), axis=0)
    binary = np.all(missing | (table == 0) | (table == 1), axis=0)
    return (low < high) & ~binary


def _are_pixels(table):
    """Returns whether these are 8-bit grey levels that somebody has flattened."""
    return _are_whole(table) and np.nanmin(table) >= 0 and np.nanmax(table) == 255


def _are_counts(table):
    """Returns whether all values are whole, and too large for classes or small grey levels."""
    if not _are_whole(table) or np.nanmin(table) < 0:
        return False
    return np.nanmax(table) >= 32 or np.nanmean(table) > 10


def _are_whole(table):
    return bool(np.all(np.isnan(table) | (table == np.floor(table))))


def _of_deviations(table):
    with np.errstate(over="ignore"):
        deviations = np.nanstd(table, axis=0)
    largest, smallest = deviations.max(), deviations.min()
    if largest > RATIO * smallest:  # rarely, as a median is slow
        smallest = np.min(deviations[_mostly_varies(table)], initial=largest)
    if largest <= LARGEST and largest <= RATIO * smallest:
        return None
    return (
        f"`x` has columns with standard deviations from {smallest:.3g} to {largest:.3g}, of which "
        "the largest drown the others in the loss: standardise them, by "
        "`(x - x.mean(axis=0)) / (x.std(axis=0) + 1e-8)`, with the same numbers for test data."
    )


def _mostly_varies(table):
    """Returns the columns in which no value fills half of the rows, as dark pixels do."""
    middle = np.nanmedian(table, axis=0)
    return np.sum(table == middle, axis=0) < 0.5 * np.sum(~np.isnan(table), axis=0)
