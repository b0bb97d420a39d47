"""Writes the columns of data frames of any library: fills gaps, and makes new rows."""

import decimal
import importlib.util
from typing import Any

import numpy as np

from keras_vae.tables.frames import classes_of, is_date, is_frame, narwhals, read, values_of

CLASSES = 1000
"""A column with more different values than this is no category."""


def type_of(series: Any) -> dict[str, Any]:
    """Returns the type of a column as plain JSON, from which `make` makes columns of this type.

    Args:
        series: of narwhals.

    Returns:
        A dict of the `name` that narwhals has for the type; and, where it has them, its `unit` and
        `zone`, its `classes` and whether they are `ordered`, and the name `native` in pandas.
    """
    found: dict[str, Any] = {"name": type(series.dtype).__name__}
    if isinstance(series.dtype, narwhals().Datetime):
        found |= {"unit": series.dtype.time_unit, "zone": series.dtype.time_zone}
    classes, ordered = classes_of(series) or ([], False)
    if 0 < len(classes) <= CLASSES and all(isinstance(c, (str, int, float)) for c in classes):
        found |= {"classes": classes, "ordered": ordered}
    if series.implementation.is_pandas():
        found["native"] = str(series.to_native().dtype)
    return found


def is_type_of_dates(own: dict[str, Any]) -> bool:
    """Returns whether a type that `type_of` described is one of dates."""
    return own.get("name") in ("Date", "Datetime")


def make(values: dict[Any, np.ndarray], types: dict[Any, dict[str, Any]], library: str) -> Any:
    """Returns a frame of new rows.

    Args:
        values: the columns by name, as `frames.values_of` gives them.
        types: the types of the columns, as `type_of` describes them; others take that of `values`.
        library: `"pandas"` or `"polars"`; the other is taken where this one is not installed.
    """
    backend = library if _is_installed(library) else {"pandas": "polars"}.get(library, "pandas")
    as_name = str if backend == "polars" else lambda name: name
    made = [_made(as_name(n), own, types.get(n, {}), backend) for n, own in values.items()]
    return made[0].to_frame().with_columns(*made[1:]).to_native()


def _is_installed(library):
    return importlib.util.find_spec(library) is not None


def _made(name, values, own, backend):
    """A column of narwhals with these values and the type that `own` describes."""
    nw = narwhals()
    if is_type_of_dates(own):
        return _typed(nw.new_series(name, _stamps(values), backend=backend), own, "UTC")
    values = [_plain_gap(value) for value in _as_python(values, own["name"] if own else "")]
    return _typed(nw.new_series(name, values, backend=backend), own)


def _plain_gap(value):
    return None if value is None or value != value else value


def _as_python(values, dtype):
    """Values as a list: whole numbers, within the range of the type, for a type of integers."""
    if dtype == "Float32":
        return values.astype("float32").tolist()
    if not dtype.startswith(("Int", "UInt")):
        return values.tolist()
    limits = np.iinfo(dtype.lower())
    return [v if v is None else min(max(round(v), limits.min), limits.max) for v in values.tolist()]


def _stamps(values):
    """Seconds since 1970, or None, as datetime64 in microseconds."""
    seconds = np.array(values, "float64")
    known = ~np.isnan(seconds)
    found = np.full(len(seconds), "NaT", "datetime64[us]")
    found[known] = np.round(seconds[known] * 1e6).astype("int64").astype("datetime64[us]")
    return found


def _typed(series, own, zone=None):
    """A column in the type that `own` describes, as far as its library has that."""
    nw = narwhals()
    name = own.get("name", "")
    if own.get("zone"):
        series = series.dt.replace_time_zone(zone).dt.convert_time_zone(own["zone"])
    if series.implementation.is_pandas():
        return _typed_in_pandas(series, own)
    if name == "Datetime":
        unit = "ms" if own["unit"] == "s" else own["unit"]  # polars has no whole seconds
        return series.cast(nw.Datetime(unit, own["zone"]))
    if name == "Enum" and "classes" in own:
        return series.cast(nw.String).cast(nw.Enum(own["classes"]))
    return series.cast(getattr(nw, name)) if name in _SIMPLE else series


_SIMPLE = (
    *(f"{kind}{bits}" for kind in ("Int", "UInt") for bits in (8, 16, 32, 64)),
    *("Float32", "Float64", "Boolean", "String", "Categorical", "Date"),
)
"""Types of narwhals that every library can cast to."""


def _typed_in_pandas(series, own):
    """A column in a type of pandas' own, such as "Int64"; as it is where pandas lacks that."""
    native = series.to_native()
    try:
        native = native.astype(own.get("native", native.dtype))
    except (ImportError, TypeError):  # such as of pyarrow, which may not be installed
        return series
    if "classes" in own and hasattr(native, "cat"):
        native = native.cat.set_categories(own["classes"], ordered=own["ordered"])
    return narwhals().from_native(native, series_only=True)


def with_gaps_filled(
    frame: Any, values: dict[Any, np.ndarray], types: dict[Any, dict[str, Any]]
) -> Any:
    """Returns a frame of narwhals whose columns have `values`, (N,), where they had gaps.

    The types of the columns, their order and a pandas index stay. A column without any value whose
    type cannot hold the new ones, such as `Null` of polars, takes the type that the table knows.

    Args:
        frame: of narwhals.
        values: the columns by name, as `frames.values_of` gives them.
        types: the types of the columns in the table.
    """
    filled = [_filled(frame.get_column(name), own, types[name]) for name, own in values.items()]
    return frame.with_columns(*[series for series in filled if series is not None])


def _filled(series, values, own):
    """A column with its gaps filled, or None where it has none."""
    _, observed = values_of(series)
    gaps = np.flatnonzero(~observed)
    if not len(gaps):
        return None
    if not observed.any() and _family(type_of(series)) != _family(own):
        return _like(series, _made(series.name, values, own, series.implementation))
    return _scattered(series, gaps, values[gaps], own)


def _family(own):
    """What kinds of values a type holds."""
    name = own["name"]
    if name.startswith(("Int", "UInt", "Float", "Decimal")):
        return "numbers"
    if name in ("String", "Categorical", "Enum"):
        return "texts"
    return "dates" if is_type_of_dates(own) else name


def _like(series, made):
    """A new column with the index of the one that it replaces, if that has one."""
    native = made.to_native()
    if hasattr(native, "index"):
        native.index = series.to_native().index
    return narwhals().from_native(native, series_only=True)


def _scattered(series, gaps, values, own):
    """A column with values in its gaps, in its own type."""
    name = type_of(series)["name"]
    if is_date(series):
        return series.scatter(gaps.tolist(), _dates(series, values))
    if name in ("Decimal", "Unknown") or "Sparse" in str(series.to_native().dtype):
        return _rebuilt(series, gaps, values)
    values = _as_python(values, name)
    if name in ("Categorical", "Enum"):
        return _with_classes(series, gaps, values)
    if name == "Object" and _holds_integers(series):
        values = [int(value) for value in values]
    return series.scatter(gaps.tolist(), values)


def _dates(series, values):
    """Seconds since 1970 as a column of the same type as another one of dates."""
    own = type_of(series)
    return _like_at(series, _made(series.name, values, own, series.implementation))


def _like_at(series, made):
    return made.cast(series.dtype) if made.dtype != series.dtype else made


def _holds_integers(series):
    seen = [value for value in series.drop_nulls().to_list() if value == value]
    return all(isinstance(value, (int, np.integer)) for value in seen)


def _with_classes(series, gaps, values):
    """A column of classes with values in its gaps, and with the classes that it lacks."""
    nw = narwhals()
    if series.implementation.is_pandas():
        native = series.to_native()
        lacking = [v for v in dict.fromkeys(values) if v not in native.cat.categories]
        native = native.cat.add_categories(lacking) if lacking else native
        return nw.from_native(native, series_only=True).scatter(gaps.tolist(), values)
    known = classes_of(series)
    kept = series.dtype
    if known:
        lacking = [v for v in dict.fromkeys(values) if v not in known[0]]
        kept = nw.Enum([*known[0], *lacking]) if lacking else kept
    return series.cast(nw.String).scatter(gaps.tolist(), values).cast(kept)


def _rebuilt(series, gaps, values):
    """A column that is made anew, for types that cannot be written to."""
    native, found = series.to_native(), series.to_list()
    scale = getattr(native.dtype, "scale", None)
    for gap, value in zip(gaps.tolist(), values.tolist(), strict=True):
        found[gap] = value if scale is None else round(decimal.Decimal(value), scale)
    given = {"values": found}
    if hasattr(native, "index"):
        given = {"data": found, "index": native.index}
    made = type(native)(name=series.name, dtype=native.dtype, **given)
    return narwhals().from_native(made, series_only=True)


def like(frame: Any, values: dict[Any, np.ndarray], library: str) -> Any:
    """Returns a frame of numbers, with the index of another frame if that has one."""
    nw = narwhals()
    if not is_frame(frame):
        return make(values, {}, library)
    native = nw.from_dict(values, backend=read(frame).implementation).to_native()
    if hasattr(frame, "index") and hasattr(native, "index"):
        native.index = frame.index
    return native
