import numpy as np

from keras_vae import evaluation


def test_uniform_bytes_take_eight_bits_a_dimension():
    log_prob = np.full(5, 12 * np.log(1 / 256))
    np.testing.assert_allclose(evaluation.bits_per_dim(log_prob, (2, 2, 3)), 8.0)


def test_active_units_are_those_whose_means_vary():
    rng = np.random.default_rng(0)
    codes = rng.normal(scale=[1.0, 0.2, 0.05, 0.0], size=(10_000, 4))
    assert evaluation.active_units(codes) == 2  # variances 1, 0.04, 0.0025, 0
    assert evaluation.active_units(codes, threshold=0.5) == 1
