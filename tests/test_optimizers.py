import keras
import numpy as np
import pytest
from checks import binary, small_vae

import keras_vae
from keras_vae import callbacks, likelihoods, optimizers

X = binary(32, (6,))
X[16:] *= 1e3  # the gradients of the second batch are long
pytestmark = pytest.mark.filterwarnings("ignore:`x` looks like raw counts")


def guarded(max_norm=50.0, inner=None):
    vae = small_vae((6,), likelihood=likelihoods.Normal(1.0))
    vae.compile(optimizers.GradientNormGuard(inner or keras.optimizers.Adam(0.01), max_norm))
    return vae


def fit(vae, x, **options):
    counter = callbacks.SkippedSteps()
    options = {"batch_size": 16, "shuffle": False, "verbose": 0, "callbacks": [counter]} | options
    return vae.fit(x, **options).history


def test_a_long_step_is_skipped_and_counted():
    vae = guarded()
    assert fit(vae, X, epochs=2)["skipped_steps"] == [1, 2]
    assert int(vae.optimizer.iterations) == 2


def test_a_skipped_step_changes_nothing():
    vae = guarded()
    before = vae.get_weights()
    fit(vae, X[16:])
    assert int(vae.optimizer.iterations) == 0
    for a, b in zip(before, vae.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_steps_within_the_norm_are_those_of_the_inner_optimizer():
    plain, guard = small_vae((6,), likelihood=likelihoods.Normal(1.0)), guarded(1e9)
    assert fit(guard, X)["loss"] == fit(plain, X)["loss"]
    for a, b in zip(plain.get_weights(), guard.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_norm_is_that_of_all_gradients_together():
    guard = optimizers.GradientNormGuard(keras.optimizers.SGD(), max_norm=5.0)
    three, four = np.full((1, 1), 3.0, "float32"), np.full((1,), 4.0, "float32")
    assert bool(guard.check_finite([three, None, four]))
    assert not bool(guard.check_finite([three, four + 0.01]))
    assert not bool(guard.check_finite([three * np.nan]))


def test_the_count_is_saved_and_goes_on(tmp_path):
    vae = guarded()
    fit(vae, X)
    vae.save(tmp_path / "vae.keras")
    vae = keras_vae.load_model(tmp_path / "vae.keras")
    assert vae.optimizer.max_norm == 50.0
    assert fit(vae, X)["skipped_steps"] == [2]


@pytest.mark.parametrize("max_norm", [0, -1.0, np.nan, "1"])
def test_a_norm_is_positive(max_norm):
    with pytest.raises(ValueError, match=r"`max_norm` must be.*Received"):
        optimizers.GradientNormGuard(keras.optimizers.SGD(), max_norm)
