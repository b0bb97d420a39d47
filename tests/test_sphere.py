import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, special, stats

from keras_vae import sphere

pytestmark = pytest.mark.tensorflow

CASES = [(dim, k) for dim in (2, 3, 5, 20, 64) for k in (0.01, 1.0, 30.0, 1e3, 1e5)]


def log_k(concentration):
    return np.float32([np.log(concentration)])


@pytest.mark.parametrize(("dim", "k"), CASES)
def test_the_normaliser_is_that_with_bessel_functions(dim, k):
    order = dim / 2 - 1
    expected = dim / 2 * np.log(2 * np.pi) - order * np.log(k) + np.log(special.ive(order, k))
    assert float(sphere.log_normaliser(log_k(k), dim)[0]) == pytest.approx(
        expected, rel=1e-4, abs=2e-3
    )


@pytest.mark.parametrize(("dim", "k"), CASES)
def test_the_mean_distance_is_that_with_bessel_functions(dim, k):
    order = dim / 2 - 1
    difference = special.ive(order, k) - special.ive(order + 1, k)
    expected = difference / special.ive(order, k)
    assert float(sphere.mean_versine(log_k(k), dim)[0]) == pytest.approx(expected, rel=2e-3)


def test_surfaces_are_the_known_ones():
    surfaces = [np.exp(sphere.log_surface(dim)) for dim in (1, 2, 3)]
    np.testing.assert_allclose(surfaces, [2, 2 * np.pi, 4 * np.pi])


@pytest.mark.parametrize("k", [0.01, 1.0, 30.0, 1e4])
def test_quantiles_in_three_dimensions_have_a_closed_form(k):
    level = np.linspace(0.01, 0.99, 50)
    apart = -np.log1p(-level * -np.expm1(-2 * k)) / k
    angle = sphere.quantile(np.float32(level)[:, None], log_k(k), 3)[:, 0]
    np.testing.assert_allclose(angle, np.arccos(np.clip(1 - apart, -1, 1)), rtol=3e-3)


@pytest.mark.parametrize(("dim", "k"), [(2, 2.0), (5, 0.1), (20, 30.0), (64, 300.0)])
def test_quantiles_invert_the_distribution_function(dim, k):
    grid = np.linspace(0, np.pi, 200_001)
    density = np.exp(-k * (1 - np.cos(grid))) * np.sin(grid) ** (dim - 2)
    below = integrate.cumulative_trapezoid(density, grid, initial=0)
    level = np.float32([0.01, 0.05, 0.3, 0.7, 0.95, 0.99])
    angle = sphere.quantile(level[:, None], log_k(k), dim)[:, 0]
    np.testing.assert_allclose(np.interp(angle, grid, below / below[-1]), level, atol=3e-4)


@pytest.mark.parametrize("k", [1.0, 30.0, 1e3])
def test_the_gradient_of_a_quantile_is_that_of_the_closed_form(k):
    level, x = 0.6, tf.constant(log_k(k))
    with tf.GradientTape() as tape:
        tape.watch(x)
        angle = sphere.quantile(np.float32([[level]]), x, 3)

    def exact(log):
        return np.arccos(1 + np.log1p(-level * -np.expm1(-2 * np.exp(log))) / np.exp(log))

    expected = (exact(np.log(k) + 1e-4) - exact(np.log(k) - 1e-4)) / 2e-4
    assert float(tape.gradient(angle, x)[0]) == pytest.approx(expected, rel=0.02)


def test_the_density_of_a_circle_is_that_of_scipy():
    log_normaliser = float(sphere.log_normaliser(log_k(2.5), 2)[0])
    angle = np.linspace(-3, 3, 20)
    expected = stats.vonmises(2.5).logpdf(angle)
    np.testing.assert_allclose(-2.5 * (1 - np.cos(angle)) - log_normaliser, expected, rtol=1e-4)
