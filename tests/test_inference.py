"""Several draws together with conditions, masks and a prior of each row, against loops by rows."""

import by_rows
import keras
import numpy as np
import pytest
from by_rows import CONDITION, MASK, MASKS, ONE_HOT, B, C, D, F, X, arrays, batch_of, data
from keras import ops
from linear import principal_components
from scipy import special, stats

from keras_vae import inference, likelihoods
from keras_vae.batch import unpack

RNG = np.random.default_rng(0)
K = 3


@pytest.fixture(scope="module")
def vae():
    return by_rows.conditional()


def evaluated(vae, mask=None, num_samples=K):
    """Draws with the noise of the next method, q, and the decoder's output for them."""
    vae._rewind_evaluation_noise()
    terms, params = inference._evaluate(vae, batch_of(vae, mask), num_samples)
    return arrays((terms.z, terms.q, params))


def test_each_draw_is_decoded_with_the_condition_of_its_row(vae):
    z, _, params = evaluated(vae)
    np.testing.assert_allclose(params, by_rows.logits_of(vae, z), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MASKS)
def test_the_log_likelihood_weighs_each_draw_by_all_that_belongs_to_its_row(vae, name):
    z, q, _ = evaluated(vae, MASKS[name])
    log_weights = by_rows.log_weights(vae, z, q, MASKS[name])
    expected = special.logsumexp(log_weights, axis=0) - np.log(K)
    found = vae.log_likelihood(data(MASKS[name]), num_samples=K)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_imputed_values_are_weighted_by_what_is_observed_of_each_row(vae):
    z, q, _ = evaluated(vae, MASK)
    shares = special.softmax(by_rows.log_weights(vae, z, q, MASK), axis=0)
    mean = (shares[..., None] * special.expit(by_rows.logits_of(vae, z))).sum(0)
    filled = vae.impute(X, MASK, num_samples=K, condition=CONDITION)
    np.testing.assert_allclose(filled, np.where(MASK, X, mean), rtol=1e-4, atol=1e-5)
    assert np.ptp(shares, axis=0).max() > 0.1  # or any weights would do


def test_the_class_that_is_imputed_is_the_most_probable_under_all_draws():
    vae = by_rows.conditional(likelihood=likelihoods.Categorical(3))
    z, q, params = evaluated(vae, MASK, 7)
    log_p = special.log_softmax(params.reshape(7, B, F, 3), axis=-1)
    chosen = np.take_along_axis(log_p, X.astype(int)[None, ..., None], -1)[..., 0]
    log_weights = by_rows.log_prior(vae, z) - by_rows.log_posterior(q, z)
    shares = special.softmax(np.where(MASK, chosen, 0.0).sum(-1) + log_weights, axis=0)
    expected = (shares[..., None, None] * np.exp(log_p)).sum(0).argmax(-1)
    filled = vae.impute(X, MASK, num_samples=7, condition=CONDITION)
    np.testing.assert_array_equal(filled, np.where(MASK, X, expected))


@pytest.mark.parametrize("name", MASKS)
def test_the_elbo_is_the_mean_over_its_points_less_the_kl_from_the_prior_of_the_row(vae, name):
    z, q = arrays([vae._score_draws(batch_of(vae, MASKS[name]), 8)[key] for key in ("z", "q")])
    reconstruction = by_rows.log_likelihood(vae, z, MASKS[name]).mean(0)
    kl = np.zeros(B)
    for b in range(B):
        own, prior = by_rows.posterior_of(q, b), by_rows.prior_of(vae, b)
        square = own.var() + (own.mean() - prior.mean()) ** 2
        kl[b] = np.sum(square / prior.var() - 1 + np.log(prior.var() / own.var())) / 2
    found = vae.elbo(data(MASKS[name]), num_samples=8)
    np.testing.assert_allclose(found, reconstruction - kl, rtol=1e-4)


def test_noise_becomes_examples_through_the_prior_of_its_condition(vae):
    noise = RNG.normal(size=(B, D)).astype("float32")
    batch = unpack({"x": noise, "condition": CONDITION}, vae.likelihood, C)
    found = ops.convert_to_numpy(inference.generate(vae, batch))
    for b in range(B):
        prior = by_rows.prior_of(vae, b)
        logits = by_rows.one(vae.decoder, prior.mean() + prior.std() * noise[b], ONE_HOT[b])
        np.testing.assert_allclose(found[b], special.expit(logits), rtol=1e-4, atol=1e-5)


def test_fitting_a_prior_sees_q_condition_and_weights_of_each_row(vae):
    weights = np.arange(B, dtype="float32")
    found = keras.tree.map_structure(
        ops.convert_to_numpy, inference.encoded(vae, batch_of(vae, weights=weights))
    )
    np.testing.assert_array_equal(found["condition"], ONE_HOT)
    np.testing.assert_array_equal(found["weights"], weights)
    np.testing.assert_allclose(found["q"]["mean"], vae.infer(data())["mean"], rtol=1e-5)


def test_imputations_are_drawn_from_the_distribution_given_what_is_observed():
    vae, model = principal_components()
    vae.posterior.mean_layer.set_weights([np.zeros((6, 2)), np.zeros(2)])
    vae.posterior.log_variance_layer.set_weights([np.zeros((6, 2)), np.full(2, 0.2)])
    row, missing = model.rvs(random_state=1), np.array([0, 3, 5])
    seen = np.setdiff1d(np.arange(6), missing)
    x, mask = np.tile(np.float32(row), (64, 1)), np.ones((64, 6), "bool")
    mask[:, missing] = False
    runner = vae._runners.get(inference.impute_draws, 1000, 32)
    found = runner.run({"x": np.where(mask, x, 0.0), "mask": mask})
    drawn = found["x"][..., missing].reshape(-1, 3)
    gain = model.cov[np.ix_(missing, seen)] @ np.linalg.inv(model.cov[np.ix_(seen, seen)])
    mean = model.mean[missing] + gain @ (row - model.mean)[seen]
    cov = model.cov[np.ix_(missing, missing)] - gain @ model.cov[np.ix_(seen, missing)]
    assert found["x"].shape == (64, 32, 6)
    np.testing.assert_allclose(drawn.mean(0), mean, atol=0.08)
    np.testing.assert_allclose(np.cov(drawn.T), cov, atol=0.08)
    scaled = (drawn[:, 0] - mean[0]) / np.sqrt(cov[0, 0])
    assert stats.kstest(scaled, "norm").statistic < 0.05


@pytest.mark.parametrize("num_samples", [1, 7])
def test_the_effective_sample_size_lies_between_1_and_the_number_of_draws(vae, num_samples):
    vae._rewind_evaluation_noise()
    found = inference.impute_draws(vae, batch_of(vae, MASK), num_samples, 2)
    size = ops.convert_to_numpy(found["effective_sample_size"])
    assert size.shape == (B,)
    assert np.all((size >= 1 - 1e-5) & (size <= num_samples + 1e-4))


@pytest.mark.parametrize("name", MASKS)
def test_the_losses_of_the_features_add_up_to_the_reconstruction_loss(vae, name):
    cells = ops.convert_to_numpy(inference.feature_loss(vae, batch_of(vae, MASKS[name]), 16))
    expected = vae.diagnose(data(MASKS[name]), num_samples=16)["reconstruction_loss"]
    assert cells.reshape(B, -1).sum(1).mean() == pytest.approx(expected, rel=1e-5)


def test_features_outside_the_target_mask_have_no_loss():
    vae, _ = principal_components()
    x, counts = RNG.normal(size=(4, 6)).astype("float32"), RNG.random((4, 6)) < 0.5
    given = {"x": x, "target_mask": counts}
    cells = ops.convert_to_numpy(inference.feature_loss(vae, unpack(given, vae.likelihood), 8))
    assert np.all((cells != 0) == counts)
    expected = vae.diagnose(given, num_samples=8)["reconstruction_loss"]
    assert cells.sum(1).mean() == pytest.approx(expected, rel=1e-5)
