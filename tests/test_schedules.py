import json

import keras
import numpy as np
import pytest
from scipy import special

from keras_vae.schedules import Cyclical, Linear, Sigmoid

STEPS = np.arange(0, 301)


def values(schedule):
    return np.array([float(schedule(step)) for step in STEPS])


def test_linear_interpolates_then_stays():
    expected = np.interp(STEPS, [0, 100], [0.2, 0.8])
    np.testing.assert_allclose(values(Linear(100, 0.2, 0.8)), expected, atol=1e-6)


def test_cyclical_repeats_a_ramp_and_a_plateau():
    actual = values(Cyclical(100, ramp=0.4))
    expected = np.interp(STEPS % 100, [0, 40, 100], [0, 1, 1])
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_sigmoid_is_a_logistic_curve_that_reaches_both_ends():
    actual = values(Sigmoid(200, end=2.0, sharpness=8.0))
    curve = special.expit(8.0 * (np.minimum(STEPS, 200) / 200 - 0.5))
    expected = 2.0 * (curve - curve[0]) / (curve[200] - curve[0])
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    assert (actual[0], actual[200], actual[300]) == pytest.approx((0, 2, 2), abs=1e-6)


@pytest.mark.parametrize("schedule", [Linear(5), Cyclical(5, ramp=0.2), Sigmoid(5, 0.1, 0.9, 3.0)])
def test_config_round_trip(schedule):
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(schedule)))
    again = keras.saving.deserialize_keras_object(config)
    np.testing.assert_array_equal(values(again), values(schedule))


@pytest.mark.parametrize(
    "make",
    [lambda: Linear(0), lambda: Cyclical(5, ramp=0), lambda: Sigmoid(5, sharpness=-1)],
)
def test_bad_arguments_are_refused(make):
    with pytest.raises(ValueError, match=r"must .*Received: "):
        make()
