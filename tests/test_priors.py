import keras
import numpy as np
from scipy import stats

from keras_vae.priors import StandardNormal


def prior():
    part = StandardNormal()
    part.build((None, 3))
    return part


def test_log_prob_is_that_of_scipy():
    z = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")
    expected = stats.multivariate_normal(np.zeros(3)).logpdf(z)
    np.testing.assert_allclose(prior().log_prob(z), expected, rtol=1e-5)


def test_draws_are_standard_normal_and_scaled_by_temperature():
    z = prior().sample(50_000, keras.random.SeedGenerator(1), temperature=0.5).numpy()
    assert z.shape == (50_000, 3)
    assert stats.kstest(z.ravel() / 0.5, "norm").pvalue > 1e-3
