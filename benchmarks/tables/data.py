"""The tables that the benchmarks in this folder share, and their masks.

The five tables and masks are those of Nazabal et al., Handling Incomplete Heterogeneous Data using
VAEs (arXiv:1807.03653). They are read from `--data`.
"""

import pathlib

import numpy as np
import pandas as pd

DATA = pathlib.Path(__file__).resolve().parents[3] / "shared" / "data"
TABLES = ("wine", "breast", "spam", "adult", "defaultcredit")
NUMBERS = ("real", "pos", "count")
MASKS = {"adult": 3, "defaultcredit": 2}  # of each rate; the other tables have five
ADULT = """age workclass fnlwgt education_num marital_status occupation relationship race sex
capital_gain capital_loss hours_per_week"""


def kinds(data, table):
    """Returns the published type of each column: {name: "real", "pos", "count", "cat", ...}."""
    types = pd.read_csv(data / "tables" / table / "data_types.csv")["type"]
    names = ADULT.split() if table == "adult" else [f"c{i}" for i in range(len(types))]
    return dict(zip(names, types, strict=True))


def class_counts(data, table):
    """Returns the published number of classes of each column, NaN for numbers."""
    types = pd.read_csv(data / "tables" / table / "data_types.csv")
    return dict(zip(kinds(data, table), types["nclass"], strict=True))


def codes(data, table):
    """Returns the whole table as numbers: categories and ordinals are integer codes."""
    file = data / "tables" / table / "data.csv"
    return pd.read_csv(file, header=None, names=list(kinds(data, table)))


def published_mask(data, table, rate, number):
    """Returns True at the entries that the mask hides, (N, D)."""
    mask = np.zeros(codes(data, table).shape, bool)
    positions = np.loadtxt(
        data / "tables" / table / f"missing_{rate}_{number}.csv", delimiter=",", dtype=int
    )
    mask[positions[:, 0] - 1, positions[:, 1] - 1] = True
    return mask


def as_frame(numbers, kinds):
    """Returns the table as pandas users hold it.

    Categories become text of the dtype `category`, ordinals text of an ordered `category`. Numbers
    stay numbers.
    """
    frame = numbers.copy()
    for name, kind in kinds.items():
        if kind in NUMBERS:
            continue
        classes = np.sort(frame[name].dropna().unique()).astype(int)
        dtype = pd.CategoricalDtype([str(value) for value in classes], ordered=kind == "ordinal")
        text = frame[name].astype("Int64").astype("string").astype("object")
        frame[name] = pd.Series(pd.Categorical(text, dtype=dtype), index=frame.index)
    return frame


def as_codes(frame):
    """Returns the frame with numbers in place of categories, the inverse of `as_frame`."""
    return frame.apply(lambda column: pd.to_numeric(column.astype("object")).astype("float64"))
