"""Fixed draws for scores."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vae import flows, posteriors, quantized, random
from keras_vae.posteriors import score_points
from keras_vae.posteriors.points import default_num_points

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("k", "d"), [(4, 2), (8, 2), (16, 8), (32, 8), (5, 2), (33, 8), (2, 1)])
def test_the_points_of_whole_bases_have_the_moments_of_the_normal(k, d):
    points = score_points(k, d).astype("float64")
    assert points.shape == (k, d)
    np.testing.assert_allclose(points.mean(0), 0.0, atol=1e-6)
    np.testing.assert_allclose(points.T @ points / k, np.eye(d), atol=1e-6)


@pytest.mark.parametrize(("k", "d"), [(16, 100), (6, 4), (7, 4), (100, 3)])
def test_other_numbers_of_points_have_the_mean_and_the_total_variance(k, d):
    points = score_points(k, d).astype("float64")
    np.testing.assert_allclose(points.mean(0), 0.0, atol=1e-6)
    assert np.square(points).sum(1).mean() == pytest.approx(d, rel=1e-6)


@pytest.mark.parametrize("d", [1, 2, 3, 8, 16, 32, 33, 1000])
def test_by_default_no_dimension_is_left_out_where_it_can_be_paid_for(d):
    count = default_num_points(d)
    assert 16 <= count <= 64
    if d <= 32:
        points = score_points(count, d).astype("float64")
        np.testing.assert_allclose(points.T @ points / count, np.eye(d), atol=1e-6)


def test_directions_are_orthogonal_and_bases_differ():
    points = score_points(6, 2).astype("float64") / np.sqrt(2)
    np.testing.assert_allclose(points[:2] @ points[:2].T, np.eye(2), atol=1e-6)
    assert np.abs(points[2] @ points[:2].T).max() < 1 - 1e-3
    np.testing.assert_array_equal(score_points(6, 2), score_points(6, 2))
    np.testing.assert_array_equal(score_points(1, 3), np.zeros((1, 3)))


@pytest.mark.parametrize("arguments", [(0, 2), (2.5, 2), (4, 0)])
def test_numbers_that_are_none_are_refused(arguments):
    with pytest.raises(ValueError, match=r"must be an integer.*Received: "):
        score_points(*arguments)


def test_the_mean_of_a_quadratic_function_is_exact_for_every_gaussian():
    d, rows = 4, 200
    mean, log_variance = RNG.normal(size=(2, rows, d)).astype("float32")
    a, b, c = RNG.normal(size=(d, d)), RNG.normal(size=d), 0.7
    q = {"mean": ops.convert_to_tensor(mean), "log_variance": ops.convert_to_tensor(log_variance)}
    z, log_q = posteriors.DiagonalNormal(d).score_draws(q, 2 * d)
    z = ops.convert_to_numpy(z).astype("float64")
    found = (np.einsum("kbi,ij,kbj->kb", z, a, z) + z @ b + c).mean(0)
    variance = np.exp(log_variance.astype("float64"))
    expected = np.einsum("bi,ij,bj->b", mean, a, mean) + variance @ np.diag(a) + mean @ b + c
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    entropy = 0.5 * (log_variance + np.log(2 * np.pi * np.e)).sum(1)
    np.testing.assert_allclose(-ops.convert_to_numpy(log_q).mean(0), entropy, rtol=1e-4)


def test_the_mean_of_a_quadratic_function_is_exact_for_correlated_gaussians():
    d, rows = 3, 50
    scale = np.tril(RNG.normal(size=(rows, d, d))).astype("float32")
    index = np.arange(d)
    scale[:, index, index] = np.abs(scale[:, index, index]) + 0.1
    mean = RNG.normal(size=(rows, d)).astype("float32")
    q = {"mean": ops.convert_to_tensor(mean), "scale": ops.convert_to_tensor(scale)}
    z = ops.convert_to_numpy(posteriors.FullNormal(d).score_draws(q, 2 * d)[0])
    np.testing.assert_allclose(z.mean(0), mean, atol=1e-5)
    centred = z - mean
    found = np.einsum("kbi,kbj->bij", centred, centred) / (2 * d)
    np.testing.assert_allclose(found, scale @ scale.transpose(0, 2, 1), rtol=1e-4, atol=1e-4)


KINDS = {
    "DiagonalNormal": (lambda: posteriors.DiagonalNormal(3), 5),
    "FullNormal": (lambda: posteriors.FullNormal(3), 5),
    "NormalizingFlow": (
        lambda: posteriors.NormalizingFlow(
            posteriors.DiagonalNormal(3), [flows.Autoregressive(8), flows.Planar()]
        ),
        5,
    ),
    "VonMisesFisher": (lambda: posteriors.VonMisesFisher(3), 5),
    "Categorical": (lambda: posteriors.Categorical(2, 4), 5),
    "VectorQuantizer": (lambda: quantized.VectorQuantizer(3, 5, 2), 6),
    "FiniteScalarQuantizer": (lambda: quantized.FiniteScalarQuantizer(3, (3, 5)), 6),
    "GumbelQuantizer": (lambda: quantized.GumbelQuantizer(3, 5, 2), 6),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_draws_of_a_row_depend_on_that_row_alone(kind):
    make, width = KINDS[kind]
    posterior, x = make(), RNG.normal(size=(6, width)).astype("float32")
    posterior.build((None, width))
    posterior.set_weights([0.5 * RNG.normal(size=w.shape) for w in posterior.get_weights()])

    def draws(rows):
        found = posterior.score_draws(posterior(x[rows]), 8)
        return [ops.convert_to_numpy(values) for values in found]

    z, log_q = draws(np.arange(6))
    count = 1 if posterior.deterministic else 8
    assert z.shape == (count, 6, posterior.latent_dim)
    assert log_q.shape == (count, 6)
    for rows in (np.arange(6)[::-1], [4], [2, 5], [0, 0, 3]):
        for found, expected in zip(draws(rows), (z, log_q), strict=True):
            np.testing.assert_allclose(found, expected[:, rows], rtol=1e-4, atol=1e-5)
    if kind not in ("Categorical", "GumbelQuantizer") and getattr(posterior, "invertible", True):
        log_prob = ops.convert_to_numpy(posterior.log_prob(posterior(x), ops.convert_to_tensor(z)))
        np.testing.assert_allclose(log_q, log_prob, rtol=1e-3, atol=1e-3)


def test_shared_noise_is_the_same_for_all_rows_and_new_in_each_call():
    seed = random.RowSharedSeed(3)
    first, second = (random.normal((50, 4, 2), seed, axis=1) for _ in range(2))
    again = random.normal((50, 1, 2), random.RowSharedSeed(3), axis=1)
    first, second, again = (ops.convert_to_numpy(a) for a in (first, second, again))
    assert np.abs(first - second).max() > 0.1
    np.testing.assert_array_equal(first, np.repeat(again, 4, axis=1))
    uniform = ops.convert_to_numpy(random.uniform((50, 4), random.RowSharedSeed(3), axis=1))
    assert 0 <= uniform.min() < uniform.max() < 1
    np.testing.assert_array_equal(uniform, np.repeat(uniform[:, :1], 4, axis=1))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["VonMisesFisher", "DiagonalNormal"])
def test_draws_for_scores_can_be_traced(kind):
    make, width = KINDS[kind]
    posterior = make()

    class Scores(keras.Model):
        def __init__(self):
            super().__init__()
            self.posterior = posterior

        def call(self, x):
            return self.posterior.score_draws(self.posterior(x), 4)[1][0]

    x = RNG.normal(size=(7, width)).astype("float32")
    found = Scores().predict(x, batch_size=3, verbose=0)
    expected = posterior.score_draws(posterior(x), 4)[1][0]
    np.testing.assert_allclose(found, ops.convert_to_numpy(expected), rtol=1e-4, atol=1e-5)
