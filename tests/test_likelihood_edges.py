"""Densities at the edges of float32, against SciPy in float64."""

import keras
import numpy as np
import pytest
from gradients import gradients
from keras import ops
from parts import of_role
from scipy import special, stats

from keras_vae import likelihoods
from keras_vae.likelihoods.stirling import log_gamma

COUNTS = np.unique(np.r_[np.arange(20), np.geomspace(20, 1e5, 40).round()]).astype("float32")
LOG_MEANS = np.float32([-8, -3, 0, 2, 5, 8, 10, 11.5, 12])


def of_counts(likelihood):
    """log p of every count for every mean, and the means: (means, counts), (means, 1)."""
    params = np.repeat(LOG_MEANS[:, None], len(COUNTS), axis=1)[..., None]
    found = ops.convert_to_numpy(likelihood.log_prob(COUNTS[:, None], params))
    return found, np.exp(LOG_MEANS.astype("float64"))[:, None]


def assert_close_in_nats(found, expected):
    tolerance = np.maximum(2e-3, 1e-6 * np.abs(expected))
    known = np.isfinite(expected)  # SciPy gives -inf below 1e-308
    assert np.all((np.abs(found - expected) <= tolerance)[known])


@pytest.mark.parametrize("log_dispersion", [-8, -3, 0, 3, 8, 12, 15, 18, 20])
def test_negative_binomial_is_that_of_scipy_for_every_dispersion(log_dispersion):
    likelihood = likelihoods.NegativeBinomial()
    likelihood.build((None, 1))
    likelihood.log_dispersion.assign([log_dispersion])
    found, mean = of_counts(likelihood)
    r = np.exp(float(log_dispersion))
    counts = COUNTS.astype("float64")  # or SciPy computes in float32
    assert_close_in_nats(found, stats.nbinom.logpmf(counts, r, r / (r + mean)))


def test_poisson_is_that_of_scipy_for_large_counts():
    found, mean = of_counts(likelihoods.Poisson())
    assert_close_in_nats(found, stats.poisson.logpmf(COUNTS.astype("float64"), mean))


def test_the_gradient_of_poisson_is_that_of_the_density_up_to_ten_times_the_count():
    x, params = np.float32([[0, 3, 0, 40]]), np.log(np.float32([[[9, 30, 1e4, 1e5]]]))
    (found,) = gradients(lambda params: ops.sum(likelihoods.Poisson().log_prob(x, params)), params)
    np.testing.assert_allclose(found[0, 0], [0 - 9, 3 - 30, -10, 40 - 410], rtol=1e-4)


BETA_X = np.float32([1e-30, 1e-20, 1e-8, 1e-7, 1e-3, 0.3, 0.5, 0.7, 0.99, 1 - 1e-6, 1 - 2**-24])


@pytest.mark.parametrize("logit", [-10.0, -5.0, 0.0, 1.0, 9.0, 10.0])
@pytest.mark.parametrize("log_concentration", [-4.0, 0.0, 4.0])
def test_beta_is_right_near_its_ends(logit, log_concentration):
    params = np.tile(np.float32([logit, log_concentration]), (1, len(BETA_X), 1))
    found = ops.convert_to_numpy(likelihoods.Beta().log_prob(BETA_X[:, None], params))[0]
    a, b = np.exp(log_concentration) * special.expit([logit, -logit])
    x = BETA_X.astype("float64")
    expected = special.xlogy(a - 1, x) + special.xlog1py(b - 1, -x) - special.betaln(a, b)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-4)


@pytest.mark.parametrize("sign", [-1, 1])
def test_beta_has_finite_gradients_at_its_ends(sign):
    params = np.tile(np.float32([sign * 1e4, -sign * 1e4]), (1, len(BETA_X), 1))
    (found,) = gradients(
        lambda params: ops.sum(likelihoods.Beta().log_prob(BETA_X[:, None], params)), params
    )
    assert np.isfinite(found).all()


def test_probabilities_give_the_density_of_their_logits():
    rng = np.random.default_rng(0)
    p = np.float32([1e-6, 1e-4, 0.1, 0.5, 0.9, 1 - 1e-4, 1 - 1e-6])
    x = np.concatenate([np.zeros((1, 7)), np.ones((1, 7)), rng.random((3, 7))]).astype("float32")
    logits = special.logit(p.astype("float64")).astype("float32")
    likelihood = likelihoods.Bernoulli(from_logits=False)
    found = likelihood.feature_log_prob(x, ops.convert_to_tensor(p))
    expected = likelihoods.Bernoulli().feature_log_prob(x, ops.convert_to_tensor(logits))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(likelihood.mean(p), p)


def test_probabilities_outside_stay_finite():
    p, likelihood = np.float32([[[-1, 0, 1e-9, 1, 2]]]), likelihoods.Bernoulli(from_logits=False)
    for x in (np.zeros((1, 5)), np.ones((1, 5))):
        assert np.isfinite(likelihood.log_prob(x, p)).all()
        (found,) = gradients(lambda params, x=x: ops.sum(likelihood.log_prob(x, params)), p)
        assert np.isfinite(found).all()
    np.testing.assert_array_equal(likelihood.mean(p[0]), np.float32([[0, 0, 1e-9, 1, 1]]))


def test_from_logits_is_saved_and_refused_if_it_is_no_boolean():
    again = likelihoods.Bernoulli.from_config(likelihoods.Bernoulli(False).get_config())
    assert again.from_logits is False
    with pytest.raises(ValueError, match=r"`from_logits` must be.*Received: from_logits='no'"):
        likelihoods.Bernoulli("no")


ANY_DTYPE = {
    name: example.make()
    for name, example in of_role("likelihood").items()
    if len(example.x_shapes[-1]) == 1 and not example.make().open_support  # x is 0 and 1, (4, 3)
} | {
    "Laplace optimal": likelihoods.Laplace("optimal"),
    "Mixed optimal": likelihoods.Mixed(
        [likelihoods.Normal("optimal"), likelihoods.Poisson()], [2, 1]
    ),
}


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool", "float16", "float64"])
@pytest.mark.parametrize("name", ANY_DTYPE)
def test_x_may_have_any_dtype(name, dtype):
    likelihood = ANY_DTYPE[name]
    params = np.random.default_rng(0).normal(size=(2, 4, *likelihood.params_shape((3,))))
    params = ops.convert_to_tensor(params, "float32")
    if not likelihood.built:
        likelihood.build(params.shape[1:])
    x = ops.convert_to_tensor(np.eye(4, 3), dtype)
    for value in (
        likelihood.training_log_prob(x, params, ops.ones(4)),
        likelihood.training_log_prob(x, params, ops.ones(4), ops.ones((4, 3), "bool")),
        likelihood.log_prob(x, params),
    ):
        assert keras.backend.standardize_dtype(value.dtype) == "float32"
        assert np.isfinite(ops.convert_to_numpy(value)).all()


@pytest.mark.parametrize("params", [-0.049, -0.02, 0.02, 0.049])
def test_the_series_of_continuous_bernoulli_are_right_to_their_last_term(params):
    """In float64, log(params / tanh(params / 2)) and 1 / (1 - exp(-params)) - 1 / params."""
    likelihood, params = likelihoods.ContinuousBernoulli(), np.float32([[[params]]])
    exact = params.astype("float64")
    constant = np.log(exact / np.tanh(exact / 2))
    found = likelihood.log_prob(np.zeros((1, 1), "float32"), params)
    np.testing.assert_allclose(found + np.logaddexp(0, exact[0]), constant[0], atol=1e-6)
    mean = 1 / -np.expm1(-exact) - 1 / exact
    np.testing.assert_allclose(likelihood.mean(ops.convert_to_tensor(params)), mean, atol=1e-6)


def test_the_class_of_a_mixture_is_the_most_probable_under_all_draws():
    """Averaged logits would say class 1, because one of three draws is certain of it."""
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [1e-9, 1 - 1e-9]])
    params, shares = np.log(probabilities)[:, None].astype("float32"), np.full((3, 1), 1 / 3)
    found = likelihoods.Categorical(2).mixture_mean(
        ops.convert_to_tensor(params), ops.convert_to_tensor(shares, "float32")
    )
    np.testing.assert_array_equal(found, [[0.0]])


def test_log_gamma_is_that_of_scipy():
    x = np.concatenate([np.geomspace(1e-3, 1e4, 500), np.arange(1, 50)]).astype("float32")
    found = ops.convert_to_numpy(log_gamma(ops.convert_to_tensor(x)))
    np.testing.assert_allclose(found, special.gammaln(x), rtol=2e-5, atol=2e-5)
