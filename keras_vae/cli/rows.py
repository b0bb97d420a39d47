"""Files of rows: CSV, TSV and Parquet, read and written by pandas or polars.

Text files are read as text, and the columns get their types here, so that pandas and polars read
the same. A trained model decides the types: what it knows as text stays text.
"""

import datetime
import importlib.util
import pathlib
import re
import warnings
from collections.abc import Sequence
from typing import Any

from keras_vae import writing
from keras_vae.tables import Table, frames, kinds
from keras_vae.typing import FilePath
from keras_vae.validation import optional
from keras_vae_cli import settings

SUFFIXES = settings.ROWS
GAPS = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NaT", "NULL", "null", "None")
"""What stands for a missing value in a text file."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?")


def library(*paths: FilePath) -> str:
    """Returns the library that reads and writes some files: `"pandas"` or else `"polars"`.

    Raises:
        ImportError: if neither can; the message names the command that installs one.
    """
    optional("narwhals", "tables", "Files of rows")
    parquet = any(pathlib.Path(path).suffix.lower() == ".parquet" for path in paths)
    if _is_installed("pandas") and (_is_installed("pyarrow") or not parquet):
        return "pandas"
    if _is_installed("polars"):
        return "polars"
    needed = "polars, or pandas with pyarrow" if parquet else "pandas or polars"
    raise ImportError(f'Files of rows need {needed}: pip install "keras_vae[tables]" polars')


def _is_installed(name):
    return importlib.util.find_spec(name) is not None


def read(path: FilePath, table: Table | None = None, by: str | None = None) -> Any:
    """Reads a file of rows.

    Args:
        path: a `.csv`, `.tsv` or `.parquet` file.
        table: the description of the columns, where a model was made before; it decides the types
            of the columns of a text file.
        by: `"pandas"` or `"polars"`; by default what `library` returns.

    Returns:
        A frame of that library.

    Raises:
        ValueError: if the file cannot be read, or a column cannot be of the type that it had.
    """
    path, by = pathlib.Path(path), by or library(path)
    if not path.is_file():
        raise ValueError(
            "`--data` must be a file that is there, because its rows are read. "
            f"Received: --data={path}"
        )
    reader = {"pandas": _read_with_pandas, "polars": _read_with_polars}[by]
    try:
        frame = frames.read(reader(path))
    except Exception as error:
        raise ValueError(
            f"`--data` must be a whole {path.suffix} file with the names of the columns first; "
            f"this one cannot be read ({' '.join(str(error).split())}). Received: --data={path}"
        ) from error
    if path.suffix.lower() == ".parquet":
        return frame.to_native()
    columns = {} if table is None else table.columns
    typed = [_typed(frame[name], columns.get(name)) for name in frame.columns]
    return frame.with_columns(*typed).to_native()


def _read_with_pandas(path):
    import pandas as pd

    if path.suffix.lower() == ".parquet":
        return pd.read_parquet(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # lines that are too long
        return pd.read_csv(
            path,
            sep=_separator(path),
            dtype="string",
            keep_default_na=False,
            na_values=list(GAPS),
            index_col=False,
        )


def _read_with_polars(path):
    import polars as pl

    if path.suffix.lower() == ".parquet":
        return pl.read_parquet(path)
    return pl.read_csv(path, separator=_separator(path), infer_schema=False, null_values=list(GAPS))


def _separator(path):
    return "\t" if pathlib.Path(path).suffix.lower() == ".tsv" else ","


def write(frame: Any, path: FilePath) -> None:
    """Writes a frame to a `.csv`, `.tsv` or `.parquet` file, which is whole or not there.

    An index of pandas that is more than the number of the row is written too.
    """
    write_all([frame], [path])


def write_all(several: Sequence[Any], paths: Sequence[FilePath]) -> None:
    """Writes frames to as many files; none is there before all of them are written."""
    if not several:
        return
    with writing.atomic(paths[0]) as temporary:
        _write(several[0], temporary)
        write_all(several[1:], paths[1:])


def _write(frame, path):
    is_pandas = frames.library(frames.read(frame)) == "pandas"
    if path.endswith(".parquet"):
        frame.to_parquet(path) if is_pandas else frame.write_parquet(path)
    elif is_pandas:
        numbered = type(frame.index).__name__ == "RangeIndex"
        frame.to_csv(path, sep=_separator(path), index=not numbered)
    else:
        frame.write_csv(path, separator=_separator(path))


def make(columns: dict[str, Any], by: str) -> Any:
    """Returns a frame of columns by name, of `"pandas"` or `"polars"`."""
    return (
        optional("narwhals", "tables", "Files of rows").from_dict(columns, backend=by).to_native()
    )


def index(frame: Any, taken: Sequence[str]) -> dict[str, Any]:
    """Returns a column with the index of the rows, for the front of what is written about them.

    Args:
        frame: the rows.
        taken: the names of the other columns, none of which the new one may have.

    Returns:
        Dict of the name, `"row"` if that is free, and the index: that of pandas, or 0, 1, ….
    """
    name = "row"
    while name in taken:
        name += "_"
    return {name: list(getattr(frame, "index", range(len(frame))))}


def _typed(series, kind):
    """A column of texts in the type that its kind wants, or that suits it where there is none."""
    if isinstance(kind, kinds.Date):
        return _as_dates(series, strict=True)
    if isinstance(kind, kinds.Real):
        return _as_numbers(series, kind)
    if kind is None:
        return _as_it_looks(series)
    return _as_classes(series, kind) if isinstance(kind, kinds.Category) else series


def _as_classes(series, kind):
    """A column in the type of the classes of a category, or ValueError with its name."""
    if any(isinstance(value, str) for value in kind.values):
        return series
    found = _as_it_looks(series)
    texts = series.drop_nulls().to_list() if found.dtype == series.dtype else []
    wrong = [text for text in texts if not any(is_spelled(value, text) for value in kind.values)]
    if wrong:
        raise ValueError(
            f"Column {series.name!r} must hold values that the model knows, "
            f"{', '.join(map(str, kind.values))}, because others have no probability. "
            f"Received: {wrong[0]!r}"
        )
    return found


def is_spelled(value: Any, text: str) -> bool:
    """Returns whether a text stands for a value, such as "true" for True."""
    return str(value) == text or (isinstance(value, bool) and str(value).lower() == text.lower())


def _as_it_looks(series):
    """A column as whole numbers, numbers, booleans or dates, if it is that throughout; or as it is.

    What begins with a zero, as a postcode may, is no number.
    """
    texts = set(series.drop_nulls().to_list())
    if not any(re.match(r"-?0\d", text) for text in texts):
        for dtype in ("Int64", "Float64"):
            found = _cast(series, dtype)
            if found is not None:
                return found
    if texts and {text.lower() for text in texts} <= {"true", "false"}:
        return series.str.to_lowercase() == "true"
    return _as_dates(series)


def _cast(series, dtype):
    """A column of texts as numbers, or None where one of them is no such number."""
    nw = frames.narwhals()
    try:
        if series.implementation.is_polars():
            return series.cast(getattr(nw, dtype))
        return nw.from_native(series.to_native().astype(dtype), series_only=True)
    except Exception:  # each library has errors of its own
        return None


def _as_numbers(series, kind):
    """A column as numbers, whole ones if the model's are, or ValueError with its name."""
    for dtype in ("Int64", "Float64") if kind.decimals == 0 else ("Float64",):
        found = _cast(series, dtype)
        if found is not None:
            return found
    wrong = next(text for text in series.drop_nulls().to_list() if not _is_number(text))
    raise ValueError(
        f"Column {series.name!r} must hold numbers, because it is {type(kind).__name__} to the "
        f"model: correct it, or leave it empty. Received: {wrong!r}"
    )


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def _as_dates(series, strict=False):
    """A column of texts as dates, if it holds nothing else; ValueError if it does and must not."""
    nw = frames.narwhals()
    texts = [text if isinstance(text, str) else None for text in series.to_list()]
    dates = [None if text is None else _date(text) for text in texts]
    wrong = [t for t, date in zip(texts, dates, strict=True) if t is not None and date is None]
    if wrong and strict:
        raise ValueError(
            f"Column {series.name!r} must hold dates such as 2024-01-31 or 2024-01-31 13:45:00, "
            f"because it is Date to the model. Received: {wrong[0]!r}"
        )
    if wrong or not (strict or any(texts)):
        return series
    dtype = nw.Datetime("us")
    found = nw.new_series(series.name, dates, dtype, backend=series.implementation)
    is_days = all(len(text) == 10 for text in texts if text)
    return found.cast(nw.Date) if is_days and series.implementation.is_polars() else found


def _date(text):
    try:
        return datetime.datetime.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:  # such as the 31st of February
        return None
