import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from checks import check_part

import keras_vae
from keras_vae import likelihoods, objectives, posteriors, priors, schedules
from keras_vae.part import Part, bounded

EXAMPLES = {
    "DiagonalNormal": ("posterior", lambda: posteriors.DiagonalNormal(2)),
    "StandardNormal": ("prior", priors.StandardNormal),
    "Bernoulli": ("likelihood", likelihoods.Bernoulli),
    "Normal fixed": ("likelihood", lambda: likelihoods.Normal(0.5)),
    "Normal shared": ("likelihood", lambda: likelihoods.Normal("shared")),
    "Normal optimal": ("likelihood", lambda: likelihoods.Normal("optimal")),
    "ELBO": ("objective", lambda: objectives.ELBO(beta=2.0, num_samples=3)),
    "ELBO scheduled": ("objective", lambda: objectives.ELBO(beta=schedules.Sigmoid(9))),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_check_part(name, tmp_path):
    check_part(*EXAMPLES[name], tmp_path)


def test_no_registered_part_is_forgotten():
    modules = (likelihoods, objectives, posteriors, priors)
    classes = {c for m in modules for _, c in inspect.getmembers(m, inspect.isclass)}
    parts = {c.__name__ for c in classes if issubclass(c, Part)} - {"Part", "Likelihood"}
    assert parts == {name.split()[0] for name in EXAMPLES}
    for name in parts:
        assert keras.saving.get_registered_object(f"keras_vae>{name}") is not None


def test_a_part_computes_in_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        assert keras_vae.priors.StandardNormal().compute_dtype == "float32"
    finally:
        keras.config.set_dtype_policy("float32")


def test_bounded_is_the_identity_in_the_normal_range():
    x = np.linspace(-10, 10, 101, dtype="float32")
    np.testing.assert_array_equal(bounded(x), x)


def test_bounded_is_monotone_smooth_and_pulls_back_from_far_outside():
    x = tf.constant(np.linspace(-1e4, 1e4, 200_001), "float32")
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = bounded(x)
    slope = tape.gradient(y, x).numpy()
    assert np.abs(y).max() < 20
    assert (slope > 0).all()
    assert np.abs(np.diff(slope)).max() < 0.03  # no jump at ±10, in steps of 0.1
