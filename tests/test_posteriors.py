import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from keras_vae.posteriors import DiagonalNormal

MEAN = np.array([[0.5, -1.0, 2.0], [0.0, 3.0, -2.0]], "float32")
SCALE = np.array([[0.5, 1.0, 2.0], [0.1, 1.5, 0.7]], "float32")
Q = {"mean": MEAN, "log_variance": 2 * np.log(SCALE)}


@pytest.fixture(scope="module")
def posterior():
    return DiagonalNormal(3)


def test_moments_of_the_draws(posterior):
    z = posterior.sample(Q, 40_000, keras.random.SeedGenerator(0)).numpy()
    assert z.shape == (40_000, 2, 3)
    assert np.all(np.abs(z.mean(0) - MEAN) < 5 * SCALE / np.sqrt(40_000))
    np.testing.assert_allclose(z.std(0), SCALE, rtol=5 / np.sqrt(2 * 40_000))
    correlation = np.corrcoef(z.reshape(40_000, 6).T) - np.eye(6)
    assert np.abs(correlation).max() < 5 / np.sqrt(40_000)


def test_log_prob_is_that_of_scipy(posterior):
    z = np.random.default_rng(0).normal(size=(4, 2, 3)).astype("float32")
    expected = [
        stats.multivariate_normal(m, np.diag(s**2)).logpdf(z[:, i])
        for i, (m, s) in enumerate(zip(MEAN, SCALE, strict=True))
    ]
    np.testing.assert_allclose(posterior.log_prob(Q, z), np.transpose(expected), rtol=1e-4)


def test_mean_and_log_variance_are_linear_in_the_features(posterior):
    rng = np.random.default_rng(0)
    posterior.build((None, 4))
    weights = [rng.normal(size=w.shape) for w in posterior.get_weights()]
    posterior.set_weights(weights)
    features = rng.normal(size=(5, 4)).astype("float32")
    q = posterior(features)
    np.testing.assert_allclose(q["mean"], features @ weights[0] + weights[1], atol=1e-5)
    np.testing.assert_allclose(q["log_variance"], features @ weights[2] + weights[3], atol=1e-5)
    np.testing.assert_array_equal(posterior.mean(q), q["mean"])


def test_gradients_reach_mean_and_log_variance(posterior):
    mean, log_variance = tf.constant(MEAN), tf.constant(Q["log_variance"])
    with tf.GradientTape() as tape:
        tape.watch([mean, log_variance])
        z = posterior.sample({"mean": mean, "log_variance": log_variance}, 1, 3)
        total = tf.reduce_sum(z)
    to_mean, to_log_variance = tape.gradient(total, [mean, log_variance])
    np.testing.assert_array_equal(to_mean, np.ones_like(MEAN))
    np.testing.assert_allclose(to_log_variance, (z[0] - MEAN) / 2, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("size", [1e3, 1e6])
def test_extreme_features_stay_finite(size):
    posterior = DiagonalNormal(2)
    features = tf.constant([[size, -size], [-size, size]], "float32")
    with tf.GradientTape() as tape:
        q = posterior(features)
        loss = tf.reduce_sum(tf.exp(q["log_variance"])) + tf.reduce_sum(posterior.sample(q, 1, 0))
    assert np.isfinite(loss)
    assert np.abs(q["log_variance"]).max() <= 20
    gradients = tape.gradient(loss, posterior.trainable_weights)
    assert all(np.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("latent_dim", [0, -1, 2.5, "2"])
def test_a_latent_dim_that_is_none_is_refused(latent_dim):
    with pytest.raises(ValueError, match=r"`latent_dim` must be.*Received: latent_dim="):
        DiagonalNormal(latent_dim)


def test_features_that_are_no_vectors_are_refused():
    with pytest.raises(ValueError, match=r"must return one vector.*Received"):
        DiagonalNormal(2).build((None, 4, 4, 8))


def test_without_a_linear_layer_each_place_of_a_grid_keeps_its_own():
    grid = np.random.default_rng(0).normal(size=(2, 3, 4, 2, 2)).astype("float32")
    posterior = DiagonalNormal(24, linear=False)
    q = posterior(grid.reshape(2, 48))
    assert not posterior.weights
    np.testing.assert_array_equal(q["mean"], grid[..., 0].reshape(2, 24))
    np.testing.assert_allclose(q["log_variance"], grid[..., 1].reshape(2, 24), rtol=1e-6)


def test_without_a_linear_layer_the_features_are_counted():
    with pytest.raises(ValueError, match=r"must return 6 features.*Received"):
        DiagonalNormal(3, linear=False)(np.zeros((2, 5), "float32"))
