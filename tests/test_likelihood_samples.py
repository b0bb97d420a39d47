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


EXP = np.exp([-1.0, 3.0])
PAIRS = [(-1.0, -2.0), (3.0, 0.5)]  # locations and log-scales that a decoder emits
CONTINUOUS = [
    (likelihoods.Normal(0.5), [-1.0, 3.0], [stats.norm(m, 0.5).cdf for m in (-1, 3)]),
    (likelihoods.Laplace(0.5), [-1.0, 3.0], [stats.laplace(m, 0.5).cdf for m in (-1, 3)]),
    (likelihoods.StudentT(0.5, 3.0), [-1.0, 3.0], [stats.t(3, m, 0.5).cdf for m in (-1, 3)]),
    (likelihoods.StudentT(2.0), [-1.0, 3.0], [stats.t(10, m, 2).cdf for m in (-1, 3)]),
    (likelihoods.LogNormal(0.5), [-1.0, 3.0], [stats.lognorm(0.5, scale=s).cdf for s in EXP]),
    *[
        (kind("decoder"), [-1.0, 3.0, -2.0, 0.5], [truth(m, np.exp(s)).cdf for m, s in PAIRS])
        for kind, truth in ((likelihoods.Normal, stats.norm), (likelihoods.Laplace, stats.laplace))
    ],
    (
        likelihoods.StudentT("decoder"),
        [-1.0, 3.0, -2.0, 0.5],
        [stats.t(10, m, np.exp(s)).cdf for m, s in PAIRS],
    ),
    (
        likelihoods.LogNormal("decoder"),
        [-1.0, 3.0, -2.0, 0.5],
        [stats.lognorm(np.exp(s), scale=np.exp(m)).cdf for m, s in PAIRS],
    ),
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


def histogram_cdf(edges, shares, logits, rare=1e-5):
    """Of a histogram with exponential tails, a tenth of its width long at both ends."""
    p = special.softmax(np.r_[np.log(shares), np.log([rare, rare])] + logits)
    total, size = np.r_[0, np.cumsum(p[:-2])] + p[-2], 0.1 * (edges[-1] - edges[0])
    below = lambda x: p[-2] * np.exp((np.minimum(x, edges[0]) - edges[0]) / size)  # noqa: E731
    above = lambda x: p[-1] * -np.expm1((edges[-1] - np.maximum(x, edges[-1])) / size)  # noqa: E731
    return lambda x: below(x) + np.interp(x, edges, total) - p[-2] + above(x)


EDGES, SHARES = [-1.0, 0.0, 0.5, 3.0], [0.2, 0.7, 0.1]
LOGITS = [0.3, -1.0, 0.5, 10.0, 9.0]  # such that the tails matter
CONTINUOUS += [
    (
        likelihoods.Histogram([EDGES, EDGES], [SHARES, SHARES]),
        [*LOGITS, 0.0, 0.0, 0.0, 0.0, 0.0],
        [histogram_cdf(EDGES, SHARES, np.array(logits)) for logits in (LOGITS, [0.0] * 5)],
    ),
    (
        likelihoods.Rescaled(likelihoods.Normal(0.5), [7.0, 0.1]),
        [-1.0, 3.0],
        [stats.norm(m, 0.5).cdf for m in (-1, 3)],
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


def inflated(distribution, logit):
    """The probabilities of the first n counts, with extra zeros."""
    extra = special.expit(logit)
    return lambda n: extra * (np.arange(n) == 0) + (1 - extra) * distribution.pmf(np.arange(n))


def ordered(params):
    """The probabilities of four ordered classes whose thresholds are at the quartiles."""
    return np.diff(np.r_[0, special.expit(special.logit([0.25, 0.5, 0.75]) - params), 1])


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
    "ZeroInflated Poisson": (
        likelihoods.ZeroInflated(likelihoods.Poisson()),
        [*LOG_MEANS, -1.0, 0.0, 1.0],
        [inflated(stats.poisson(np.exp(m)), r) for m, r in zip(LOG_MEANS, (-1, 0, 1), strict=True)],
        1,
    ),
    "ZeroInflated NegativeBinomial": (
        likelihoods.ZeroInflated(dispersed(0.5)),
        [*LOG_MEANS, -1.0, 0.0, 1.0],
        [
            inflated(negative_binomial(m, 0.5), r)
            for m, r in zip(LOG_MEANS, (-1, 0, 1), strict=True)
        ],
        1,
    ),
    "Ordinal": (
        likelihoods.Ordinal(4),
        [-1.0, 2.0],
        [lambda n: ordered(-1.0), lambda n: ordered(2.0)],
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
    if not name.startswith(("Categorical", "Discretized", "Ordinal")):
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
