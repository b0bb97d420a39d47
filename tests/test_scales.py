import numpy as np
import pytest

from keras_vae import datasets
from keras_vae.scales import scale_warning

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=(500, 6))


def counts(genes=200):
    rates = np.exp(RNG.normal(size=(500, genes)))
    return RNG.poisson(np.exp(7.0) * rates / rates.sum(axis=1, keepdims=True))


def with_column(values):
    return np.column_stack([NORMAL, np.broadcast_to(values, 500)])


def zero_inflated(large):
    return np.where(RNG.random(500) < 0.9, 0.0, RNG.normal(size=500) * large)


FINE = {
    "standard": NORMAL,
    "float16": NORMAL.astype("float16"),
    "uniform": RNG.random((500, 6)),
    "rather different": NORMAL * np.geomspace(0.1, 90, 6),
    "shifted": NORMAL + 1e6,
    "constant": with_column(1e9),
    "nearly constant": with_column(np.eye(500)[0] * 1e-3),
    "binary": RNG.integers(0, 2, (500, 6)),
    "binary and rare": with_column(np.eye(500)[0]),
    "small and binary": np.column_stack([1e-4 * NORMAL, RNG.integers(0, 2, 500)]),
    "classes": RNG.integers(0, 20, (500, 6)),
    "small counts": RNG.poisson(3.0, (500, 6)),
    "table of kinds": np.column_stack([NORMAL, RNG.integers(0, 3, 500), RNG.poisson(20.0, 500)]),
    "waiting times": RNG.exponential([[1.0, 5.0, 20.0]], (500, 3)),
    "zeros": np.zeros((500, 6)),
    "few": NORMAL[:3] * 1e6,
    "none": NORMAL[:0],
    "no columns": NORMAL[:, :0],
    "8 bit": RNG.integers(0, 256, (500, 64)).astype("uint8"),
    "8 bit as float": np.clip(RNG.integers(-200, 300, (500, 64)), 0, 255).astype("float32"),
    "bool": NORMAL > 0,
    "vector": 1e9 * NORMAL[:, 0],
    "sequences": 1e9 * NORMAL[..., None],
    "list": (1e9 * NORMAL).tolist(),
    "strings": np.array([["a", "b"]] * 500),
    "objects": np.array([[1, "b"]] * 500, dtype=object),
    "complex": 1e9 * NORMAL.astype("complex64"),
    "nothing": None,
    "gaps": np.where(RNG.random((500, 6)) < 0.3, np.nan, NORMAL),
    "only gaps": with_column(np.nan),
    "masked": np.ma.masked_array(with_column(1e9 * NORMAL[:, 0]), [[False] * 6 + [True]] * 500),
    "infinite": with_column(np.where(np.arange(500) == 3, np.inf, 0.5)),
    "small": 1e-4 * NORMAL,
    "after the rows that are looked at": np.concatenate([np.tile(NORMAL, (20, 1)), 1e6 * NORMAL]),
}


@pytest.mark.parametrize("name", FINE)
def test_no_warning(name):
    assert scale_warning(FINE[name]) is None


SCALES = {
    "large": NORMAL * 101.0 / NORMAL.std(axis=0),
    "income": with_column(40_000 + 9_000 * NORMAL[:, 0]),
    "zero-inflated": with_column(zero_inflated(7_000.0)),
    "ratio": NORMAL * np.geomspace(1e-3, 10, 6),
    "ratio of small ones": NORMAL * np.geomspace(1e-6, 1e-2, 6),
    "within [0, 1]": RNG.random((500, 2)) * [1.0, 1e-4],
    "float32": (NORMAL * np.geomspace(1e-3, 10, 6)).astype("float32"),
    "gaps": np.where(RNG.random((500, 6)) < 0.3, np.nan, NORMAL * np.geomspace(1e-3, 10, 6)),
    "infinite": with_column(np.where(np.arange(500) == 3, np.inf, 1e4 * NORMAL[:, 0])),
    "in the last column that counts": np.column_stack([np.ones((500, 6)), 1e3 * NORMAL[:, 0]]),
}


@pytest.mark.parametrize("name", SCALES)
def test_badly_scaled_columns(name):
    warning = scale_warning(SCALES[name])
    assert "standard deviations from" in warning
    assert "x.std(axis=0)" in warning
    assert warning.count(". ") == 0
    assert warning.endswith(".")


COUNTS = {
    "a count table of depth e^7": counts(),
    "of few genes": counts(genes=20),
    "of many genes": counts(genes=1000),
    "as floats": counts().astype("float32"),
    "shallow and even": RNG.poisson(20.0, (500, 6)),
    "deep": RNG.poisson(1e5, (500, 6)),
    "with gaps": np.where(RNG.random((500, 200)) < 0.3, np.nan, counts()),
    "with a constant column": np.column_stack([counts(), np.full(500, 0.5)]),
}


@pytest.mark.parametrize("name", COUNTS)
def test_raw_counts(name):
    warning = scale_warning(COUNTS[name])
    assert "raw counts" in warning
    assert "np.log1p(x)" in warning
    assert warning.count(". ") == 0


@pytest.mark.parametrize("name", COUNTS)
def test_the_remedy_for_counts_ends_the_warning(name):
    assert scale_warning(np.log1p(COUNTS[name])) is None


@pytest.mark.parametrize("name", SCALES)
def test_the_remedy_for_scales_ends_the_warning(name):
    x = SCALES[name]
    x = np.where(np.isfinite(x), x, np.nan)
    assert scale_warning((x - np.nanmean(x, axis=0)) / (np.nanstd(x, axis=0) + 1e-8)) is None


def test_flattened_images_are_no_tables():
    for images in (datasets.shapes(300)[0], datasets.shapes(300, image_size=16)[0]):
        flat = images.reshape(len(images), -1)
        for x in (flat, flat.astype("float32"), flat.astype("float32") / 255, flat / 127.5 - 1):
            assert scale_warning(x) is None


def test_fashion_mnist_is_no_table(fashion_mnist):
    for images in fashion_mnist:
        flat = images.reshape(len(images), -1)
        assert scale_warning(flat) is None
        assert scale_warning(255 * flat) is None
        assert scale_warning(2 * flat - 1) is None
