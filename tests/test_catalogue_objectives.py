"""Free bits, capacity, and the gradients of the importance-weighted bound."""

import numpy as np
import pytest
import tensorflow as tf
from checks import small_vae
from scipy import special

from keras_vae import VAE, flows, likelihoods, networks, objectives, posteriors, schedules

RNG = np.random.default_rng(0)
SUMMANDS = RNG.exponential(size=(9, 4)).astype("float32") * np.float32([0.1, 0.5, 1.0, 2.0])
LOG_LIKELIHOOD = RNG.normal(-20, 3, (5, 9)).astype("float32")
WEIGHTS = RNG.random(9).astype("float32")


def elbo_terms(summands=SUMMANDS):
    return objectives.LossTerms(LOG_LIKELIHOOD, summands, *[None] * 6, WEIGHTS, None, None)


def mean(values):
    return np.average(values, axis=0, weights=WEIGHTS)


def test_free_bits_count_what_is_below_as_if_it_were_used():
    loss = objectives.ELBO(2.0, free_bits=0.9).loss(elbo_terms(), 0)
    expected = 2.0 * np.maximum(mean(SUMMANDS), 0.9).sum() - mean(LOG_LIKELIHOOD.mean(0))
    assert (mean(SUMMANDS) < 0.9).sum() == 2
    assert mean(loss) == pytest.approx(expected, rel=1e-5)


def test_free_bits_have_no_gradient():
    summands = tf.constant(SUMMANDS)
    with tf.GradientTape() as tape:
        tape.watch(summands)
        loss = tf.reduce_sum(objectives.ELBO(free_bits=0.9).loss(elbo_terms(summands), 0))
    expected = np.broadcast_to(mean(SUMMANDS) > 0.9, SUMMANDS.shape)
    np.testing.assert_array_equal(tape.gradient(loss, summands), expected)


@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_a_balanced_warm_up_weighs_dimensions_by_what_they_hold(beta):
    summands = tf.constant(SUMMANDS)
    with tf.GradientTape() as tape:
        tape.watch(summands)
        loss = objectives.ELBO(beta, balanced=True).loss(elbo_terms(summands), 0)
    held = mean(SUMMANDS)
    weights = [h / (held.sum() / 4) if beta < 1 else 1.0 for h in held]
    expected = beta * np.dot(weights, held) - mean(LOG_LIKELIHOOD.mean(0))
    assert mean(loss) == pytest.approx(expected, rel=1e-5)
    gradient = tape.gradient(loss, summands)
    np.testing.assert_allclose(gradient, np.tile(beta * np.float32(weights), (9, 1)), rtol=1e-5)


@pytest.mark.parametrize("capacity", [0.5, 20.0, schedules.Linear(10, end=3.0)])
def test_a_capacity_is_kept_on_both_sides(capacity):
    at = 1.5 if callable(capacity) else capacity
    loss = objectives.ELBO(7.0, capacity=capacity).loss(elbo_terms(), 5)
    expected = 7.0 * abs(mean(SUMMANDS.sum(1)) - at) - mean(LOG_LIKELIHOOD.mean(0))
    assert mean(loss) == pytest.approx(expected, rel=1e-5)


LOG_POSTERIOR, LOG_PRIOR = RNG.normal(size=(2, 6, 9)).astype("float32")
LOG_P = RNG.normal(-20, 3, (6, 9)).astype("float32")
LOG_WEIGHTS = LOG_P + LOG_PRIOR - LOG_POSTERIOR


def iwae_loss(**options):
    terms = objectives.LossTerms(LOG_P, None, LOG_POSTERIOR, LOG_PRIOR, *[None] * 7)
    return objectives.IWAE(6, **options).loss(terms, 0)


def bound(log_weights):
    return special.logsumexp(log_weights, axis=0) - np.log(len(log_weights))


def test_groups_are_averaged_bounds():
    expected = (bound(LOG_WEIGHTS[:3]) + bound(LOG_WEIGHTS[3:])) / 2
    np.testing.assert_allclose(iwae_loss(num_groups=2), -expected, rtol=1e-5)
    np.testing.assert_allclose(iwae_loss(num_groups=6), -LOG_WEIGHTS.mean(0), rtol=1e-5)
    mixed = 0.3 * LOG_WEIGHTS.mean(0) + 0.7 * bound(LOG_WEIGHTS)
    np.testing.assert_allclose(iwae_loss(elbo_weight=0.3), -mixed, rtol=1e-5)


def linear(gradient, shift, num_samples=6, **options):
    """z ~ N(0, 1), x ~ N(z, 1), so that N(x / 2, 1 / 2) is exact; `shift` moves q away."""
    vae = VAE(
        networks.dense_encoder((1,), ()),
        networks.dense_decoder(1, (1,), ()),
        likelihood=likelihoods.Normal(1.0),
        objective=objectives.IWAE(num_samples, gradient, **options),
        seed=0,
    )
    vae.compile("sgd")
    vae.decoder.set_weights([np.ones((1, 1)), np.zeros(1)])
    vae.posterior.mean_layer.set_weights([np.full((1, 1), 0.5), np.full(1, shift)])
    vae.posterior.log_variance_layer.set_weights([np.zeros((1, 1)), np.full(1, np.log(0.5))])
    return vae


X = RNG.normal(scale=np.sqrt(2), size=(4000, 1)).astype("float32")


def gradients(vae, x=X):
    """(loss, gradients of the decoder, of the encoder)."""
    with tf.GradientTape() as tape:
        loss = vae.compute_loss(x, y_pred=vae(x, training=True))
    decoder, encoder = vae.decoder.trainable_weights, vae.posterior.trainable_weights
    found = tape.gradient(loss, decoder + encoder)
    flat = [np.concatenate([np.ravel(g) for g in part]) for part in (found[:2], found[2:])]
    return float(loss), *flat


@pytest.mark.parametrize("options", [{}, {"num_groups": 2}, {"elbo_weight": 0.4}])
def test_the_doubly_reparameterized_gradient_is_another_estimate_of_the_same(options):
    plain = gradients(linear("standard", 0.6, **options))
    doubly = gradients(linear("doubly_reparameterized", 0.6, **options))
    assert doubly[0] == pytest.approx(plain[0], rel=1e-5)
    np.testing.assert_allclose(doubly[1], plain[1], rtol=1e-3, atol=1e-4)
    spread = {}
    for name in ("standard", "doubly_reparameterized"):
        vae = linear(name, 0.6, **options)
        spread[name] = np.array([gradients(vae, X[i : i + 100])[2] for i in range(0, 4000, 100)])
    plain, doubly = spread.values()
    difference = doubly - plain
    error = difference.std(0) / np.sqrt(len(difference))
    assert np.all(np.abs(difference.mean(0)) < 4.5 * error)


def test_the_doubly_reparameterized_gradient_has_less_noise():
    x, spread = np.tile(X[:1], (2000, 1)), {}
    for name in ("standard", "doubly_reparameterized"):
        vae = linear(name, 0.3, num_samples=30)
        samples = [gradients(vae, x[i : i + 20])[2] for i in range(0, 2000, 20)]
        spread[name] = np.std(samples, axis=0).mean()
    assert spread["doubly_reparameterized"] < 0.7 * spread["standard"]


@pytest.mark.parametrize("gradient", ["sticking_the_landing", "doubly_reparameterized"])
def test_at_the_exact_posterior_nothing_is_left(gradient):
    assert np.abs(gradients(linear(gradient, 0.0))[2]).max() < 1e-4
    assert np.abs(gradients(linear("standard", 0.0), X[:20])[2]).max() > 1e-2


def test_the_partial_gradient_is_of_one_bound_for_the_decoder_and_of_several_for_the_encoder():
    partial = gradients(linear("partial", 0.6, num_groups=3))
    one, several = (
        gradients(linear("standard", 0.6)),
        gradients(linear("standard", 0.6, num_groups=3)),
    )
    np.testing.assert_allclose(partial[0], several[0], rtol=1e-5)
    np.testing.assert_allclose(partial[1], one[1], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(partial[2], several[2], rtol=1e-3, atol=1e-5)
    assert not np.allclose(one[1], several[1], rtol=1e-2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: objectives.ELBO(free_bits=-1.0),
        lambda: objectives.ELBO(capacity=-1.0),
        lambda: objectives.IWAE(5, "exact"),
        lambda: objectives.IWAE(5, num_groups=2),
        lambda: objectives.IWAE(5, elbo_weight=1.5),
        lambda: small_vae(
            (6,),
            posterior=posteriors.NormalizingFlow(posteriors.DiagonalNormal(2), [flows.Planar()]),
            objective=objectives.IWAE(2, "sticking_the_landing"),
        ),
    ],
)
def test_bad_arguments_are_refused(make):
    with pytest.raises(ValueError, match=r"`.*must .*Received: "):
        make()
