"""The description of a table: what is in each column, and how it becomes numbers and back."""

import warnings
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import numpy as np

from keras_vae import likelihoods
from keras_vae.part import register
from keras_vae.tables import frames, kinds
from keras_vae.tables.columns import is_type_of_dates, like, make, type_of, with_gaps_filled
from keras_vae.tables.kinds import Category, Constant, Count, Date, Ignored, Kind, Ordinal, Real

LARGE = 5000
"""Tables with at least this many rows are large: they describe numbers by histograms."""


@register
class Table:
    """The columns of a table and their kinds, as `infer` finds them in a frame or as you say.

    A table prints itself. Each kind may be replaced before a model is made of the table. The
    models of `recipes.table_vae` save their table as plain JSON.

    Args:
        columns: dict of fitted kinds by the name of the column.
        dtypes: dict of the columns' types, as `infer` describes them, for generated frames.
        library: `"pandas"` or `"polars"`, for generated frames.
        num_rows: how many rows the table was inferred from.

    Example:

    ```python
    table = keras_vae.tables.Table.infer(df)
    table["age"] = keras_vae.tables.Count()
    print(table)
    ```
    """

    def __init__(
        self,
        columns: Mapping[Any, Kind],
        dtypes: Mapping[Any, dict[str, Any]] | None = None,
        library: str = "pandas",
        num_rows: int = 0,
    ) -> None:
        self.columns = dict(columns)
        self.dtypes = dict(dtypes or {})
        self.library = library
        self.num_rows = num_rows
        self._frame: Any = None

    @classmethod
    def infer(cls, frame: Any) -> "Table":
        """Returns the table of a frame.

        Args:
            frame: a DataFrame of pandas, polars or another library that narwhals knows. The table
                keeps it, to fit kinds that replace the inferred ones.

        Raises:
            ValueError: if it is no frame, has no rows, or holds what no kind can take.

        Example: `table = keras_vae.tables.Table.infer(df)`.
        """
        frame = frames.read(frame)
        table = cls({}, {}, frames.library(frame), len(frame))
        table._frame = frame
        for series in frame.iter_columns():
            name = _checked_name(series.name)
            values, observed = frames.values_of(series)
            table.dtypes[name] = type_of(series)
            table._fit(name, _inferred(series, values, observed), values, observed)
        table._check_varies()
        return table

    def _check_varies(self):
        if not self.names:
            raise ValueError(
                "`frame` must have at least one column that varies and that the model sees, "
                "because there is nothing to learn otherwise. "
                f"Received: a frame of these columns:\n{self}"
            )

    def __getitem__(self, name: Any) -> Kind:
        self._check_name(name)
        return self.columns[name]

    def __setitem__(self, name: Any, kind: Kind) -> None:
        """Replaces the kind of a column, which learns from the frame of the table."""
        self._check_name(name)
        if not isinstance(kind, (Real, Category, Constant, Ignored)):
            raise ValueError(
                f"`table[{name!r}]` must be a kind of column, such as keras_vae.tables.Category(). "
                f"Received: {kind!r}"
            )
        if self._frame is None:
            raise ValueError(
                f"`table[{name!r}]` must be set before the model is made, because the model was "
                f"made for the kinds that it knows: infer a new table. Received: {kind!r}"
            )
        values, observed = frames.values_of(self._frame.get_column(name))
        self._fit(name, kind, values, observed)

    def _check_name(self, name):
        if name not in self.columns:
            raise ValueError(
                f"The table must have the column that is asked for; it has {list(self.columns)}. "
                f"Received: {name!r}"
            )

    def _fit(self, name, kind, values, observed):
        is_date = is_type_of_dates(self.dtypes[name])
        numbers = values.dtype.kind == "f" or not observed.any()
        if isinstance(kind, Real) and not (is_date if isinstance(kind, Date) else numbers):
            raise ValueError(
                f"Column {name!r} must hold {'dates' if isinstance(kind, Date) else 'numbers'} to "
                f"be {type(kind).__name__}. Received: {values[observed][:1].tolist()}"
            )
        try:
            kind.fit(values, observed)
        except ValueError as error:
            raise ValueError(f"Column {name!r}: {error}") from error
        if kind.is_modelled:
            kind.to_numbers(values, observed, name)
        self.columns[name] = kind

    def __len__(self) -> int:
        return len(self.columns)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.columns)

    def __str__(self) -> str:
        rows = [(str(n), type(k).__name__, k.describe()) for n, k in self.columns.items()]
        rows = [("column", "kind", ""), *rows]
        widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
        lines = [f"{n:{widths[0]}}  {k:{widths[1]}}  {d}".rstrip() for n, k, d in rows]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Table of {len(self)} columns, {len(self.names)} in the model>\n{self}"

    @property
    def names(self) -> list[Any]:
        """Returns the columns that the model sees, in the model's order: groups of one density."""
        modelled = [name for name, kind in self.columns.items() if kind.is_modelled]
        return sorted(modelled, key=lambda name: _group_of(self.columns[name], self.num_rows))

    @property
    def num_classes(self) -> list[int]:
        """Returns the number of classes of each column in the model's order, 0 for numbers."""
        found = (self.columns[name] for name in self.names)
        return [len(k.values or []) if isinstance(k, Category) else 0 for k in found]

    def likelihood(self) -> likelihoods.Likelihood:
        """Returns p(x|z) for the columns in the model's order, in nats of the original units.

        Numbers get a normal density with a learned deviation for each column, or a histogram where
        there are at least 5,000 rows; categories their probabilities; ordinals cumulative logits.

        Raises:
            ValueError: if the model sees no column.
        """
        self._check_varies()
        groups: dict[tuple, list[Kind]] = {}
        for name in self.names:
            kind = self.columns[name]
            groups.setdefault(_group_of(kind, self.num_rows), []).append(kind)
        parts = [_likelihood_of(group, own) for group, own in groups.items()]
        mixed = likelihoods.Mixed(parts, columns=[len(own) for own in groups.values()])
        scales = [np.exp(self.columns[name].log_scale()) for name in self.names]
        return likelihoods.Rescaled(mixed, scales)

    def to_arrays(self, frame: Any) -> dict[str, np.ndarray]:
        """Returns what a model takes of a frame: `x`, float32, and `mask`, True where observed.

        Args:
            frame: with the columns of the table, in any order; those that the model does not see
                may be absent.

        Returns:
            Dict of arrays (N, F), in the order of `names`.

        Raises:
            ValueError: if a column is missing or unknown, or holds what its kind cannot take.

        Example: `arrays = table.to_arrays(df)`.
        """
        frame = self.checked(frame)
        pairs = [self._numbers(frame.get_column(name)) for name in self.names]
        x, mask = (np.stack(columns, axis=1) for columns in zip(*pairs, strict=True))
        return {"x": x.astype("float32"), "mask": mask}

    def _numbers(self, series):
        kind = self.columns[series.name]
        values, observed = frames.values_of(series)
        self._check_dates(series, observed)
        if isinstance(kind, Real) and values.dtype.kind != "f":
            values = frames.as_numbers(values, observed, series.name)
        return kind.to_numbers(values, observed, series.name), observed

    def _check_dates(self, series, observed):
        """Raises ValueError where numbers or texts stand for dates, or the other way round."""
        is_date = is_type_of_dates(self.dtypes[series.name])
        if observed.any() and is_date != frames.is_date(series):
            raise ValueError(
                f"Column {series.name!r} must hold {'dates' if is_date else 'no dates'}, as it did "
                f"when the table was made. Received: a column of type {series.dtype}"
            )

    def checked(self, frame: Any) -> Any:
        """Returns a frame of narwhals with the columns that the model needs, or ValueError.

        Warns of columns that were constant, and now are not.
        """
        frame = frames.read(frame)
        there = set(frame.columns)
        absent = [name for name in self.names if name not in there]
        unknown = [name for name in frame.columns if name not in self.columns]
        if absent or unknown:
            raise ValueError(
                "`frame` must have the columns that the model was made for; columns whose values "
                f"are missing may be all null. Received: a frame without {absent} and with the "
                f"unknown columns {unknown}"
            )
        changed = [name for name in self._constants(frame) if self._differs(frame.get_column(name))]
        if changed:
            warnings.warn(
                f"The columns {changed} held one value where the table was made, and now hold "
                "others: the model does not see them, so that no score tells of it.",
                stacklevel=4,
            )
        return frame

    def _constants(self, frame):
        """The columns of a frame that the table knows as constant."""
        return [name for name in frame.columns if isinstance(self.columns[name], Constant)]

    def _differs(self, series):
        return self.columns[series.name].differs(*frames.values_of(series))

    def to_values(self, x: np.ndarray) -> dict[Any, np.ndarray]:
        """Returns the values of each column that `x`, (N, F), stands for, by name."""
        return {n: self.columns[n].to_values(x[:, i]) for i, n in enumerate(self.names)}

    def to_frame(self, x: np.ndarray, given: Mapping[Any, Any] | None = None) -> Any:
        """Returns a frame of new rows, in the order of the table, from what a model made, (N, F).

        Columns that are ignored are left out; constants have their value.

        Args:
            x: array (N, F), in the order of `names`.
            given: dict of values by column that all rows have.

        Example: `df = table.to_frame(arrays["x"])`.
        """
        values = self.to_values(np.asarray(x))
        for name, kind in self.columns.items():
            if isinstance(kind, Constant):
                values[name] = np.full(len(x), kind.value, object)
        for name, value in (given or {}).items():
            values[name] = np.full(len(x), self._one_value(name, value)[0], object)
        ordered = {name: values[name] for name in self.columns if name in values}
        return make(ordered, self.dtypes, self.library)

    def fill(self, frame: Any, x: np.ndarray) -> Any:
        """Returns a frame with its gaps filled by `x`, (N, F); all else is as it was.

        The gaps of a constant column get its value.
        """
        frame = self.checked(frame)
        values = self.to_values(np.asarray(x))
        for name in self._constants(frame):
            if self.columns[name].value is not None:
                values[name] = np.full(len(x), self.columns[name].value, object)
        return with_gaps_filled(frame, values, self.dtypes).to_native()

    def number_of(self, name: Any, value: Any) -> float:
        """Returns what the model sees for one value of a column, or raises ValueError."""
        values = self._one_value(name, value)
        return float(self[name].to_numbers(values, np.ones(1, "bool"), name)[0])

    def _one_value(self, name, value):
        """One value of a column, (1,), as `frames.values_of` gives it, or ValueError."""
        if isinstance(value, (tuple, np.ndarray)) or not isinstance(value, Hashable):
            raise ValueError(
                f"Column {name!r} must be given one value, which all rows have. "
                f"Received: {value!r:.100}"
            )
        values, observed = frames.one_value(value)
        return frames.as_numbers(values, observed, name) if isinstance(self[name], Real) else values

    def scores(self, frame: Any, numbers: np.ndarray) -> Any:
        """Returns a frame of numbers, (N, F) in the order of `names`, with the index of `frame`."""
        column = {name: i for i, name in enumerate(self.names)}
        values = {name: numbers[:, column[name]] for name in self.columns if name in column}
        return like(frame, values, self.library)

    def get_config(self) -> dict[str, Any]:
        """Returns the table as plain JSON."""
        return {
            "columns": [[_as_json(n), kind.get_config()] for n, kind in self.columns.items()],
            "dtypes": [[_as_json(name), own] for name, own in self.dtypes.items()],
            "library": self.library,
            "num_rows": self.num_rows,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Table":
        """Returns the table that `get_config` described."""
        columns = {_from_json(name): kinds.from_config(kind) for name, kind in config["columns"]}
        dtypes = {_from_json(name): own for name, own in config["dtypes"]}
        return cls(columns, dtypes, config["library"], config["num_rows"])


def _checked_name(name):
    """The name of a column, which may be a text, a number or a tuple of these, or ValueError."""
    parts = _as_json(name) if isinstance(name, tuple) else [_as_json(name)]
    if not all(isinstance(part, (str, int, float)) for part in parts):
        raise ValueError(
            "`frame` must have columns whose names are texts or numbers, because the table is "
            f"saved as JSON: `df.columns = df.columns.astype(str)`. Received: column {name!r}"
        )
    return name


def _as_json(name):
    if isinstance(name, tuple):
        return [_as_json(part) for part in name]
    return name.item() if isinstance(name, np.generic) else name


def _from_json(name):
    return tuple(name) if isinstance(name, list) else name


def _inferred(series, values, observed):
    """The kind that suits a column: by its type, where that tells it, else by its values."""
    inferred = kinds.infer(values, observed)
    if isinstance(inferred, Constant):
        return inferred
    if frames.is_date(series):
        return Date()
    if isinstance(inferred, Count) and series.dtype.is_float() and observed.all():
        inferred.checked = False  # whole numbers without gaps would have an integer type
    classes, ordered = frames.classes_of(series) or ([], False)
    return Ordinal(classes) if ordered else inferred


def _group_of(kind, num_rows):
    """What columns that share a likelihood have in common; sorts numbers before classes."""
    if isinstance(kind, Category):
        return (1 + isinstance(kind, Ordinal), len(kind.values or []))
    return (0, kind.density or ("histogram" if num_rows >= LARGE else "normal"))


def _likelihood_of(group, own):
    """The likelihood of columns of one group."""
    role, detail = group
    if role == 2:
        return likelihoods.Ordinal(detail)
    if role == 1:
        return likelihoods.Categorical(detail)
    if detail == "histogram":
        return likelihoods.Histogram([k.edges for k in own], [k.frequencies for k in own])
    by_name = {
        "normal": likelihoods.Normal,
        "laplace": likelihoods.Laplace,
        "student_t": likelihoods.StudentT,
    }
    return by_name[detail]("per_feature")
