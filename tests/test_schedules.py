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


@pytest.mark.parametrize("cls", [Linear, Cyclical, Sigmoid])
def test_every_schedule_starts_at_start_and_reaches_end(cls):
    schedule = cls(200, start=0.3, end=0.7)
    assert float(schedule(0)) == pytest.approx(0.3, abs=1e-6)
    assert float(schedule(199)) == pytest.approx(0.7, abs=0.01)
    curve = values(schedule)[:200]
    assert (np.diff(curve) >= 0).all()


@pytest.mark.parametrize("cls", [Linear, Sigmoid])
def test_half_way_up_is_the_mean_of_both_ends_and_may_go_down(cls):
    assert float(cls(200, start=1.0, end=0.2)(100)) == pytest.approx(0.6, abs=1e-6)


def test_the_step_may_be_the_counter_of_an_optimizer():
    optimizer = keras.optimizers.SGD()
    optimizer.iterations.assign(25)
    assert float(Linear(100)(optimizer.iterations)) == pytest.approx(0.25)


@pytest.mark.parametrize("schedule", [Linear(5), Cyclical(5, ramp=0.2), Sigmoid(5, 0.1, 0.9, 3.0)])
def test_config_round_trip(schedule):
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(schedule)))
    again = keras.saving.deserialize_keras_object(config)
    np.testing.assert_array_equal(values(again), values(schedule))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Linear(0),
        lambda: Cyclical(5, ramp=0),
        lambda: Cyclical(5, ramp=1.1),
        lambda: Sigmoid(5, sharpness=-1),
    ],
)
def test_bad_arguments_are_refused(make):
    with pytest.raises(ValueError, match=r"must .*Received: "):
        make()
