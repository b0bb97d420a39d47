"""Columns of frames as numbers and back: kinds, types, gaps, and what is refused."""

import datetime
import decimal
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_vae import tables
from keras_vae.tables import Table, bins, columns, frames, kinds

pd = pytest.importorskip("pandas", reason="pandas is not installed")
pl = pytest.importorskip("polars", reason="polars is not installed")

N = 40
RNG = np.random.default_rng(0)
GAPS = RNG.random(N) < 0.3
GAPS[:3] = [True, False, True]
NUMBERS = RNG.normal(size=N).round(2)
WHOLE = RNG.integers(-99, 99, N)
TRUTHS = RNG.random(N) < 0.5
TEXTS = RNG.choice(["u", "v", "w"], N).tolist()
GRADES = RNG.integers(1, 5, N)
DAYS = np.datetime64("2020-01-01") + RNG.integers(0, 500, N)
TIMES = np.datetime64("2020-01-01T00:00") + RNG.integers(0, 90_000, N).astype("timedelta64[m]")
CLASSES = ["w", "v", "u", "unused"]


def with_gaps(values):
    return [None if gap else value for value, gap in zip(values, GAPS, strict=True)]


def of_pandas(values, dtype=None):
    return lambda: pd.Series(with_gaps(values), dtype=dtype)


def of_polars(values, dtype=None):
    return lambda: pl.Series(with_gaps(values), dtype=dtype, strict=False)


def classes(ordered):
    return lambda: pd.Series(pd.Categorical(with_gaps(TEXTS), CLASSES, ordered=ordered))


def in_berlin():
    times = pd.Series(with_gaps(TIMES)).astype("datetime64[ns]")
    return times.dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin")


def in_berlin_of_polars():
    times = of_polars([time.item() for time in TIMES])()
    return times.dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin")


PANDAS = {
    **{d: of_pandas(NUMBERS, d) for d in ("float32", "float64", "Float32", "Float64")},
    **{d: of_pandas(WHOLE, d) for d in ("Int8", "Int64")},
    "UInt16": of_pandas(abs(WHOLE), "UInt16"),
    "whole floats": of_pandas(WHOLE * 1.0, "float64"),
    "zeros and ones": of_pandas(TRUTHS * 1.0, "float64"),
    "grades": of_pandas(GRADES * 1.0, "float32"),
    "objects that are numbers": of_pandas(WHOLE.tolist(), object),
    "boolean": of_pandas(TRUTHS.tolist(), "boolean"),
    "objects that are booleans": of_pandas(TRUTHS.tolist(), object),
    "string": of_pandas(TEXTS, "string"),
    "texts": of_pandas(TEXTS),
    "objects that are texts": of_pandas(TEXTS, object),
    "objects of many types": of_pandas(["a", 1, 2.5, True] * (N // 4), object),
    "texts that look like numbers": of_pandas(["1", "2", "03", "1e5"] * (N // 4)),
    "category": classes(ordered=False),
    "ordered category": classes(ordered=True),
    "category of numbers": lambda: pd.Series(pd.Categorical(with_gaps(GRADES.tolist()))),
    "days": lambda: pd.Series(with_gaps(DAYS)).astype("datetime64[s]"),
    "times": lambda: pd.Series(with_gaps(TIMES)).astype("datetime64[ns]"),
    "times with a zone": in_berlin,
    "constant": of_pandas(["k"] * N),
    "constant day": lambda: pd.Series(with_gaps([DAYS[0]] * N)).astype("datetime64[ns]"),
    "None": lambda: pd.Series([None] * N),
    "NaN": lambda: pd.Series([np.nan] * N),
    "NaT": lambda: pd.Series([pd.NaT] * N),
    "sparse": lambda: pd.Series(pd.arrays.SparseArray(of_pandas(NUMBERS, "float64")())),
    "int8": lambda: pd.Series(WHOLE, dtype="int8"),
    "bool": lambda: pd.Series(TRUTHS),
}
WIDTHS = ("8", "16", "32", "64")
POLARS = {
    **{f"Int{w}": of_polars(WHOLE.tolist(), getattr(pl, f"Int{w}")) for w in WIDTHS},
    **{f"UInt{w}": of_polars(abs(WHOLE).tolist(), getattr(pl, f"UInt{w}")) for w in WIDTHS},
    "Float32": of_polars(NUMBERS.tolist(), pl.Float32),
    "Float64": of_polars(NUMBERS.tolist(), pl.Float64),
    "NaN": lambda: pl.Series(np.where(GAPS, np.nan, NUMBERS)),
    "Boolean": of_polars(TRUTHS.tolist()),
    "String": of_polars(TEXTS),
    "Categorical": of_polars(TEXTS, pl.Categorical),
    "Enum": of_polars(TEXTS, pl.Enum(CLASSES)),
    "Date": of_polars([day.item() for day in DAYS]),
    "Datetime": of_polars([time.item() for time in TIMES]),
    "Datetime in ms": of_polars([time.item() for time in TIMES], pl.Datetime("ms")),
    "Datetime in ns": of_polars([time.item() for time in TIMES], pl.Datetime("ns")),
    "Datetime with a zone": in_berlin_of_polars,
    "constant": of_polars(["k"] * N),
    "constant Date": of_polars([datetime.date(2020, 1, 1)] * N),
    "Null": lambda: pl.Series([None] * N),
}
CASES = [("pandas", name) for name in PANDAS] + [("polars", name) for name in POLARS]


def frame_of(library, name):
    """A frame with the column under test, and a complete one that stays as it is."""
    if library == "polars":
        return pl.DataFrame({"a": POLARS[name](), "other": NUMBERS + 1000.0})
    frame = pd.DataFrame({"a": PANDAS[name](), "other": NUMBERS + 1000.0})
    return frame.set_axis(pd.MultiIndex.from_tuples([("x", 1)] * N))


def plain(series):
    """The values of a column as a list, None at gaps."""
    values = series.to_list() if isinstance(series, pl.Series) else series.tolist()
    return [None if v is None or v is pd.NA or v != v else v for v in values]


def reloaded(table):
    return Table.from_config(json.loads(json.dumps(table.get_config())))


@pytest.mark.parametrize(("library", "name"), CASES)
def test_filling_gaps_keeps_types_and_all_that_is_observed(library, name):
    frame = frame_of(library, name)
    before = frame.copy() if library == "pandas" else frame.clone()
    table = reloaded(Table.infer(frame))
    arrays = table.to_arrays(frame)
    expected = notna(frame) if "a" in table.names else [True] * N
    assert arrays["mask"].all(1).tolist() == expected
    filled = table.fill(frame, np.where(arrays["mask"], arrays["x"], 1.0))
    assert frame.equals(before)
    assert list(filled.columns) == list(frame.columns)
    assert filled["a"].dtype == frame["a"].dtype
    assert filled["other"].equals(frame["other"])
    if library == "pandas":
        assert filled.index.equals(frame.index)
    old, new = plain(frame["a"]), plain(filled["a"])
    assert [n for n, o in zip(new, old, strict=True) if o is not None] == [
        o for o in old if o is not None
    ]
    known = [value for value in old if value is not None]
    assert (None not in new) == bool(known)


def notna(frame):
    return [value is not None for value in plain(frame["a"])]


@pytest.mark.parametrize(("library", "name"), CASES)
def test_rows_come_back_as_they_went_in(library, name):
    frame = frame_of(library, name)
    table = reloaded(Table.infer(frame))
    made = table.to_frame(table.to_arrays(frame)["x"])
    assert made["a"].dtype == frame["a"].dtype
    pairs = zip(plain(frame["a"]), plain(made["a"]), strict=True)
    for old, new in pairs:
        if old is not None and isinstance(old, datetime.datetime):
            assert abs(old - new) < datetime.timedelta(seconds=2)  # of a month, in float32
        elif old is not None:
            assert old == new


INFERRED = {
    "Real": [NUMBERS, WHOLE, NUMBERS.astype("float32")],
    "Positive": [abs(NUMBERS) + 0.5, np.array([0.25, 7.0])],
    "Count": [abs(WHOLE), np.arange(13) % 13 * 2, np.array([0, 1, 2, 100])],
    "Ordinal": [GRADES, np.array([3, 5, 9]), np.arange(40) % 12],
    "Boolean": [TRUTHS, np.array([0, 1, 1]), np.array([0.0, 1.0])],
    "Category": [np.array(TEXTS), np.array(["1", "2", "1"])],
    "Date": [DAYS, TIMES],
    "Constant": [np.ones(5), np.array(["a"] * 3), DAYS[:1], np.full(4, np.nan)],
    "Ignored": [np.arange(20), np.array([f"p{i}" for i in range(20)]), 2**62 + np.arange(3)],
}


@pytest.mark.parametrize(
    ("kind", "values"), [(kind, values) for kind, own in INFERRED.items() for values in own]
)
def test_the_kind_of_a_column_is_inferred(kind, values):
    frame = pd.DataFrame({"a": values})
    frame["b"] = np.arange(len(frame)) + 0.5 if len(frame) > 1 else 0.5
    if len(frame) == 1:
        frame = pd.concat([frame, frame.assign(b=1.5)])
    assert type(Table.infer(frame)["a"]).__name__ == kind


REFUSED = {
    "infinity": ([1.0, np.inf], "Column 'a' must hold finite numbers"),
    "decimals": ([decimal.Decimal("1.5")] * 2, "values of type Decimal"),
    "dates as objects": ([datetime.date(2020, 1, 1)] * 2, "values of type date"),
    "lists": ([[1], [2]], "values of type list"),
    "durations": (pd.to_timedelta([1, 2], "h"), "type Duration"),
    "periods": (pd.period_range("2020", periods=2, freq="M"), "values of type Period"),
    "intervals": (pd.cut([1.0, 2.0], 2), "values of type Interval"),
    "complex numbers": ([1j, 2j], "values of type complex"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_columns_that_no_table_can_hold_are_refused_by_name(name):
    values, sentence = REFUSED[name]
    frame = pd.DataFrame({"a": pd.Series(values), "b": [0.5, 1.5]})
    with pytest.raises(ValueError, match=rf"(?s)Column 'a' must .*Received: |{sentence}") as error:
        Table.infer(frame)
    assert sentence in str(error.value)


FRAMES = {
    "no rows": (lambda: pd.DataFrame({"a": []}), "have rows"),
    "no columns": (lambda: pd.DataFrame(index=range(3)), "at least one column that varies"),
    "one row": (lambda: pd.DataFrame({"a": [1.0]}), "at least one column that varies"),
    "repeated names": (
        lambda: pd.DataFrame(np.ones((2, 2)), columns=["a", "a"]),
        r"repeated columns \['a'\]",
    ),
    "names that are dates": (
        lambda: pd.DataFrame({pd.Timestamp("2020"): [0.5, 1.5]}),
        "names are texts or numbers",
    ),
    "a lazy frame": (lambda: pl.LazyFrame({"a": [1]}), r"`collect\(\)`"),
    "a series": (lambda: pd.Series([1.0, 2.0]), "pandas.*Series"),
    "an array": (lambda: np.ones((2, 2)), "numpy.ndarray"),
    "None": (lambda: None, "NoneType"),
}


@pytest.mark.parametrize("name", FRAMES)
def test_what_is_no_table_is_refused(name):
    make, sentence = FRAMES[name]
    with pytest.raises(ValueError, match=rf"(?s)`frame` must .*{sentence}"):
        Table.infer(make())


BAD_KINDS = {
    "classes that do not cover the data": (lambda: tables.Category(["u", "v"]), TEXTS),
    "three classes": (tables.Boolean, TEXTS),
    "no number": (tables.Real, TEXTS),
    "no date": (tables.Date, NUMBERS),
    "broken counts": (tables.Count, abs(NUMBERS)),
    "negative numbers": (tables.Positive, WHOLE),
    "several values": (tables.Constant, TEXTS),
    "one class": (tables.Ordinal, ["u"] * N),
    "no value": (tables.Real, [np.nan] * N),
}


@pytest.mark.parametrize("name", BAD_KINDS)
def test_a_kind_that_does_not_fit_its_column_is_refused_by_name(name):
    make, values = BAD_KINDS[name]
    table = Table.infer(pd.DataFrame({"a": values, "b": NUMBERS}))
    before = table["a"]
    with pytest.raises(ValueError, match=r"(?s)^Column 'a'.* must .*Received: "):
        table["a"] = make()
    assert table["a"] is before


def test_a_complete_column_of_whole_floats_takes_fractions_in_later_rows():
    first = pd.DataFrame({"a": np.arange(30.0) * 2, "b": NUMBERS[:30]})
    table = Table.infer(first)
    assert isinstance(table["a"], tables.Count)
    for same in (table, Table.from_config(table.get_config())):
        found = same.to_arrays(pd.DataFrame({"a": [77.5], "b": [0.0]}))["x"]
        expected = (77.5 - first["a"].mean()) / first["a"].std(ddof=0)
        assert found[0, same.names.index("a")] == pytest.approx(expected, rel=1e-5)


def test_a_zero_that_rounding_made_negative_is_taken():
    table = Table.infer(pd.DataFrame({"a": abs(NUMBERS[:30]), "b": NUMBERS[:30]}))
    found = table.to_arrays(pd.DataFrame({"a": [-1e-8, 0.0], "b": [0.0, 0.0]}))["x"]
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


@pytest.mark.parametrize(("kind", "bad"), [(tables.Count, 77.5), (tables.Positive, -0.5)])
def test_kinds_that_the_user_states_are_checked_in_later_rows(kind, bad):
    table = Table.infer(pd.DataFrame({"a": np.arange(30) * 2, "b": NUMBERS[:30]}))
    table["a"] = kind()
    with pytest.raises(ValueError, match=rf"Column 'a' must hold .* make it .*Received: {bad}"):
        table.to_arrays(pd.DataFrame({"a": [bad], "b": [0.0]}))


@pytest.mark.parametrize(
    "make",
    [
        lambda: tables.Real(density="gaussian"),
        lambda: tables.Real(decimals=0.5),
        lambda: tables.Real(decimals=400),
        lambda: tables.Category("abc"),
        lambda: tables.Category(["a"]),
        lambda: tables.Category(["a", "a"]),
        lambda: tables.Category([1, 1.0]),
        lambda: tables.Category([None, "a"]),
        lambda: tables.Boolean(["a", "b", "c"]),
        lambda: tables.Ordinal([]),
    ],
)
def test_bad_arguments_of_kinds_are_refused(make):
    with pytest.raises(ValueError, match=r"must .*Received: "):
        make()


@pytest.mark.parametrize("kind", [tables.Real, kinds.Kind(), "Real", None])
def test_only_kinds_describe_columns(kind):
    table = Table.infer(pd.DataFrame({"a": NUMBERS}))
    with pytest.raises(ValueError, match=r"`table\['a'\]` must be a kind .*Received: "):
        table["a"] = kind


def test_unknown_columns_of_a_table_are_refused():
    table = Table.infer(pd.DataFrame({"a": NUMBERS}))
    for ask in (lambda: table["b"], lambda: table.__setitem__("b", tables.Real())):
        with pytest.raises(ValueError, match=r"must have the column .*\['a'\].*Received: 'b'"):
            ask()


def people():
    frame = pd.DataFrame({"real": NUMBERS, "price": abs(NUMBERS), "text": TEXTS, "day": DAYS})
    return frame.assign(country="NL", name=[f"p{i}" for i in range(N)])


LATER = {
    "another class": (lambda f: f.assign(text="x"), "Column 'text' must hold values that the"),
    "a text for a number": (lambda f: f.assign(real="1.5"), "Column 'real' must hold numbers"),
    "a number for a date": (lambda f: f.assign(day=1.5), "Column 'day' must hold dates"),
    "a date for a number": (lambda f: f.assign(real=f["day"]), "Column 'real' must hold no dates"),
    "a negative price": (lambda f: f.assign(price=-1.0), "Column 'price' must .* at least 0"),
    "infinity": (lambda f: f.assign(real=-np.inf), "Column 'real' must hold finite"),
    "a huge number": (lambda f: f.assign(real=1e300), "Column 'real' must hold numbers of the si"),
    "no text": (lambda f: f.drop(columns="text"), r"without \['text'\]"),
    "a new column": (lambda f: f.assign(new=1), r"unknown columns \['new'\]"),
}


@pytest.mark.parametrize("name", LATER)
def test_frames_that_do_not_fit_the_table_are_refused_by_column(name):
    change, sentence = LATER[name]
    with pytest.raises(ValueError, match=rf"(?s){sentence}.*Received: |{sentence}"):
        Table.infer(people()).to_arrays(change(people()))


def test_columns_that_the_model_does_not_see_may_be_absent_or_differ():
    table, frame = Table.infer(people()), people()
    expected = table.to_arrays(frame)["x"]
    less = frame.drop(columns=["name", "country"])[["day", "text", "price", "real"]]
    np.testing.assert_array_equal(table.to_arrays(less)["x"], expected)
    other = frame.assign(name=None)
    assert table.fill(other, expected)["name"].isna().all()


def test_a_constant_that_changes_causes_a_warning():
    with pytest.warns(UserWarning, match=r"\['country'\] held one value"):
        Table.infer(people()).to_arrays(people().assign(country="DE"))


@pytest.mark.parametrize("text", [[None] * N, [np.nan] * N, pd.Categorical([None] * N)])
def test_a_column_without_any_value_is_filled_whatever_its_type(text):
    table, frame = Table.infer(people()), people().assign(text=text, day=None, price=np.nan)
    arrays = table.to_arrays(frame)
    assert arrays["mask"].sum(0).tolist() == [N, 0, 0, 0]  # real, price, day, text
    filled = table.fill(frame, np.zeros((N, 4)))
    assert set(filled["text"]) == {"u"}
    assert filled["price"].notna().all()
    assert filled["day"].dtype.kind == "M"


@pytest.mark.parametrize("names", [[0, 1], [("a", 1), ("a", 2)], ["", " "], [0.5, "0.5"]])
def test_names_need_not_be_texts(names):
    frame = pd.DataFrame({0: NUMBERS, 1: TEXTS})
    frame.columns = pd.Index(names, tupleize_cols=True)
    table = reloaded(Table.infer(frame))
    assert list(table) == names
    arrays = table.to_arrays(frame)
    made = table.to_frame(arrays["x"])
    assert list(made.columns) == names
    assert list(table.fill(frame, arrays["x"]).columns) == names
    assert list(table.scores(frame, arrays["x"]).columns) == names
    assert str(names[0]) in str(table)


@pytest.mark.parametrize(
    "values",
    [[1e300, -1e300, 2.0], [1e-300, 3e-300], [1e9, 1e9 + 1e-6], [0.0, 5e-324], [1e-9, 1e9]],
)
def test_numbers_of_any_size_are_standardised(values):
    frame = pd.DataFrame({"a": values * 5})
    table = Table.infer(frame)
    x = table.to_arrays(frame)["x"]
    assert np.all(np.isfinite(x))
    assert abs(x).max() < 10
    assert math.isfinite(table["a"].log_scale())
    table.likelihood()


@pytest.mark.parametrize("draw", ["standard_cauchy", "standard_normal", "standard_exponential"])
def test_a_histogram_can_be_made_of_any_distribution(draw):
    values = getattr(np.random.default_rng(1), draw)(6000)
    frame = pd.DataFrame({"a": values, "cubed": values**3, "round": values.round(1)})
    table = Table.infer(frame)
    likelihood = table.likelihood().likelihood.likelihoods[0]
    assert [sum(own) for own in likelihood.frequencies] == [6000.0] * 3


def test_times_of_day_keep_their_seconds():
    times = np.datetime64("2020-01-01T00:00:00.25") + RNG.integers(0, 99, N).astype("m8[ms]")
    table = Table.infer(pd.DataFrame({"a": times}))
    assert table["a"].decimals == 3


@pytest.mark.parametrize(
    ("values", "decimals"),
    [
        ([1.0, 2.0], 0),
        ([0.5, 1.25], 2),
        ([0.1 + 0.2, 1.1], 1),
        ([1e9 + 0.5, 1e9], 1),
        ([1e17, 3.0], 0),
        ([math.pi], None),
        ([1e-7], None),
    ],
)
def test_the_number_of_decimals_is_found(values, decimals):
    assert bins.decimals_of(np.array(values)) == decimals


def test_float32_columns_have_the_decimals_that_they_show():
    frame = pd.DataFrame({"a": NUMBERS.astype("float32")})
    assert Table.infer(frame)["a"].decimals == 2


def test_a_frequent_value_has_a_bin_of_its_own():
    values = np.r_[np.zeros(500), RNG.normal(5, 1, 500).round(2)]
    edges, counts = bins.histogram(values, 2)
    assert counts.sum() == 1000
    own = np.searchsorted(edges, 0.0, "right") - 1
    assert counts[own] == 500
    assert edges[own + 1] - edges[own] == pytest.approx(0.01)


def test_one_value_of_a_date_with_a_zone_is_its_time_in_utc():
    zone = datetime.timezone(datetime.timedelta(hours=2))
    when = datetime.datetime(1970, 1, 1, 2, 0, 1, tzinfo=zone)
    assert frames.one_value(when)[0][0] == 1.0
    assert frames.one_value(datetime.date(1970, 1, 2))[0][0] == 86400.0


@pytest.mark.parametrize("kind", [tables.Real(), tables.Category(["b", "a"]), tables.Ignored()])
def test_a_kind_that_is_set_is_kept_in_the_config(kind):
    table = Table.infer(
        pd.DataFrame(
            {"a": [1, 2] if kind.__class__ is tables.Real else ["a", "b"]} | {"b": [0.5, 1.5]}
        )
    )
    table["a"] = kind
    again = reloaded(table)
    assert again.get_config() == table.get_config()
    assert again["a"] == kind
    with pytest.raises(ValueError, match="must be set before the model is made"):
        again["a"] = tables.Ignored()


def test_a_kind_of_ones_own_must_be_registered():
    with pytest.raises(ValueError, match=r"`kind` must .*register_keras.*Received: kind='Money'"):
        kinds.from_config({"kind": "Money"})


def test_a_table_without_a_column_to_model_has_no_likelihood():
    table = Table.infer(pd.DataFrame({"a": NUMBERS}))
    table["a"] = tables.Ignored()
    with pytest.raises(ValueError, match="at least one column that varies"):
        table.likelihood()


def test_frames_of_the_other_library_fit_too():
    table = Table.infer(people())
    frame = people()
    other = pl.DataFrame({name: pl.Series(frame[name].tolist()) for name in frame})
    np.testing.assert_array_equal(table.to_arrays(other)["x"], table.to_arrays(frame)["x"])


def test_new_rows_are_made_in_the_library_that_is_installed(monkeypatch):
    table, frame = Table.infer(people()), people()
    monkeypatch.setattr(columns, "_is_installed", lambda library: library == "polars")
    made = table.to_frame(table.to_arrays(frame)["x"])
    assert isinstance(made, pl.DataFrame)
    assert made["text"].to_list() == TEXTS


VALUES = {
    "float64": st.floats(-1e6, 1e6).map(lambda v: round(v, 3)),
    "Int32": st.integers(-(2**20), 2**20),
    "boolean": st.booleans(),
    "object": st.text(max_size=3),
}


@st.composite
def random_frames(draw):
    rows = draw(st.integers(2, 12))
    made = {}
    for index in range(draw(st.integers(1, 4))):
        dtype = draw(st.sampled_from(sorted(VALUES)))
        values = st.lists(st.none() | VALUES[dtype], min_size=rows, max_size=rows)
        made[index] = pd.Series(draw(values), dtype=dtype)
    return pd.DataFrame(made | {"b": np.arange(rows) + 0.5})


@settings(max_examples=25, deadline=None, derandomize=True)
@given(random_frames())
def test_random_frames_come_back_as_they_went_in(frame):
    table = reloaded(Table.infer(frame))
    arrays = table.to_arrays(frame)
    made, filled = table.to_frame(arrays["x"]), table.fill(frame, arrays["x"])
    for name in frame:
        old = plain(frame[name])
        for new in (made[name], filled[name]):
            assert new.dtype == frame[name].dtype
            for before, after in zip(old, plain(new), strict=True):
                near = isinstance(before, float) and abs(before - after) <= 1e-6 * 2e6
                assert before is None or before == after or near
