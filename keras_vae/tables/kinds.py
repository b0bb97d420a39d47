"""The kinds of columns: how values become numbers that a network learns from, and back.

A kind is made empty, such as `Real()`, and learns from a column by `fit`: the mean and the
standard deviation of numbers, the classes of a category. Everything it learns is plain JSON.
"""

import dataclasses
import numbers
from collections.abc import Sequence
from typing import Any, ClassVar

import keras
import numpy as np

from keras_vae.tables import bins
from keras_vae.tables.columns import CLASSES
from keras_vae.tables.frames import DAY

DENSITIES = ("normal", "student_t", "laplace", "histogram")
"""Likelihoods of numbers that a column may ask for."""
FARTHEST = 1e15
"""Numbers that lie more deviations than this from the mean have no density in float32."""
ROUNDING = 1e-6
"""Values below 0 by less than so many deviations are zeros that were rounded."""


@dataclasses.dataclass
class Kind:
    """Base of the kinds of columns.

    A kind of your own is a dataclass that extends one of those here, and is registered with
    `keras.saving.register_keras_serializable`.
    """

    fitted: bool = dataclasses.field(default=False, init=False)

    is_modelled: ClassVar[bool] = True
    """Whether the model sees the column."""

    def fit(self, values: np.ndarray, observed: np.ndarray) -> None:
        """Learns from a column.

        Args:
            values: array (N,): numbers as float64, or objects.
            observed: booleans (N,), False where a value is missing.

        Raises:
            ValueError: if the kind cannot be learned from such a column.
        """
        self.fitted = True

    def to_numbers(self, values: np.ndarray, observed: np.ndarray, name: str) -> np.ndarray:
        """Returns what the model sees of a column: numbers (N,), 0 where a value is missing.

        Args:
            values, observed: as for `fit`.
            name: of the column, for errors.

        Raises:
            ValueError: if a value is none that this kind can take.
        """
        raise NotImplementedError

    def to_values(self, numbers: np.ndarray) -> np.ndarray:
        """Returns the values of a column, as for `fit`, of what the model made, (N,)."""
        raise NotImplementedError

    def log_scale(self) -> float:
        """Returns the logarithm of how many units of the column make one of the model's."""
        return 0.0

    def describe(self) -> str:
        """Returns what was learned, in a few words."""
        return ""

    def get_config(self) -> dict[str, Any]:
        """Returns the kind as plain JSON."""
        name = keras.saving.get_registered_name(type(self))
        found = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {"kind": name, **{k: list(v) if type(v) is list else v for k, v in found.items()}}


@dataclasses.dataclass
class Real(Kind):
    """Numbers of any sign: standardised, with the same number of decimals when they come back.

    Args:
        density: None for the one that suits the number of rows; or one of `"normal"`,
            `"student_t"`, `"laplace"`, and `"histogram"`, which follows any shape.
        decimals: number of decimals of the values; by default as in the data.

    Example: `table["height"] = keras_vae.tables.Real(decimals=1)`.
    """

    density: str | None = None
    decimals: int | None = None
    mean: float = 0.0
    deviation: float = 1.0
    low: float = 0.0
    high: float = 0.0
    skewness: float = 0.0
    edges: list[float] = dataclasses.field(default_factory=list)
    frequencies: list[float] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        if self.density is not None and self.density not in DENSITIES:
            raise ValueError(
                f"`density` must be None or one of {DENSITIES}: it is the likelihood of the "
                f"column. Received: density={self.density!r}"
            )
        whole = isinstance(self.decimals, numbers.Integral) and abs(self.decimals) <= 15
        if self.decimals is not None and not whole:
            raise ValueError(
                "`decimals` must be None or a whole number of at most 15, to which the values are "
                f"rounded. Received: decimals={self.decimals!r}"
            )

    def fit(self, values: np.ndarray, observed: np.ndarray) -> None:
        seen = values[observed].astype("float64")
        if not len(seen):
            raise ValueError(
                f"A column of kind {type(self).__name__} must have a value, of which its mean and "
                "deviation are learned: make it Constant or Ignored. Received: missing values only"
            )
        if self.decimals is None:
            self.decimals = bins.decimals_of(seen)
        self.mean, self.deviation = _mean_and_deviation(seen)
        self.low, self.high = float(seen.min()), float(seen.max())
        scaled = (seen - self.mean) / self.deviation
        self.skewness = float(np.mean(scaled**3))
        edges, _ = bins.histogram(seen, self.decimals)
        self.edges, self.frequencies = _in_float32((edges - self.mean) / self.deviation, scaled)
        super().fit(values, observed)

    def to_numbers(self, values: np.ndarray, observed: np.ndarray, name: str) -> np.ndarray:
        values = np.where(observed, values, self.mean)
        wrong = ~np.isfinite(values)
        if np.any(wrong):
            raise ValueError(
                f"Column {name!r} must hold finite numbers, because it is {type(self).__name__}. "
                f"Received: {values[wrong][0].item()!r}"
            )
        far = np.abs(values / FARTHEST - self.mean / FARTHEST) > self.deviation
        if np.any(far):
            raise ValueError(
                f"Column {name!r} must hold numbers of the size that it had when the table was "
                f"made, {self.describe()}, because others have no probability in float32. "
                f"Received: {values[far][0].item()!r}"
            )
        return np.where(observed, (values - self.mean) / self.deviation, 0.0)

    def to_values(self, numbers: np.ndarray) -> np.ndarray:
        values = np.asarray(numbers, "float64") * self.deviation + self.mean
        values = np.clip(values, self.low, self.high)
        return values if self.decimals is None else np.round(values, self.decimals)

    def log_scale(self) -> float:
        return float(np.log(self.deviation))

    def describe(self) -> str:
        text = f"mean {self.mean:.6g}, deviation {self.deviation:.6g}"
        return text + (f", skewed ({self.skewness:+.1f})" if abs(self.skewness) > 2 else "")


@dataclasses.dataclass
class Positive(Real):
    """Numbers that are never negative, such as prices. Arguments are those of `Real`.

    Example: `table["price"] = keras_vae.tables.Positive(decimals=2)`.
    """

    def to_numbers(self, values: np.ndarray, observed: np.ndarray, name: str) -> np.ndarray:
        least = -ROUNDING * self.deviation
        negative = observed & (np.where(observed, values, 0.0) < least)
        if np.any(negative):
            raise ValueError(
                f"Column {name!r} must hold finite numbers of at least 0, because it is "
                f"{type(self).__name__}; make it Real if it may hold others. "
                f"Received: {values[negative][0].item()!r}"
            )
        return super().to_numbers(values, observed, name)


@dataclasses.dataclass
class Count(Positive):
    """Whole numbers from 0 on.

    Args:
        density, decimals: as for `Real`.
        checked: whether fractions are refused. They are taken where the kind was inferred of a
            complete column of floats, of which later rows may have some.

    Example: `table["children"] = keras_vae.tables.Count()`.
    """

    decimals: int | None = 0
    checked: bool = True

    def to_numbers(self, values: np.ndarray, observed: np.ndarray, name: str) -> np.ndarray:
        broken = observed & (np.where(observed, values, 0.0) % 1 != 0)
        if self.checked and np.any(broken):
            raise ValueError(
                f"Column {name!r} must hold whole numbers, because it is Count: round them, or "
                f"make it Positive. Received: {values[broken][0].item()!r}"
            )
        return super().to_numbers(values, observed, name)


@dataclasses.dataclass
class Date(Real):
    """Dates and times, which come back as exact as they came: in days, seconds or microseconds.

    Example: `table["admitted"] = keras_vae.tables.Date()`.
    """

    unit: float = 1.0

    def fit(self, values: np.ndarray, observed: np.ndarray) -> None:
        whole_days = bool(np.all(values[observed] % DAY == 0))
        self.unit = DAY if whole_days else 1.0
        super().fit(values / self.unit, observed)

    def to_numbers(self, values: np.ndarray, observed: np.ndarray, name: str) -> np.ndarray:
        return super().to_numbers(values / self.unit, observed, name)

    def to_values(self, numbers: np.ndarray) -> np.ndarray:
        return super().to_values(numbers) * self.unit

    def log_scale(self) -> float:
        return float(np.log(self.deviation * self.unit))

    def describe(self) -> str:
        ends = (np.datetime64(int(t * self.unit), "s") for t in (self.low, self.high))
        return " to ".join(str(end)[: 10 if self.unit == DAY else 19] for end in ends)


@dataclasses.dataclass
class Category(Kind):
    """One of several classes without an order: texts, booleans or numbers.

    Args:
        values: the classes; by default those of the data, sorted.

    Example: `table["colour"] = keras_vae.tables.Category(["red", "green", "blue"])`.
    """

    values: list[Any] | None = None

    most: ClassVar[float] = np.inf
    """The largest number of classes."""

    def __post_init__(self) -> None:
        if self.values is None:
            return
        plain = [] if isinstance(self.values, str) else [_plain(value) for value in self.values]
        if len(set(plain)) < len(plain) or not 2 <= len(plain) <= self.most:
            raise ValueError(
                f"`values` must be {self._number()} different classes, because {_NAMES_CLASSES}. "
                f"Received: values={self.values!r:.100}"
            )
        self.values = plain

    def _number(self):
        return "two" if self.most == 2 else "a list of at least two"

    def fit(self, values: np.ndarray, observed: np.ndarray) -> None:
        if self.values is None:
            self.values = _different(values[observed])
            if not 2 <= len(self.values) <= self.most:
                raise ValueError(
                    f"A column of kind {type(self).__name__} must have {self._number()} different "
                    "values, because one alone tells nothing, and others belong to Category. "
                    f"Received: {len(self.values)} different values {_short(self.values)}"
                )
        super().fit(values, observed)

    def to_numbers(self, values: np.ndarray, observed: np.ndarray, name: str) -> np.ndarray:
        index = {value: number for number, value in enumerate(self.values or [])}
        found, seen = np.zeros(len(values)), values[observed].tolist()
        unknown = [value for value in dict.fromkeys(seen) if value not in index]
        if unknown:
            raise ValueError(
                f"Column {name!r} must hold values that the table knows, {_short(self.values)}, "
                "because others have no probability; give `values` to its kind for classes that "
                f"the table lacks. Received: {unknown[0]!r}"
            )
        found[observed] = [index[value] for value in seen]
        return found

    def to_values(self, numbers: np.ndarray) -> np.ndarray:
        values = np.empty(len(self.values or []), object)
        values[:] = self.values
        return values[np.asarray(numbers, "int64")]

    def describe(self) -> str:
        return f"{len(self.values or [])} classes: {_short(self.values)}"


@dataclasses.dataclass
class Boolean(Category):
    """True and False, or 0 and 1.

    Example: `table["smoker"] = keras_vae.tables.Boolean()`.
    """

    most: ClassVar[float] = 2

    def describe(self) -> str:
        return _short(self.values)


@dataclasses.dataclass
class Ordinal(Category):
    """One of several classes in an order, such as grades; whole numbers are sorted.

    Args:
        values: the classes in their order; by default those of the data, sorted.

    Example: `table["size"] = keras_vae.tables.Ordinal(["S", "M", "L"])`.
    """


@dataclasses.dataclass
class Constant(Kind):
    """One value in all rows: it is left out of the model, and fills the gaps of the column.

    Example: `table["country"] = keras_vae.tables.Constant()`.
    """

    value: Any = None

    is_modelled: ClassVar[bool] = False

    def fit(self, values: np.ndarray, observed: np.ndarray) -> None:
        seen = _different(values[observed])
        if len(seen) > 1:
            raise ValueError(
                "A column of kind Constant must have one value; Ignored leaves out any column. "
                f"Received: {len(seen)} different values {_short(seen)}"
            )
        self.value = seen[0] if seen else None
        super().fit(values, observed)

    def differs(self, values: np.ndarray, observed: np.ndarray) -> bool:
        """Returns whether a column holds another value than the one that was learned."""
        return any(value != self.value for value in _different(values[observed]))

    def describe(self) -> str:
        found = "no values" if self.value is None else f"always {self.value!r}"
        return f"{found}; left out of the model"


@dataclasses.dataclass
class Ignored(Kind):
    """A column that the model does not see, such as names and row numbers.

    `impute` keeps it as it is, and generated rows do not have it.

    Args:
        reason: why, for the description of the table.

    Example: `table["name"] = keras_vae.tables.Ignored()`.
    """

    reason: str = "by choice"

    is_modelled: ClassVar[bool] = False

    def describe(self) -> str:
        return f"{self.reason}; left out of the model"


KINDS: dict[str, type[Kind]] = {
    kind.__name__: kind
    for kind in (Real, Positive, Count, Date, Category, Boolean, Ordinal, Constant, Ignored)
}


def from_config(config: dict[str, Any]) -> Kind:
    """Returns the kind that `Kind.get_config` described.

    Raises:
        ValueError: if it is a kind of somebody's own that is not registered.
    """
    name = config["kind"]
    own = KINDS.get(name) or keras.saving.get_registered_object(name)
    if own is None:
        raise ValueError(
            "`kind` must be one of keras_vae.tables or a class that is registered with "
            "`keras.saving.register_keras_serializable`, before the model is loaded. "
            f"Received: kind={name!r}"
        )
    kind = own()
    for name, value in config.items():
        if name != "kind":
            setattr(kind, name, value)
    return kind


def infer(values: np.ndarray, observed: np.ndarray) -> Kind:
    """Returns the kind that suits a column, not yet fitted.

    Args:
        values: array (N,): numbers as float64, booleans, datetimes or objects.
        observed: booleans (N,), False where a value is missing.

    Returns:
        A kind. Columns with one value are constant; texts and consecutive whole numbers that are
        all different, as row numbers are, are ignored; two values are a category; up to 12 whole
        numbers in a row are ordinal.
    """
    seen = values[observed]
    if seen.dtype.kind in "OUS":
        return _of_objects(seen)
    if not len(seen) or np.all(seen == seen[0]):
        is_long = len(seen) > 1 and abs(seen[0]) >= 2.0**53
        return Ignored("whole numbers that float64 cannot tell apart") if is_long else Constant()
    different = np.unique(seen)
    if set(different.tolist()) <= {0.0, 1.0}:
        return Boolean()
    if np.any(seen % 1 != 0):
        return Positive() if different[0] >= 0 else Real()
    return _of_whole_numbers(seen, different)


def _of_whole_numbers(seen, different):
    consecutive = np.all(np.diff(different) == 1)
    if len(different) == len(seen) >= 20 and consecutive:
        return Ignored("all values are different and consecutive")
    if len(different) <= 12 and (consecutive or len(different) <= 3):
        return Ordinal()
    return Count() if different[0] >= 0 else Real()


def _of_objects(seen):
    different = set(_different(seen))
    if len(different) < 2:
        return Constant()
    if different <= {True, False}:
        return Boolean()
    if len(different) == len(seen) >= 20:
        return Ignored("all values are different")
    if len(different) > CLASSES:
        return Ignored(f"{len(different)} different values")
    return Category()


_NAMES_CLASSES = "each stands for one value that the column may take"


def _mean_and_deviation(seen):
    """Of numbers of any size, whose squares may not fit into float64; 1 for no deviation."""
    size = float(np.max(np.abs(seen))) or 1.0
    scaled = seen / size
    return float(scaled.mean()) * size, float(scaled.std()) * size or 1.0


def _in_float32(edges, values):
    """Edges that differ in float32, and how many values lie between, as lists."""
    kept = [edges[0]]
    for edge in edges[1:-1]:
        if edge - kept[-1] > 1e-6 * max(abs(edge), abs(kept[-1])):
            kept.append(edge)
    while len(kept) > 1 and edges[-1] - kept[-1] <= 1e-6 * max(abs(edges[-1]), abs(kept[-1])):
        kept.pop()
    kept.append(edges[-1])
    return np.array(kept).tolist(), np.histogram(values, kept)[0].tolist()


def _different(values):
    """The different values, sorted where they can be."""
    different = list(dict.fromkeys(map(_plain, dict.fromkeys(values.tolist()))))
    try:
        return sorted(different)
    except TypeError:
        return sorted(different, key=repr)


def _plain(value):
    """A value as JSON has it: whole floats as int, NumPy's scalars as Python's."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, (str, int, float, bool)):
        raise ValueError(
            "A column of classes must hold texts, whole numbers or booleans, because the table is "
            f"saved as JSON. Received: {value!r} of type {type(value).__name__}"
        )
    return value


def _short(values: Sequence[Any] | None, most: int = 5) -> str:
    """The first few values, as text."""
    values = values or []
    return ", ".join(map(repr, values[:most])) + (", …" if len(values) > most else "")
