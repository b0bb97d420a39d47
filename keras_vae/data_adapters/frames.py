"""Data frames and series of pandas, polars and other libraries, read through narwhals.

Rows count by their position; the index of a pandas frame plays no part.
"""

import sys
from typing import Any

import numpy as np

from keras_vae.validation import optional

LIBRARIES = ("pandas", "polars", "modin", "cudf", "pyarrow", "dask", "narwhals")


class FrameAdapter:
    """A table with named columns, or one column."""

    @staticmethod
    def accepts(value: Any) -> bool:
        """Returns whether `value` is of a library of frames; imports nothing for other values."""
        library = type(value).__module__.split(".")[0]
        return library in LIBRARIES and library in sys.modules

    @staticmethod
    def read(value: Any, argument: str, missing: bool = False) -> np.ndarray:
        """Returns the numbers of a frame or a series.

        Args:
            value: the frame or series.
            argument: its name in messages.
            missing: whether missing values become NaN, as where a mask comes along. Otherwise they
                are refused.

        Returns:
            NumPy array (rows, columns) of a frame, (rows,) of a series.

        Raises:
            ValueError: if it holds anything but real numbers.
        """
        nw = optional("narwhals.stable.v2", "tables", "Data frames")
        _refuse_repeated_names(value, argument)
        try:
            table = nw.from_native(value, eager_only=True, allow_series=True)
        except TypeError as error:
            raise ValueError(
                f"`{argument}` must be a frame or a series that is in memory: `collect()` a lazy "
                "one, and make a series or an array of an index or of one column's values. "
                f"Received: {argument}={type(value).__module__}.{type(value).__name__}"
            ) from error
        columns = [table] if isinstance(table, nw.Series) else list(table.iter_columns())
        if not columns:
            raise ValueError(
                f"`{argument}` must have at least one column. Received: {argument} without columns"
            )
        arrays = [_numbers(column, argument, nw, missing) for column in columns]
        return arrays[0] if isinstance(table, nw.Series) else np.stack(arrays, axis=1)


def _refuse_repeated_names(value, argument):
    names = value.columns if hasattr(value, "iloc") and value.ndim == 2 else None
    if names is None or names.is_unique:  # only libraries like pandas allow repeated names
        return
    raise ValueError(
        f"`{argument}` must have columns with different names, because errors name a column. "
        f"Received: {argument} with repeated columns {sorted({*names[names.duplicated()]})}"
    )


def _numbers(column, argument, nw, missing=False):
    """One column as a NumPy array, or ValueError that names it."""
    if not (column.dtype.is_numeric() or column.dtype == nw.Boolean):
        raise ValueError(
            f"`{argument}` must have columns of real numbers, because likelihoods are computed from"
            " them: encode categories, texts and dates as numbers, or drop the column. "
            f"Received: {argument} with column {column.name!r} of type {column.dtype}"
        )
    count = int(column.null_count())
    if count and not missing:
        raise ValueError(
            f"`{argument}` must be finite and have no missing values, or come with a mask of the "
            "observed ones: `{'x': df.fillna(0), 'mask': df.notna()}`. "
            f"Received: {argument} with {count} missing values in column {column.name!r}"
        )
    array = column.to_numpy()
    return array.astype("float32") if array.dtype.kind not in "biuf" or count else array
