"""Posteriors beside the diagonal normal."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, stats

from keras_vae import divergences, flows, posteriors, priors

RNG = np.random.default_rng(0)


def made(posterior, features=4, scale=0.5):
    """A posterior of random weights and its q for 3 examples."""
    posterior.build((None, features))
    for weight in posterior.trainable_weights:
        weight.assign(scale * RNG.normal(size=weight.shape))
    return posterior, posterior(RNG.normal(size=(3, features)).astype("float32"))


def draws(posterior, q, count=20_000, step=None):
    z, log_prob = posterior.sample_and_log_prob(q, count, keras.random.SeedGenerator(1), step)
    return np.asarray(z), np.asarray(log_prob)


def check_kl(posterior, q, prior):
    """The closed form lies within five standard errors of the sampled one."""
    if not prior.built:
        prior.build((None, posterior.latent_dim))
    z, log_q = draws(posterior, q)
    samples = log_q - np.asarray(prior.log_prob(z))
    exact = np.asarray(divergences.kl(posterior, q, prior, log_q, prior.log_prob(z)))
    error = samples.std(0) / np.sqrt(len(samples))
    assert np.all(np.abs(samples.mean(0) - exact) < 5 * error + 1e-3)
    return exact


def test_a_full_normal_is_that_of_scipy():
    posterior, q = made(posteriors.FullNormal(4))
    z, log_prob = draws(posterior, q)
    for i in range(3):
        mean, scale = q["mean"][i].numpy(), q["scale"][i].numpy().astype("float64")
        truth = stats.multivariate_normal(mean, scale @ scale.T)
        np.testing.assert_allclose(log_prob[:50, i], truth.logpdf(z[:50, i]), rtol=1e-3, atol=1e-3)
        size = np.abs(truth.cov).max()
        np.testing.assert_allclose(np.cov(z[:, i].T), truth.cov, atol=0.06 * size)
        np.testing.assert_allclose(z[:, i].mean(0), mean, atol=0.04 * np.sqrt(size))


def test_the_kl_of_a_full_normal_is_the_textbook_one():
    posterior, q = made(posteriors.FullNormal(4))
    exact = check_kl(posterior, q, priors.StandardNormal())
    for i in range(3):
        mean, scale = q["mean"][i].numpy(), q["scale"][i].numpy().astype("float64")
        covariance = scale @ scale.T
        log_det = np.linalg.slogdet(covariance)[1]
        expected = 0.5 * (np.trace(covariance) + mean @ mean - 4 - log_det)
        assert float(exact[i]) == pytest.approx(expected, rel=1e-4)
    prior = priors.LearnedNormal()
    prior.build((None, 4))
    prior.set_weights([RNG.normal(size=w.shape) for w in prior.get_weights()])
    check_kl(posterior, q, prior)


@pytest.mark.parametrize("cls", [posteriors.DiagonalNormal, posteriors.FullNormal])
def test_a_density_of_many_codes_under_many_posteriors_is_that_of_each_pair(cls):
    posterior, q = made(cls(2))
    z = RNG.normal(size=(5, 7, 1, 2)).astype("float32")
    together = posterior.log_prob(q, z)
    assert together.shape == (5, 7, 3)
    for m in range(3):
        alone = {key: value[m : m + 1] for key, value in q.items()}
        expected = posterior.log_prob(alone, z.reshape(35, 1, 2))
        np.testing.assert_allclose(
            np.reshape(together[..., m], 35), np.reshape(expected, 35), rtol=1e-4
        )


def test_exact_classes_come_as_often_as_they_are_probable():
    posterior, q = made(posteriors.Categorical(2, 3), scale=1.0)
    z, log_prob = draws(posterior, q)
    assert set(np.unique(z)) == {0.0, 1.0}
    probabilities = np.exp(q["log_probs"])
    error = 5 * np.sqrt(probabilities * (1 - probabilities) / len(z)) + 1e-4
    assert np.all(np.abs(z.reshape(-1, 3, 2, 3).mean(0) - probabilities) < error)
    chosen = np.where(z[0].reshape(3, 2, 3) > 0, q["log_probs"], 0).sum((1, 2))
    np.testing.assert_allclose(log_prob[0], chosen, rtol=1e-5)
    check_kl(posterior, q, priors.UniformCategorical(3))
    entropies = [stats.entropy(p) for p in probabilities[0]]
    exact = divergences.kl(posterior, q, _built(priors.UniformCategorical(3), 6), None, None)
    assert float(exact[0]) == pytest.approx(2 * np.log(3) - sum(entropies), rel=1e-4)


def _built(prior, latent_dim):
    prior.build((None, latent_dim))
    return prior


def test_relaxed_classes_sum_to_one_and_harden_as_the_temperature_falls():
    sharpness = []
    for temperature in (5.0, 0.5, 0.01):
        posterior, q = made(posteriors.Categorical(2, 3, temperature))
        z, _ = draws(posterior, q, 1000, step=0)
        np.testing.assert_allclose(z.reshape(-1, 3, 2, 3).sum(-1), 1.0, rtol=1e-5)
        sharpness.append(z.max(-1).mean())
    assert sharpness[0] < sharpness[1] < sharpness[2]
    assert sharpness[2] > 0.97


def test_the_temperature_follows_its_schedule():
    cooling = keras.optimizers.schedules.PolynomialDecay(5.0, 100, end_learning_rate=0.01)
    posterior, q = made(posteriors.Categorical(2, 3, cooling))
    fixed = posteriors.Categorical(2, 3, 0.01)
    fixed.build((None, 4))
    np.testing.assert_allclose(
        draws(posterior, q, 10, step=100)[0], draws(fixed, q, 10, step=0)[0], atol=1e-4
    )


def test_straight_through_codes_are_exact_and_have_a_gradient():
    posterior, q = made(posteriors.Categorical(2, 3, straight_through=True))
    log_probs = tf.constant(q["log_probs"])
    with tf.GradientTape() as tape:
        tape.watch(log_probs)
        z, _ = posterior.sample_and_log_prob(
            {"log_probs": log_probs}, 4, keras.random.SeedGenerator(0), step=0
        )
        total = tf.reduce_sum(z * np.arange(6, dtype="float32"))
    np.testing.assert_allclose(np.sort(np.unique(z))[[0, -1]], [0, 1], atol=1e-6)
    assert np.abs(tape.gradient(total, log_probs)).max() > 1e-3


@pytest.mark.parametrize("dim", [2, 3, 10])
def test_directions_are_of_length_one_and_spread_as_their_concentration_says(dim):
    posterior, q = made(posteriors.VonMisesFisher(dim))
    z, log_prob = draws(posterior, q)
    np.testing.assert_allclose(np.linalg.norm(z, axis=-1), 1.0, rtol=1e-5)
    for i in range(3):
        mean, k = q["direction"][i].numpy(), float(np.exp(q["log_concentration"][i]))
        truth = stats.vonmises_fisher(mean / np.linalg.norm(mean.astype("float64")), k)
        np.testing.assert_allclose(log_prob[:50, i], truth.logpdf(z[:50, i]), rtol=2e-3, atol=5e-3)
        sample = truth.rvs(20_000, random_state=0)
        error = 5 * np.sqrt(2 / 20_000)
        np.testing.assert_allclose(z[:, i].mean(0), sample.mean(0), atol=error)
        np.testing.assert_allclose(np.cov(z[:, i].T), np.cov(sample.T), atol=error)
    check_kl(posterior, q, priors.UniformSphere())


@pytest.mark.parametrize("flow", [flows.Autoregressive, flows.Coupling])
def test_the_density_of_a_draw_is_that_by_the_inverse(flow):
    steps = [flow(8), flow(8)]
    posterior, q = made(posteriors.NormalizingFlow(posteriors.DiagonalNormal(3), steps), scale=0.3)
    assert posterior.invertible
    z, log_prob = draws(posterior, q, 50)
    np.testing.assert_allclose(posterior.log_prob(q, z), log_prob, rtol=1e-3, atol=1e-3)


def test_a_planar_flow_of_a_normal_has_the_density_of_its_draws():
    posterior, q = made(
        posteriors.NormalizingFlow(posteriors.DiagonalNormal(1), [flows.Planar()]), scale=1.0
    )
    assert not posterior.invertible
    for i in range(3):
        z, log_prob = (a[:, i] for a in draws(posterior, q))
        order = np.argsort(z[:, 0])
        total = integrate.trapezoid(np.exp(log_prob[order]), z[order, 0])
        assert total == pytest.approx(1.0, abs=0.02)


def test_bad_arguments_are_refused():
    for make in (
        lambda: posteriors.VonMisesFisher(1),
        lambda: posteriors.FullNormal(0),
        lambda: posteriors.Categorical(0, 2),
        lambda: posteriors.Categorical(2, 2, temperature=0.0),
    ):
        with pytest.raises(ValueError, match=r"must be .*Received: "):
            make()
