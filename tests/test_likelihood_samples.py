"""Draws of x from each likelihood, against SciPy's distribution and the likelihood's own mean."""

import keras
import numpy as np
import pytest
from checks import built
from keras import ops
from scipy import special, stats

from keras_vae import likelihoods

ROWS = 20_000


def draws(likelihood, params, seed=1):
    """(ROWS, features) of one row of parameters."""
    params = np.tile(np.float32(params), (ROWS, 1))
    if not likelihood.built:
        likelihood.build(params.shape)
    x = ops.convert_to_numpy(likelihood.sample(ops.convert_to_tensor(params), seed))
    assert x.dtype == "float32"
    assert ops.convert_to_numpy(ops.all(likelihood.in_support(x)))
    likelihood.check_support(x)
    return x


def has_its_mean(likelihood, params, x):
    mean = ops.convert_to_numpy(likelihood.mean(ops.convert_to_tensor(np.float32(params)[None])))[0]
    error = 5 * x.std(0) / np.sqrt(len(x)) + 1e-4
    return np.all(np.abs(x.mean(0, dtype="float64") - mean) < error)


def dispersed(log_dispersion):
    likelihood = likelihoods.NegativeBinomial()
    likelihood.build((None, 3))
    likelihood.log_dispersion.assign([log_dispersion] * 3)
    return likelihood


def continuous_bernoulli_cdf(params):
    return lambda x: np.expm1(params * x) / np.expm1(params)


CONTINUOUS = [
    (likelihoods.Normal(0.5), [-1.0, 3.0], [stats.norm(m, 0.5).cdf for m in (-1, 3)]),
    (likelihoods.Laplace(0.5), [-1.0, 3.0], [stats.laplace(m, 0.5).cdf for m in (-1, 3)]),
    (
        likelihoods.ContinuousBernoulli(),
        [-9.0, -0.04, 0.3, 4.0],
        [continuous_bernoulli_cdf(r) for r in (-9.0, -0.04, 0.3, 4.0)],
    ),
    (
        likelihoods.Beta(),
        [-1.0, 0.0, 1.0, 0.0, 1.0, 4.0],
        [
            stats.beta(*(np.exp(c) * special.expit([m, -m]))).cdf
            for m, c in ((-1, 0), (0, 1), (1, 4))
        ],
    ),
]


@pytest.mark.parametrize(
    ("likelihood", "params", "cdfs"), CONTINUOUS, ids=lambda v: type(v).__name__
)
def test_draws_of_densities_follow_scipy(likelihood, params, cdfs):
    x = draws(likelihood, params)
    for column, cdf in zip(x.T.astype("float64"), cdfs, strict=True):
        assert stats.kstest(column, cdf).pvalue > 1e-3
    assert has_its_mean(likelihood, params, x)


def logistic_levels(location, log_scale, levels):
    """Probabilities of the levels of a logistic variable."""
    edges = (np.arange(levels - 1) + 0.5) / (levels - 1)
    cdf = stats.logistic(location, np.exp(log_scale)).cdf(edges)
    return np.diff(np.r_[0, cdf, 1])


def by_count(distribution):
    return lambda n: distribution.pmf(np.arange(n))


def negative_binomial(log_mean, log_dispersion):
    r = np.exp(log_dispersion)
    return stats.nbinom(r, r / (r + np.exp(log_mean)))


LOG_MEANS = (-1.0, 2.0, 4.0)
DISCRETE = {
    "Bernoulli": (likelihoods.Bernoulli(), [-2.0, 1.0], special.expit([-2.0, 1.0]), 1),
    "Bernoulli of probabilities": (likelihoods.Bernoulli(False), [0.1, 0.7], [0.1, 0.7], 1),
    "Poisson": (
        likelihoods.Poisson(),
        LOG_MEANS,
        [by_count(stats.poisson(np.exp(m))) for m in LOG_MEANS],
        1,
    ),
    "NegativeBinomial wide": (
        dispersed(-1.0),
        LOG_MEANS,
        [by_count(negative_binomial(m, -1.0)) for m in LOG_MEANS],
        1,
    ),
    "NegativeBinomial": (
        dispersed(3.0),
        LOG_MEANS,
        [by_count(negative_binomial(m, 3.0)) for m in LOG_MEANS],
        1,
    ),
    "Categorical": (
        likelihoods.Categorical(3),
        [0.3, -1.0, 2.0, 0.0, 0.0, -3.0],
        [lambda n: special.softmax([0.3, -1, 2]), lambda n: special.softmax([0, 0, -3])],
        1,
    ),
    "DiscretizedLogistic": (
        likelihoods.DiscretizedLogistic(16),
        [0.0, 0.4, 0.3, 1.5],
        [lambda n: logistic_levels(0.5, -2.7, 16), lambda n: logistic_levels(0.9, -1.5, 16)],
        15,
    ),
    "DiscretizedLogisticMixture": (
        likelihoods.DiscretizedLogisticMixture(2, 16),
        [0.0, 1.0, -0.3, 0.2, 0.0, 1.0],
        [
            lambda n: (
                special.softmax([0, 1])
                @ [logistic_levels(0.2, -3, 16), logistic_levels(0.7, -2, 16)]
            )
        ],
        15,
    ),
}


@pytest.mark.parametrize("name", DISCRETE)
def test_draws_of_probabilities_follow_scipy(name):
    likelihood, params, truths, steps = DISCRETE[name]
    x = draws(likelihood, params)
    for column, truth in zip(x.T, truths, strict=True):
        counts = np.bincount(np.round(column * steps).astype(int))
        p = truth(len(counts)) if callable(truth) else np.array([1 - truth, truth])
        p = np.pad(p, (0, max(0, len(counts) - len(p))))[: len(counts)]
        assert chi_square(counts, p) > 1e-3
    if "Categorical" not in name and "Discretized" not in name:
        assert has_its_mean(likelihood, params, x)


def chi_square(counts, p):
    """The p-value, the rare values and what is beyond them taken together."""
    often = ROWS * p > 10
    counts = np.r_[counts[often], counts[~often].sum()]
    p = np.r_[p[often], 1 - p[often].sum()]
    keep = ROWS * p > 1
    assert counts[~keep].sum() < 30
    return stats.chisquare(counts[keep], p[keep] / p[keep].sum() * counts[keep].sum()).pvalue


def test_means_of_levels_and_classes():
    x = draws(likelihoods.DiscretizedLogistic(256), [-0.2, 0.1, 0.0, -1.0])
    np.testing.assert_allclose(x.mean(0), [0.3, 0.6], atol=3e-3)
    likelihood = likelihoods.DiscretizedLogisticMixture(2, 256)
    params = [0.0, 1.0, -0.2, 0.2, 0.0, -1.0]
    assert has_its_mean(likelihood, params, draws(likelihood, params))
    x = draws(likelihoods.Categorical(3), [0.3, -1.0, 2.0])
    assert stats.mode(x[:, 0]).mode == 2


@pytest.mark.parametrize("log_mean", [7.0, 11.0])
def test_large_counts_are_drawn_too(log_mean):
    mean = np.exp(log_mean)
    x = draws(likelihoods.Poisson(), [log_mean])[:, 0].astype("float64")
    assert stats.kstest((x - mean) / np.sqrt(mean), "norm").statistic < 0.02
    x = draws(dispersed(0.5), [log_mean] * 3)[:, 0].astype("float64")
    r = np.exp(0.5)
    assert stats.kstest(x / mean, stats.gamma(r, scale=1 / r).cdf).pvalue > 1e-4


@pytest.mark.parametrize("seed", [3, "generator"])
def test_columns_of_a_table_are_drawn_independently(seed):
    seed = keras.random.SeedGenerator(0) if seed == "generator" else seed
    parts = [likelihoods.Normal(1.0), likelihoods.Normal(2.0), likelihoods.Poisson()]
    likelihood = likelihoods.Mixed([*parts, likelihoods.Categorical(2)], [1, 1, 1, 1])
    x = draws(likelihood, [0.0, 1.0, 1.0, 0.0, 0.0], seed)
    assert np.abs(np.corrcoef(x.T) - np.eye(4)).max() < 0.04
    np.testing.assert_allclose(x.mean(0), [0, 1, np.e, 0.5], atol=0.06)


@pytest.mark.parametrize("seed", [3, "generator"])
def test_steps_of_a_sequence_are_drawn_independently(seed):
    seed = keras.random.SeedGenerator(0) if seed == "generator" else seed
    part = likelihoods.Categorical(2)
    likelihood = likelihoods.AutoregressiveSequence(part, (3, 1), units=2)
    likelihood.build((None, 2))
    for weight in likelihood.weights:
        weight.assign(np.zeros(weight.shape))
    x = draws(likelihood, [0.0, 0.0], seed)[..., 0]
    assert np.abs(np.corrcoef(x.T) - np.eye(3)).max() < 0.04
    np.testing.assert_allclose(x.mean(0), 0.5, atol=0.02)


@pytest.mark.parametrize(
    ("likelihood", "mean"),
    [
        (likelihoods.ContinuousBernoulli(), None),
        (built(likelihoods.Laplace(0.5), (1, 4)), None),
        (likelihoods.Categorical(2), special.expit([2.0, -1.2])),
    ],
)
def test_samples_have_the_mean_of_the_distribution(likelihood, mean):
    params = np.tile(np.float32([-1.0, 1.0, 0.6, -0.6]), (40_000, 1))
    draws = ops.convert_to_numpy(likelihood.sample(ops.convert_to_tensor(params), seed=3))
    expected = likelihood.mean(ops.convert_to_tensor(params[0])) if mean is None else mean
    expected = ops.convert_to_numpy(expected)
    error = 5 * draws.std(0) / np.sqrt(len(draws))
    assert np.all(np.abs(draws.mean(0) - expected) < error)
