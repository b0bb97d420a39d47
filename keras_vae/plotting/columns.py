"""Columns of frames as numbers that can be drawn."""

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

_CLASSES = 8  # bars of a column; others are counted together
_WHOLE = 12  # different whole numbers, at most, that are drawn as classes


@dataclasses.dataclass
class Column:
    """A column of two frames as numbers: dates in days, classes by their position."""

    name: str
    values: list[np.ndarray]
    classes: list[str] | None = None
    is_date: bool = False

    @property
    def seen(self) -> list[np.ndarray]:
        """Returns the values of the two frames without their gaps."""
        return [values[~np.isnan(values)] for values in self.values]


def read(frame: Any) -> Any:
    """Returns a frame of any library as `tables.frames.read` reads it."""
    from keras_vae.tables import frames  # imports the models, which import this file

    return frames.read(frame)


def values_of(series: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns the values of a column, and which of them are observed."""
    from keras_vae.tables import frames

    return frames.values_of(series)


def numbers_of(series: Any) -> np.ndarray:
    """Returns a column of numbers with NaN at its gaps."""
    values, observed = values_of(series)
    return np.where(observed, np.where(observed, values, 0.0).astype("float64"), np.nan)


def common_columns(real: Any, generated: Any, chosen: Sequence[str] | None = None) -> list[Column]:
    """Returns the columns that both frames have, or the chosen ones.

    Raises:
        ValueError: if there is none, or a chosen one is not in both.
    """
    real, generated = read(real), read(generated)
    names = [name for name in real.columns if name in generated.columns]
    absent = [name for name in chosen or () if name not in names]
    if not names or absent:
        raise ValueError(
            "`generated` must have columns of `real`, because columns are compared by name. "
            f"Received: columns {list(real.columns)} and {list(generated.columns)}"
            + (f", of which not both have {absent}" if absent else "")
        )
    return [_column(name, real[name], generated[name]) for name in chosen or names]


def _column(name, real, generated):
    from keras_vae.tables import frames

    columns = [values_of(real), values_of(generated)]
    if frames.is_date(real) and frames.is_date(generated):
        days = [np.where(seen, values / frames.DAY, np.nan) for values, seen in columns]
        return Column(name, days, is_date=True)
    if any(values.dtype.kind == "O" for values, _ in columns):
        return _column_of_classes(name, columns, _by_frequency(*columns[0]))
    different = np.unique(columns[0][0][columns[0][1]])
    if len(different) <= _WHOLE and np.all(different % 1 == 0):
        return _column_of_classes(name, columns, [text_of(value) for value in different])
    return Column(name, [np.where(seen, values, np.nan) for values, seen in columns])


def _by_frequency(values, observed):
    """The classes that occur most often, the most frequent one first."""
    counts = collections.Counter(text_of(value) for value in values[observed])
    classes = [text for text, _ in counts.most_common(_CLASSES)]
    return [*classes, "others"] if len(counts) > _CLASSES else classes


def _column_of_classes(name, columns, classes):
    """A column whose values became positions in `classes`, all others the one behind the last."""
    places = {text: place for place, text in enumerate(classes)}
    other = places.get("others", len(classes))
    numbers = []
    for values, seen in columns:
        found = [places.get(text_of(value), other) for value in values]
        numbers.append(np.where(seen, np.array(found, "float64"), np.nan))
    if any(np.any(own == len(classes)) for own in numbers):
        classes = [*classes, "others"]
    return Column(name, numbers, classes=classes)


def text_of(value: Any, most: int = 12) -> str:
    """Returns a value as it is written in pictures."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.number)):
        return shortened(value, most)
    return f"{value:,.0f}" if abs(float(value)) >= 1e5 else f"{value:.5g}"


def shortened(value: Any, most: int) -> str:
    """Returns the text of a value, with an ellipsis if it has more letters than `most`."""
    text = str(value)
    return text if len(text) <= most else text[: most - 1] + "…"


def of_columns(title: str | None, which: str, shown: int, total: int) -> str | None:
    """Returns a title that says how many columns are shown if it is not all of them."""
    return f"{title} ({which}{shown} of {total} columns)" if title and shown < total else title
