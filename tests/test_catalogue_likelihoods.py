"""Beta, mixtures, scales by feature, tables, and missing values in each."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, special, stats

from keras_vae import likelihoods

RNG = np.random.default_rng(0)


def built(likelihood, params_shape):
    likelihood.build(params_shape)
    return likelihood


def test_beta_is_that_of_scipy():
    x, params = RNG.uniform(0.01, 0.99, (3, 4)), RNG.normal(size=(2, 3, 8)).astype("float32")
    mean, concentration = special.expit(params[..., :4]), np.exp(params[..., 4:])
    expected = stats.beta.logpdf(x, mean * concentration, (1 - mean) * concentration)
    actual = likelihoods.Beta().feature_log_prob(x.astype("float32"), params)
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(likelihoods.Beta().mean(params), mean, rtol=1e-5)


@pytest.mark.parametrize("params", [[0.0, 2.0], [1.0, 3.0], [-0.5, 4.5]])
def test_beta_integrates_to_one(params):
    params = np.float32(params).reshape(1, 1, 2)
    x = np.linspace(0.00005, 0.99995, 10_000, dtype="float32")[:, None]
    density = np.exp(likelihoods.Beta().log_prob(x, np.repeat(params, 10_000, 1)))[0]
    assert integrate.trapezoid(density, x[:, 0]) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("bad", [0.0, 1.0, -0.1])
def test_beta_refuses_the_ends(bad):
    with pytest.raises(ValueError, match=r"`x` must lie in \(0.0, 1.0\).*Received: x"):
        likelihoods.Beta().check_support(np.array([0.5, bad]))


def test_a_mixture_of_logistics_is_that_of_scipy():
    x = RNG.integers(0, 256, (3, 4)) / 255
    params = RNG.normal(scale=0.5, size=(2, 3, 3, 4, 2)).astype("float32")  # 4 features, 2 parts
    logits, location, log_scale = params[:, :, 0], 0.5 + params[:, :, 1], params[:, :, 2] - 3.0
    logistic = stats.logistic(location, np.exp(log_scale))
    upper = np.where(x[..., None] == 1, 1.0, logistic.cdf(x[..., None] + 0.5 / 255))
    lower = np.where(x[..., None] == 0, 0.0, logistic.cdf(x[..., None] - 0.5 / 255))
    expected = np.log((special.softmax(logits, -1) * (upper - lower)).sum(-1)).sum(-1)
    likelihood = likelihoods.DiscretizedLogisticMixture(2)
    actual = likelihood.log_prob(x.astype("float32"), params.reshape(2, 3, 24))
    np.testing.assert_allclose(actual, expected, rtol=1e-3)
    assert likelihood.example_shape((24,)) == (4,)
    mean = likelihood.mean(params.reshape(2, 3, 24))
    assert mean.shape == (2, 3, 4)
    assert np.min(mean) >= 0
    assert np.max(mean) <= 1


@pytest.mark.parametrize("levels", [4, 256])
def test_the_levels_of_a_mixture_sum_to_one(levels):
    likelihood = likelihoods.DiscretizedLogisticMixture(3, levels)
    params = np.repeat(RNG.normal(size=(1, 1, 9)), levels, axis=1).astype("float32")
    x = (np.arange(levels) / (levels - 1)).astype("float32")[:, None]
    assert np.exp(likelihood.log_prob(x, params)).sum() == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    ("cls", "truth"), [(likelihoods.Normal, stats.norm), (likelihoods.Laplace, stats.laplace)]
)
def test_a_scale_for_each_feature_is_that_of_scipy(cls, truth):
    likelihood, scale = built(cls("per_feature"), (None, 4)), np.array([0.1, 1.0, 2.0, 5.0])
    likelihood.log_scale.assign(np.log(scale))
    x, params = RNG.normal(size=(3, 4)), RNG.normal(size=(2, 3, 4)).astype("float32")
    expected = truth.logpdf(x, params, scale).sum(-1)
    np.testing.assert_allclose(likelihood.log_prob(x, params), expected, rtol=1e-4)
    draws = likelihood.sample(np.zeros((40_000, 4), "float32"), seed=0)
    np.testing.assert_allclose(np.std(draws, 0), truth(scale=scale).std(), rtol=0.05)


def table():
    parts = [likelihoods.Normal("per_feature"), likelihoods.Categorical(3), likelihoods.Poisson()]
    return built(likelihoods.Mixed(parts, [2, 1, 2]), (None, 7))


TABLE = np.float32([[0.3, -1.0, 2, 0, 5], [1.5, 0.2, 0, 3, 1]])


def test_a_table_is_the_sum_of_its_groups():
    likelihood, params = table(), RNG.normal(size=(3, 2, 7)).astype("float32")
    normal, classes, counts = likelihood.likelihoods
    expected = normal.log_prob(TABLE[:, :2], params[..., :2])
    expected += classes.log_prob(TABLE[:, 2:3], params[..., 2:5])
    expected += counts.log_prob(TABLE[:, 3:], params[..., 5:])
    np.testing.assert_allclose(likelihood.log_prob(TABLE, params), expected, rtol=1e-5)
    features = likelihood.feature_log_prob(TABLE, params)
    np.testing.assert_allclose(np.sum(features, -1), expected, rtol=1e-5)
    mean = np.asarray(likelihood.mean(params))
    np.testing.assert_array_equal(mean[..., :2], params[..., :2])
    np.testing.assert_array_equal(mean[..., 2], params[..., 2:5].argmax(-1))
    np.testing.assert_allclose(mean[..., 3:], np.exp(params[..., 5:]), rtol=1e-5)
    assert likelihood.example_shape(likelihood.params_shape((5,))) == (5,)


def test_a_table_names_the_columns_that_are_wrong():
    wrong = TABLE.copy()
    wrong[0, 3] = -1
    with pytest.raises(ValueError, match=r"`x\[..., 3:5\]` must lie in.*Received: "):
        table().check_support(wrong)
    with pytest.raises(ValueError, match=r"must be 7.*Received: "):
        table().example_shape((8,))
    with pytest.raises(ValueError, match=r"`columns` must .*Received: "):
        likelihoods.Mixed([likelihoods.Normal()], [1, 2])
    sequence = likelihoods.AutoregressiveSequence(likelihoods.Normal(), (3, 1))
    with pytest.raises(ValueError, match=r"`likelihoods` must .*Received: .*Autoregressive"):
        likelihoods.Mixed([likelihoods.Normal(), sequence], [1, 3])


MASKED = {
    "Bernoulli": likelihoods.Bernoulli(),
    "ContinuousBernoulli": likelihoods.ContinuousBernoulli(),
    "Normal": likelihoods.Normal(0.5),
    "Normal shared": likelihoods.Normal("shared"),
    "Normal per feature": likelihoods.Normal("per_feature"),
    "Normal optimal": likelihoods.Normal("optimal"),
    "Laplace": likelihoods.Laplace("shared"),
    "Beta": likelihoods.Beta(),
    "DiscretizedLogistic": likelihoods.DiscretizedLogistic(),
    "DiscretizedLogisticMixture": likelihoods.DiscretizedLogisticMixture(2),
    "Categorical": likelihoods.Categorical(3),
    "Poisson": likelihoods.Poisson(),
    "NegativeBinomial": likelihoods.NegativeBinomial(),
    "Mixed": likelihoods.Mixed([likelihoods.Beta(), likelihoods.Poisson()], [2, 3]),
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", MASKED)
def test_a_missing_value_counts_for_nothing_and_has_no_gradient(name, training):
    likelihood = MASKED[name]
    if not likelihood.built:
        built(likelihood, (None, *likelihood.params_shape((5,))))
    whole = RNG.integers(0, 2, (4, 5)).astype("float32")
    whole = 0.25 + 0.5 * whole if name == "Beta" else whole
    whole[:, :2] = 0.25 if name == "Mixed" else whole[:, :2]
    mask = RNG.random((4, 5)) > 0.4
    x = np.where(mask, whole, np.nan).astype("float32")
    params = tf.constant(RNG.normal(size=(2, 4, *likelihood.params_shape((5,)))), "float32")
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(params)
        if training:
            values = likelihood.training_log_prob(x, params, np.ones(4, "float32"), mask)
        else:
            values = likelihood.log_prob(x, params, mask)
        features = likelihood.feature_log_prob(whole, params)
        single = [features[..., i] for i in range(5)]
    if not (training and name == "Normal optimal"):
        np.testing.assert_allclose(values, (features * mask).numpy().sum(-1), rtol=1e-4)
    gradient = tape.gradient(values, params)
    assert np.isfinite(gradient).all()
    # what the parameters of a missing feature do to that feature alone
    reach = [np.abs(tape.gradient(single[i], params)) > 0 for i in range(5)]
    only_missing = np.zeros(gradient.shape, bool)
    for i in range(5):
        others = np.any([reach[j] for j in range(5) if j != i], axis=0)
        only_missing |= reach[i] & ~others & ~mask[None, :, i, None]
    assert only_missing.any()
    assert np.all(gradient.numpy()[only_missing] == 0)


def test_the_optimal_scale_is_that_of_what_is_observed():
    likelihood = built(likelihoods.Normal("optimal"), (None, 5))
    x, params = RNG.normal(size=(2, 4, 5)).astype("float32")
    mask, weights = RNG.random((4, 5)) > 0.4, np.float32([1, 2, 0, 1])
    likelihood.training_log_prob(np.where(mask, x, np.nan), params[None], weights, mask)
    expected = np.average((x - params) ** 2, weights=mask * weights[:, None])
    assert float(likelihood.variance) == pytest.approx(expected, rel=1e-5)
