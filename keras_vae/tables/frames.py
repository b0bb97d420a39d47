"""Reads the columns of data frames of any library, through narwhals."""

import datetime
import sys
from types import ModuleType
from typing import Any

import numpy as np

from keras_vae.validation import optional

DAY = 86_400.0
"""Seconds."""


def narwhals() -> ModuleType:
    """Returns narwhals, or raises ImportError that names the extra of this package."""
    return optional("narwhals.stable.v2", "tables", "Data frames")


def is_frame(value: Any) -> bool:
    """Returns whether `value` is a frame with columns, of pandas, polars or another library."""
    library = type(value).__module__.split(".")[0]
    known = library in ("pandas", "polars", "modin", "cudf", "pyarrow", "narwhals")
    return known and library in sys.modules and hasattr(type(value), "columns")


def read(frame: Any) -> Any:
    """Returns a frame as one of narwhals.

    Raises:
        ValueError: if it is no frame in memory, or has no rows or repeated names.
    """
    nw = narwhals()
    if not is_frame(frame):
        raise ValueError(
            "`frame` must be a DataFrame of pandas or polars, because a table's columns have "
            f"names. Received: {type(frame).__module__}.{type(frame).__name__}"
        )
    _refuse_repeated_names(frame)
    try:
        found = nw.from_native(frame, eager_only=True)
    except TypeError as error:
        raise ValueError(
            "`frame` must be in memory: `collect()` a lazy one. "
            f"Received: {type(frame).__module__}.{type(frame).__name__}"
        ) from error
    if not len(found):
        raise ValueError(
            "`frame` must have rows, because there is nothing to learn otherwise. "
            f"Received: 0 rows and columns {list(found.columns)}"
        )
    return found


def _refuse_repeated_names(frame):
    """Raises ValueError where a frame of pandas, which allows it, has a name twice."""
    names = frame.columns if hasattr(frame, "iloc") else None
    if names is not None and not names.is_unique:
        raise ValueError(
            "`frame` must have columns with different names, because a table knows them by name. "
            f"Received: repeated columns {sorted(set(names[names.duplicated()]), key=str)}"
        )


def library(frame: Any) -> str:
    """Returns the name of the library that a frame of narwhals is of: pandas or polars."""
    return "polars" if frame.implementation.is_polars() else "pandas"


def is_date(series: Any) -> bool:
    """Returns whether a column holds dates or times of dates."""
    nw = narwhals()
    return series.dtype == nw.Date or isinstance(series.dtype, nw.Datetime)


def classes_of(series: Any) -> tuple[list[Any], bool] | None:
    """Returns the classes that a column's type has, and whether they are in order; or None."""
    if series.implementation.is_polars():
        is_enum = isinstance(series.dtype, narwhals().Enum)
        return (list(series.dtype.categories), True) if is_enum else None
    categories = getattr(series.to_native(), "cat", None)
    if not series.implementation.is_pandas() or categories is None:
        return None
    return categories.categories.tolist(), bool(categories.ordered)


def values_of(series: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns the values of a column and which of them are observed.

    Args:
        series: of narwhals.

    Returns:
        Tuple of an array (N,), float64 for numbers, booleans as objects, dates in seconds since
        1970, all else as objects; and booleans (N,), False at NaN, None, NaT, pd.NA and null.

    Raises:
        ValueError: if the column holds what a table cannot, such as lists and infinity.
    """
    nw = narwhals()
    observed = ~np.asarray(series.is_null().to_numpy(), "bool")
    if is_date(series):
        return _seconds(series, observed), observed
    if series.dtype.is_numeric():
        numbers = np.asarray(series.cast(nw.Float64).to_numpy(), "float64")
        if series.dtype == nw.Float32:  # 0.1, and not 0.10000000149
            numbers = numbers.astype("float32").astype("S").astype("float64")
        return _finite(numbers, observed & ~np.isnan(numbers), series.name)
    if series.dtype in (nw.List, nw.Struct, nw.Array, nw.Binary, nw.Time, nw.Duration):
        raise _no_column_of_a_table(series.name, f"type {series.dtype}")
    return _objects(series, observed)


def _seconds(series, observed):
    nw = narwhals()
    stamps = series.cast(nw.Datetime("us")) if series.dtype == nw.Date else series
    microseconds = stamps.dt.timestamp("us").cast(nw.Float64).to_numpy()
    return np.where(observed, microseconds / 1e6, 0.0)


def _finite(numbers, observed, name):
    """Numbers, 0 where they are missing, and `observed`; or ValueError for infinity."""
    numbers = np.where(observed, numbers, 0.0)
    if not np.all(np.isfinite(numbers)):
        raise ValueError(
            f"Column {name!r} must hold finite numbers or gaps, because infinity has no "
            "probability: replace it by a gap (NaN), or by a number. "
            f"Received: {np.count_nonzero(~np.isfinite(numbers))} infinite values"
        )
    return numbers, observed


def _no_column_of_a_table(name, received):
    return ValueError(
        f"Column {name!r} must hold numbers, texts, booleans or dates: turn it into a column of "
        "these (`astype(float)`, `astype(str)`, `pandas.to_datetime`), or drop it. "
        f"Received: {received}"
    )


def _objects(series, observed):
    """Values of any type: numbers as float64 where all are numbers, else objects."""
    found = np.empty(len(observed), object)
    found[:] = series.to_list()
    types = set(map(type, found[observed]))
    wrong = [kind for kind in types if not issubclass(kind, (*_NUMBERS, str, bool, np.bool_))]
    if wrong:
        raise _no_column_of_a_table(series.name, f"values of type {wrong[0].__name__}")
    if types and all(map(_is_type_of_numbers, types)):
        numbers = np.where(observed, found, np.nan).astype("float64")
        return _finite(numbers, observed & ~np.isnan(numbers), series.name)
    return found, observed


_NUMBERS = (int, float, np.integer, np.floating)


def _is_type_of_numbers(kind):
    return issubclass(kind, _NUMBERS) and not issubclass(kind, bool)


def as_numbers(values: np.ndarray, observed: np.ndarray, name: str) -> np.ndarray:
    """Returns objects as float64, where they are numbers or all are missing.

    Raises:
        ValueError: if one is no number.
    """
    wrong = [value for value in values[observed] if not _is_type_of_numbers(type(value))]
    if wrong:
        raise ValueError(
            f"Column {name!r} must hold numbers, as it did when the model was made. "
            f"Received: {wrong[0]!r}"
        )
    return np.where(observed, np.where(observed, values, 0.0).astype("float64"), 0.0)


def one_value(value: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns one value as `values_of` returns a column; a date in seconds since 1970."""
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        value = value.astimezone(datetime.UTC).replace(tzinfo=None)
    if isinstance(value, datetime.date):
        value = np.datetime64(value)
    if isinstance(value, np.datetime64):
        value = float(value.astype("datetime64[us]").astype("int64")) / 1e6
    found = np.empty(1, object)
    found[0] = value
    return found, np.ones(1, "bool")
