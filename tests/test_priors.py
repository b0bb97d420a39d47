import keras
import numpy as np
from scipy import integrate, stats

from keras_vae.priors import StandardNormal


def prior():
    part = StandardNormal()
    part.build((None, 3))
    return part


def test_log_prob_is_that_of_scipy():
    z = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")
    expected = stats.multivariate_normal(np.zeros(3)).logpdf(z)
    np.testing.assert_allclose(prior().log_prob(z), expected, rtol=1e-5)


def test_density_integrates_to_one():
    part = StandardNormal()
    part.build((None, 1))
    z = np.linspace(-10, 10, 2001, dtype="float32")
    density = np.exp(part.log_prob(z[None, :, None])[0])
    np.testing.assert_allclose(integrate.simpson(density, x=z), 1.0, atol=1e-5)


def test_draws_are_standard_normal_and_scaled_by_temperature():
    z = np.asarray(prior().sample(50_000, keras.random.SeedGenerator(1), temperature=0.5))
    assert z.shape == (50_000, 3)
    assert stats.kstest(z.ravel() / 0.5, "norm").pvalue > 1e-3


def test_the_dimensions_of_a_draw_are_independent():
    z = np.asarray(prior().sample(50_000, keras.random.SeedGenerator(2)))
    assert np.abs(np.corrcoef(z.T) - np.eye(3)).max() < 5 / np.sqrt(50_000)


def test_a_seed_repeats_its_draws():
    one, same, other = (prior().sample(4, keras.random.SeedGenerator(s)) for s in (5, 5, 6))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
