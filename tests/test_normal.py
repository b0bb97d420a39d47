"""The diagonal normal against SciPy, with K draws, B examples and M components."""

import keras
import numpy as np
import pytest
from gradients import gradients
from keras import ops
from scipy import stats

from keras_vae import normal

RNG = np.random.default_rng(0)
K, B, M, D = 5, 4, 3, 2
Z = RNG.normal(size=(K, B, D)).astype("float32")
MEAN, LOG_VARIANCE = RNG.normal(size=(2, B, D)).astype("float32")
OTHER_MEAN, OTHER_LOG_VARIANCE = RNG.normal(size=(2, B, D)).astype("float32")


def scipy_normal(mean=MEAN, log_variance=LOG_VARIANCE):
    return stats.norm(mean.astype("float64"), np.exp(0.5 * log_variance.astype("float64")))


def tensor(*arrays):
    return [ops.convert_to_tensor(array) for array in arrays]


def test_the_log_density_of_each_draw_and_dimension_is_that_of_scipy():
    expected = scipy_normal().logpdf(Z)
    found = normal.log_density(*tensor(Z, MEAN, LOG_VARIANCE))
    assert tuple(found.shape) == (K, B, D)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    found = normal.log_prob(*tensor(Z, MEAN, LOG_VARIANCE))
    np.testing.assert_allclose(found, expected.sum(-1), rtol=1e-4, atol=1e-5)
    square, log_variance = tensor((Z - MEAN) ** 2, LOG_VARIANCE)
    found = normal.log_density_at(square, log_variance)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_parameters_may_be_numbers_and_infinite_codes_have_probability_zero():
    (z,) = tensor(Z)
    np.testing.assert_allclose(normal.log_prob(z, 0.0, 0.0), stats.norm().logpdf(Z).sum(-1), 1e-5)
    (z,) = tensor(np.float32([[np.inf, 0.0], [0.0, -np.inf]]))
    np.testing.assert_array_equal(normal.log_prob(z, 0.0, 0.0), [-np.inf, -np.inf])


def test_the_gradients_of_the_log_density_are_the_derivatives():
    def total(z, mean, log_variance):
        return ops.sum(normal.log_prob(z, mean, log_variance))

    to_z, to_mean, to_log_variance = gradients(total, Z, MEAN, LOG_VARIANCE)
    distance = (Z - MEAN) / np.exp(LOG_VARIANCE)
    np.testing.assert_allclose(to_z, -distance, rtol=1e-4)
    np.testing.assert_allclose(to_mean, distance.sum(0), rtol=1e-3, atol=1e-4)
    expected = 0.5 * ((Z - MEAN) * distance - 1.0).sum(0)
    np.testing.assert_allclose(to_log_variance, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("log_variance", [0.0, -8.0, -18.0])
def test_each_code_under_each_narrow_normal_is_as_exact_as_under_its_own(log_variance):
    means = RNG.normal(size=(M, D)).astype("float32")
    scale = np.exp(0.5 * log_variance)
    z = (means[:, None] + scale * RNG.normal(size=(M, K, D))).astype("float32")
    expected = stats.norm(means.astype("float64"), scale).logpdf(z[..., None, :].astype("float64"))
    log_variances = np.full((M, D), log_variance, "float32")
    found = normal.log_prob_of_each(*tensor(z, means, log_variances))
    assert tuple(found.shape) == (M, K, M)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    np.testing.assert_allclose(found, expected.sum(-1), rtol=1e-5, atol=1e-4)


def test_the_gradients_of_each_under_each_are_those_without_the_expansion():
    means, log_variances = RNG.normal(size=(2, M, D)).astype("float32")
    (weights,) = tensor(RNG.normal(size=(K, B, M)).astype("float32"))

    def expanded(z, means, log_variances):
        return ops.sum(weights * normal.log_prob_of_each(z, means, log_variances))

    def direct(z, means, log_variances):
        return ops.sum(weights * normal.log_prob(z[..., None, :], means, log_variances))

    found, expected = (gradients(f, Z, means, log_variances) for f in (expanded, direct))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def expected_kl(mean, log_variance, other_mean, other_log_variance):
    """By quadrature: the mean of the difference of SciPy's log densities."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    q, p = scipy_normal(mean, log_variance), scipy_normal(other_mean, other_log_variance)
    z = q.mean() + q.std() * nodes[:, None, None]
    difference = q.logpdf(z) - p.logpdf(z)
    return np.tensordot(weights / weights.sum(), difference, 1)


def test_the_kl_of_each_dimension_is_the_mean_difference_of_log_densities():
    arrays = MEAN, LOG_VARIANCE, OTHER_MEAN, OTHER_LOG_VARIANCE
    found = normal.kl(*tensor(*arrays))
    np.testing.assert_allclose(found, expected_kl(*arrays), rtol=1e-4, atol=1e-5)
    zeros = np.zeros_like(MEAN)
    found = normal.kl(*tensor(MEAN, LOG_VARIANCE))
    np.testing.assert_allclose(
        found, expected_kl(MEAN, LOG_VARIANCE, zeros, zeros), rtol=1e-4, atol=1e-5
    )


def test_the_gradients_of_the_kl_are_the_derivatives():
    def total(*arrays):
        return ops.sum(normal.kl(*arrays))

    arrays = MEAN, LOG_VARIANCE, OTHER_MEAN, OTHER_LOG_VARIANCE
    found = gradients(total, *arrays)
    precision = np.exp(-OTHER_LOG_VARIANCE)
    ratio, distance = np.exp(LOG_VARIANCE) * precision, MEAN - OTHER_MEAN
    expected = [
        distance * precision,
        0.5 * (ratio - 1.0),
        -distance * precision,
        0.5 * (1.0 - ratio - distance**2 * precision),
    ]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_samples_follow_the_normal_and_temperature_scales_the_spread_only(temperature):
    arguments = (*tensor(MEAN, LOG_VARIANCE), 4_000, keras.random.SeedGenerator(0), temperature)
    z = ops.convert_to_numpy(normal.sample(*arguments))
    assert z.shape == (4_000, B, D)
    standard = (z - MEAN) / np.exp(0.5 * LOG_VARIANCE) / temperature
    for b in range(B):
        for d in range(D):
            assert stats.kstest(standard[:, b, d], "norm").pvalue > 1e-4
    correlation = np.corrcoef(standard.reshape(4_000, -1).T) - np.eye(B * D)
    assert np.abs(correlation).max() < 5 / np.sqrt(4_000)


def test_gradients_pass_through_the_samples():
    noise = RNG.normal(size=(K, B, D)).astype("float32")
    slopes = RNG.normal(size=(K, B, D)).astype("float32")

    def total(mean, log_variance):
        drawn = normal.from_noise(mean, log_variance, ops.convert_to_tensor(noise), 0.7)
        return ops.sum(ops.convert_to_tensor(slopes) * drawn)

    to_mean, to_log_variance = gradients(total, MEAN, LOG_VARIANCE)
    np.testing.assert_allclose(to_mean, slopes.sum(0), rtol=1e-3, atol=1e-5)
    expected = 0.5 * 0.7 * np.exp(0.5 * LOG_VARIANCE) * (slopes * noise).sum(0)
    np.testing.assert_allclose(to_log_variance, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.backends
@pytest.mark.parametrize("rows", [1, 3])
def test_one_row_keeps_the_axis_of_draws(rows):
    """`keras.ops.add` takes (1, 1, D) for a bias of (1, D), and drops an axis."""
    q = ops.ones((rows, 3)), ops.zeros((rows, 3))
    noise = ops.ones((1, rows, 3))
    for z in (normal.from_noise(*q, noise), normal.sample(*q, 1, 0)):
        assert tuple(z.shape) == (1, rows, 3)
        assert tuple(normal.log_prob(z, *q).shape) == (1, rows)
