"""Reads whatever is in memory as arrays: one argument, or the parts of a batch."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops

from keras_vae.data_adapters.arrays import ArrayAdapter, RowSource
from keras_vae.data_adapters.folders import FolderAdapter
from keras_vae.data_adapters.frames import FrameAdapter
from keras_vae.data_adapters.sparse import SparseAdapter

ADAPTERS = (SparseAdapter, FrameAdapter, FolderAdapter, ArrayAdapter)
"""The first that accepts a value reads it."""

KEYS = ("x", "condition", "mask", "target_mask")


def in_memory(data: Any) -> bool:
    """Returns whether `data` is the data itself (an array, a frame, a dict), no pipeline."""
    return isinstance(data, Mapping) or any(adapter.accepts(data) for adapter in ADAPTERS)


def as_array(value: Any, argument: str = "x", missing: bool = False) -> Any:
    """Returns one argument as an array.

    Args:
        value: whatever is in memory, but no dict.
        argument: its name in messages.
        missing: whether a frame may have missing values, which become NaN.

    Returns:
        A NumPy array, a tensor of this backend or a `RowSource`.

    Raises:
        ValueError: if it is empty or ragged, or holds anything but real numbers.
    """
    if isinstance(value, Mapping):
        raise ValueError(
            f"`{argument}` must be one array of examples. "
            f"Received: {argument}=dict with keys {sorted(map(str, value))}"
        )
    for adapter in ADAPTERS:
        if adapter.accepts(value):
            array = adapter.read(value, argument, missing)
            break
    else:
        raise ValueError(
            f"`{argument}` must be an array, a tensor or a data frame of real numbers. "
            f"Received: {argument}={value!r:.100}"
        )
    if 0 in tuple(array.shape):
        raise ValueError(
            f"`{argument}` must hold at least one example, because there is nothing to learn from "
            f"an empty array. Received: {argument} with shape={tuple(array.shape)}"
        )
    return array


def read(
    x: Any, y: Any = None, sample_weight: Any = None, argument: str = "x", missing: bool = False
) -> dict[str, Any]:
    """Reads what is in memory.

    A masked array gives its mask. Missing values of frames become NaN with a mask or `missing`.

    Args:
        x: an array of any kind, or a dict with `x`, and perhaps with `condition`, `mask` and
            `target_mask`.
        y, sample_weight: arrays of any kind, or None.
        argument: name of x in messages.
        missing: whether frames may have missing values without a mask.

    Returns:
        A dict of arrays: `x`, and `condition`, `mask`, `target_mask`, `target` and `sample_weight`
            where there are such.

    Raises:
        ValueError: if one of them is not an array of real numbers.
    """
    given = {"x": x}
    if isinstance(x, Mapping):
        if "x" not in x or set(x) - set(KEYS):
            raise ValueError(
                "`x`, given as a dict, must have the key 'x' and may have 'condition', 'mask' "
                "and 'target_mask', because those are what the model knows. "
                f"Received: x with keys {sorted(map(str, x))}"
            )
        given = dict(x)
    given |= {"target": y, "sample_weight": sample_weight}
    given = {key: value for key, value in given.items() if key == "x" or value is not None}
    given |= _without_own_mask(given)
    names = {"x": argument, "target": "y"}
    masked = "mask" in given or "target_mask" in given
    nan = {"x", "target"} if missing or masked else ()  # where missing values are
    arrays = {k: as_array(v, names.get(k, k), missing=k in nan) for k, v in given.items()}
    return {key: _in_form(key, array) for key, array in arrays.items()}


def whole(array: Any) -> Any:
    """Returns a `RowSource` as a NumPy array, others as they are."""
    return array[:] if isinstance(array, RowSource) else array


def _in_form(key, array):
    """Weights and classes that come as a column, (B, 1), as (B,), in memory."""
    if key not in ("condition", "sample_weight"):
        return array
    array = whole(array)
    column = len(array.shape) == 2 and array.shape[1] == 1
    classes = key == "condition" and "int" in str(array.dtype)
    return array[:, 0] if column and (classes or key == "sample_weight") else array


def _without_own_mask(given):
    """`x` and the masks of a masked array x, whose mask is True where an entry is missing."""
    x = given["x"]
    if not isinstance(x, np.ma.MaskedArray):
        return {}
    observed = ~np.ma.getmaskarray(x)
    own = {"x": x.filled(0), "mask": _both(observed, given, "mask")}
    if "target_mask" in given and "target" not in given:
        own["target_mask"] = _both(observed, given, "target_mask")
    return own


def _both(observed, given, name):
    """Where a masked array is observed and the mask of this name, if it fits, is True."""
    if given.get(name) is None:
        return observed
    mask = ops.convert_to_numpy(whole(as_array(given[name], name)))
    if mask.shape != observed.shape or not np.all((mask == 0) | (mask == 1)):
        return mask  # to be refused
    return observed & mask.astype("bool")
