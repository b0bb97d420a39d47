"""NumPy arrays, lists, tensors of any library, and arrays in files."""

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops


class ArrayAdapter:
    """Anything that is an array, or that NumPy makes one of."""

    @staticmethod
    def accepts(value: Any) -> bool:
        """Returns whether `value` is a list, a number, or has a shape and a dtype."""
        plain = isinstance(value, (list, tuple, np.ndarray, np.generic, int, float))
        return plain or (hasattr(value, "shape") and hasattr(value, "dtype"))

    @staticmethod
    def read(value: Any, argument: str, missing: bool = False) -> Any:
        """Returns a NumPy array, a tensor of this backend as it is, or a `RowSource`."""
        refuse_ragged(value, argument)
        refuse_mask(value, argument)
        if is_in_file(value):
            check_numeric(np.empty((0,), value.dtype), argument)
            return RowSource(value, np.asarray)
        if ops.is_tensor(value):
            check_numeric(value, argument)
            return value.detach() if hasattr(value, "detach") else value
        array = as_numpy(value, argument)
        check_numeric(array, argument)
        return array


class RowSource:
    """An array whose rows become NumPy arrays only when they are read, a batch at a time.

    Args:
        rows: what has a `shape` and can be indexed with slices and sorted integers.
        dense: function that makes a NumPy array of what indexing returns.

    Attributes:
        rows_to_check: how many of the first rows stand for all in checks; None if none do.
    """

    rows_to_check: int | None = None

    def __init__(self, rows: Any, dense: Callable[[Any], np.ndarray]) -> None:
        self.rows, self.dense = rows, dense
        self.shape, self.dtype = tuple(rows.shape), np.dtype(rows.dtype)
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        """Returns the rows of a slice, or of integers in any order."""
        if isinstance(index, slice):
            return self.dense(self.rows[index])
        places, inverse = np.unique(index, return_inverse=True)  # HDF5 wants them sorted
        return self.dense(self.rows[places])[inverse]


def is_in_file(value: Any) -> bool:
    """Returns whether `value` is an array in a file, which is read when it is indexed."""
    if isinstance(value, np.memmap):
        return True
    name = type(value).__module__.split(".")[0]
    return name in ("h5py", "zarr") and hasattr(value, "shape")


def as_numpy(value: Any, argument: str) -> np.ndarray:
    """Returns `value` as a NumPy array; one that is on a device is copied to the host.

    Args:
        value: an array, a list or a tensor of any library.
        argument: its name in messages.

    Returns:
        NumPy array of any dtype.

    Raises:
        ValueError: if NumPy cannot convert it.
    """
    try:
        if hasattr(value, "detach"):  # NumPy has no bfloat16
            value = value.detach().cpu()
            value = value.float() if "bfloat16" in str(value.dtype) else value
        plain = isinstance(value, (list, tuple, np.ndarray, np.generic, int, float))
        array = np.asarray(value) if plain else ops.convert_to_numpy(value)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"`{argument}` must be a rectangular array, every example of the same shape. "
            f"Received: {argument}={type(value).__name__} that NumPy cannot convert ({error})"
        ) from error
    return array.astype("float64") if array.dtype == np.longdouble else array


NUMBERS = ("bool", "int", "uint", "float", "bfloat")


def check_numeric(array: Any, argument: str) -> None:
    """Refuses an array or a tensor of anything but real numbers."""
    name = getattr(array.dtype, "name", None) or str(array.dtype).removeprefix("torch.")
    if name.rstrip("0123456789_") not in NUMBERS and not name.startswith("float"):
        kind = {"c": "complex numbers", "U": "text", "S": "text", "O": "objects", "M": "dates"}
        kind = {k: v for k, v in kind.items() if getattr(array.dtype, "kind", None) == k}
        raise ValueError(
            f"`{argument}` must hold real numbers, because likelihoods are computed from them; "
            "encode categories as numbers first. "
            f"Received: {argument} with dtype={name}"
            + "".join(f" ({meaning})" for meaning in kind.values())
        )


def refuse_mask(value: Any, argument: str) -> None:
    """Refuses a masked array with missing values where only x may have a mask."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        name = "target_mask" if argument == "y" else "mask"
        raise ValueError(
            f"`{argument}` must be an array without a mask of its own: give the mask with x, "
            f"`{{'x': x, '{name}': mask}}`. Received: a masked array with "
            f"{np.ma.count_masked(value)} missing values"
        )


def refuse_ragged(value: Any, argument: str) -> None:
    """Refuses ragged and sparse tensors by name."""
    name = type(value).__name__
    sparse = name in ("SparseTensor", "BCOO", "BCSR") or _is_sparse_on_torch(value)
    if "Ragged" in name or sparse or getattr(value, "is_nested", False):
        raise ValueError(
            f"`{argument}` must be a dense tensor, every example of the same shape: pad the "
            "examples and give a mask, or densify it. "
            f"Received: {argument}={name}"
        )


def _is_sparse_on_torch(value):
    on_torch = type(value).__module__.split(".")[0] == "torch"
    return on_torch and str(value.layout) != "torch.strided"
