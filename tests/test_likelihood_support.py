"""`in_support` and `check_support` say the same of every likelihood."""

import numpy as np
import pytest
from keras import ops

from keras_vae import likelihoods

WILD = np.float32([-1, -1e-6, 0, 0.2, 1 / 3, 0.5, 1, 1 + 1e-6, 2, 3, 4, 7, np.nan, np.inf, -np.inf])
INSIDE = {  # of WILD
    "Bernoulli": (likelihoods.Bernoulli(), lambda x: (x >= 0) & (x <= 1)),
    "ContinuousBernoulli": (likelihoods.ContinuousBernoulli(), lambda x: (x >= 0) & (x <= 1)),
    "Normal": (likelihoods.Normal(), np.isfinite),
    "Laplace": (likelihoods.Laplace("shared"), np.isfinite),
    "StudentT": (likelihoods.StudentT(), np.isfinite),
    "LogNormal": (likelihoods.LogNormal(), lambda x: (x > 0) & (x < np.inf)),
    "Beta": (likelihoods.Beta(), lambda x: (x > 0) & (x < 1)),
    "Categorical": (likelihoods.Categorical(4), lambda x: np.isin(x, [0, 1, 2, 3])),
    "Ordinal": (likelihoods.Ordinal(4), lambda x: np.isin(x, [0, 1, 2, 3])),
    "Poisson": (likelihoods.Poisson(), lambda x: np.isin(x, [0, 1, 2, 3, 4, 7])),
    "NegativeBinomial": (likelihoods.NegativeBinomial(), lambda x: np.isin(x, [0, 1, 2, 3, 4, 7])),
    "ZeroInflated": (
        likelihoods.ZeroInflated(likelihoods.Poisson()),
        lambda x: np.isin(x, [0, 1, 2, 3, 4, 7]),
    ),
    "DiscretizedLogistic": (
        likelihoods.DiscretizedLogistic(4),
        lambda x: np.isin(x, np.float32([0, 1 / 3, 1])),
    ),
    "DiscretizedLogisticMixture": (
        likelihoods.DiscretizedLogisticMixture(2, levels=3),
        lambda x: np.isin(x, [0, 0.5, 1]),
    ),
    "Histogram": (likelihoods.Histogram([[0.0, 1.0, 2.0]]), np.isfinite),
    "Rescaled": (likelihoods.Rescaled(likelihoods.Normal(), [2.0]), np.isfinite),
    "AutoregressiveSequence": (
        likelihoods.AutoregressiveSequence(likelihoods.Categorical(3), (5, 1)),
        lambda x: np.isin(x, [0, 1, 2]),
    ),
}


def accepted(likelihood, x):
    try:
        likelihood.check_support(x, "y")
    except ValueError as error:
        if "`y" in str(error) and "Received: y" in str(error):
            return False
        raise
    return True


@pytest.mark.parametrize("name", INSIDE)
def test_the_support_is_what_it_should_be(name):
    likelihood, truth = INSIDE[name]
    found = ops.convert_to_numpy(likelihood.in_support(WILD))
    assert found.dtype == bool
    np.testing.assert_array_equal(found, truth(WILD))
    for dtype in ("float32", "float64"):
        checked = [accepted(likelihood, WILD[i : i + 1].astype(dtype)) for i in range(len(WILD))]
        np.testing.assert_array_equal(checked, found)


@pytest.mark.parametrize("name", INSIDE)
def test_missing_values_are_filled_with_a_possible_one(name):
    likelihood = INSIDE[name][0]
    assert bool(likelihood.in_support(np.float32([likelihood.fill]))[0])


def test_a_value_that_processors_round_to_0_is_outside_of_an_open_support():
    x = np.float32([1e-40])
    assert not accepted(likelihoods.Beta(), x)
    assert not bool(likelihoods.Beta().in_support(x)[0])


def test_only_values_of_0_to_1_are_advised_to_be_divided_by_255():
    with pytest.raises(ValueError, match="x / 255"):
        likelihoods.Bernoulli().check_support(np.float32([7.0]))
    with pytest.raises(ValueError, match=r"\[0.0, inf\].*; correct it or") as error:
        likelihoods.Poisson().check_support(np.float32([-7.0]))
    assert "255" not in str(error.value)


@pytest.mark.parametrize("name", INSIDE)
def test_an_array_is_checked_in_pieces_as_it_is_whole(name):
    likelihood, rng = INSIDE[name][0], np.random.default_rng(0)
    for _ in range(50):
        x = rng.choice(WILD[: rng.integers(3, len(WILD))], (6, 3, 1))
        inside = ops.convert_to_numpy(likelihood.in_support(x))
        pieces = [accepted(likelihood, x[i : i + 2]) for i in (0, 2, 4)]
        assert accepted(likelihood, x) == all(pieces) == inside.all()


def test_a_table_is_checked_by_columns():
    parts = [likelihoods.Beta(), likelihoods.Categorical(3), likelihoods.Normal()]
    likelihood, rng = likelihoods.Mixed(parts, [1, 2, 1]), np.random.default_rng(0)
    x = rng.choice(WILD, (200, 4))
    inside = ops.convert_to_numpy(likelihood.in_support(x))
    np.testing.assert_array_equal(inside[:, 0], (x[:, 0] > 0) & (x[:, 0] < 1))
    np.testing.assert_array_equal(inside[:, 1:3], np.isin(x[:, 1:3], [0, 1, 2]))
    np.testing.assert_array_equal(inside[:, 3], np.isfinite(x[:, 3]))
    checked = [accepted(likelihood, x[i : i + 1]) for i in range(len(x))]
    np.testing.assert_array_equal(checked, inside.all(1))


def test_every_likelihood_is_here():
    names = {type(likelihood).__name__ for likelihood, _ in INSIDE.values()} | {"Mixed"}
    assert names == set(likelihoods.__all__) - {"Likelihood"}


@pytest.mark.parametrize("levels", [2, 256, 1024, 65536])
def test_every_level_of_float32_is_accepted(levels):
    x = (np.arange(levels) / (levels - 1)).astype("float32")
    likelihoods.DiscretizedLogistic(levels).check_support(x)
    between = ((np.arange(levels - 1) + 0.5) / (levels - 1)).astype("float32")
    found = ops.convert_to_numpy(likelihoods.DiscretizedLogistic(levels).in_support(between))
    assert not found.any()


def test_a_value_between_levels_is_refused_with_what_to_do():
    with pytest.raises(ValueError, match=r"`x` must hold 256 grey levels.*round it.*Received: x"):
        likelihoods.DiscretizedLogistic().check_support(np.array([0.0, 0.3]))


def test_half_precision_data_may_have_any_range():
    x = np.array([-60_000, 60_000, 65_504], "float16")
    likelihoods.Normal().check_support(x)
    with pytest.raises(ValueError, match=r"`x` must be finite"):
        likelihoods.Normal().check_support(np.array([0, np.inf], "float16"))


def test_a_memory_mapped_array_is_checked_in_pieces(tmp_path):
    np.save(tmp_path / "x.npy", np.full((100, 4), 255, "uint8"))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    for i in range(0, 100, 30):
        likelihoods.Poisson().check_support(x[i : i + 30])
    with pytest.raises(ValueError, match=r"`x` must lie in.*\[255.0, 255.0\]"):
        likelihoods.Bernoulli().check_support(x[:30])


@pytest.mark.parametrize(
    ("likelihood", "x"),
    [
        (likelihoods.Poisson(), [0.5]),
        (likelihoods.Poisson(), [-1.0]),
        (likelihoods.Categorical(3), [3]),
        (likelihoods.ContinuousBernoulli(), [1.5]),
    ],
)
def test_values_outside_the_support_are_refused(likelihood, x):
    with pytest.raises(ValueError, match=r"`x` must .*Received: x"):
        likelihood.check_support(np.array(x))


@pytest.mark.parametrize("bad", [0.0, 1.0, -0.1])
def test_beta_refuses_the_ends(bad):
    with pytest.raises(ValueError, match=r"`x` must lie in \(0.0, 1.0\).*Received: x"):
        likelihoods.Beta().check_support(np.array([0.5, bad]))
