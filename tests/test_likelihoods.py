import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, special, stats

from keras_vae.likelihoods import Bernoulli, Normal

RNG = np.random.default_rng(0)
RAW = RNG.normal(size=(2, 3, 4, 5)).astype("float32")  # 2 draws, 3 examples of 4 x 5
SEED = 1


def built(likelihood, params=RAW):
    likelihood.build(params.shape[1:])
    return likelihood


def test_bernoulli_is_that_of_scipy_on_binary_data():
    x = RNG.integers(0, 2, (3, 4, 5))
    expected = stats.bernoulli.logpmf(x, special.expit(RAW)).sum((2, 3))
    np.testing.assert_allclose(Bernoulli().log_prob(x, RAW), expected, rtol=1e-5)


def test_bernoulli_probabilities_sum_to_one():
    x = np.array(list(itertools.product([0, 1], repeat=4)), "float32")
    params = np.broadcast_to(np.float32([[0.3, -2.0, 5.0, 0.0]]), x.shape)[None]
    assert np.exp(Bernoulli().log_prob(x, params)).sum() == pytest.approx(1.0, abs=1e-5)


def test_bernoulli_is_finite_at_extreme_logits():
    params = tf.constant([[[1e4, -1e4, 1e4, -1e4]]])
    x = np.float32([[1, 0, 0, 1]])
    with tf.GradientTape() as tape:
        tape.watch(params)
        value = Bernoulli().log_prob(x, params)
    np.testing.assert_allclose(value, [[-2e4]])
    np.testing.assert_allclose(tape.gradient(value, params)[0, 0], [0, 0, -1, 1], atol=1e-6)


def test_the_floor_of_grey_levels_is_their_entropy():
    x = RNG.uniform(0.01, 0.99, (3, 4, 5))
    best = Bernoulli().log_prob(x, special.logit(x).astype("float32")[None])
    entropy = stats.bernoulli(x).entropy().sum((1, 2))
    np.testing.assert_allclose(best[0], -entropy, rtol=1e-4)


@pytest.mark.parametrize("scale", [0.1, 1.0, 3])
def test_normal_is_that_of_scipy(scale):
    x = RNG.normal(size=(3, 4, 5))
    expected = stats.norm.logpdf(x, RAW, scale).sum((2, 3))
    np.testing.assert_allclose(built(Normal(scale)).log_prob(x, RAW), expected, rtol=1e-4)


def test_normal_integrates_to_one():
    likelihood = built(Normal(0.7))

    def density(x):
        return float(np.exp(likelihood.log_prob(np.float32([[x]]), np.float32([[[0.4]]])))[0, 0])

    assert integrate.quad(density, -6, 6, epsabs=1e-4)[0] == pytest.approx(1.0, abs=1e-3)


def test_the_shared_scale_is_stationary_at_the_root_mean_squared_error():
    x = RNG.normal(size=(3, 4, 5)).astype("float32")
    params = np.zeros((1, 3, 4, 5), "float32")
    likelihood = built(Normal("shared"), params)
    likelihood.log_scale.assign(0.5 * np.log((x**2).mean()))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(likelihood.log_prob(x, params))
    assert abs(float(tape.gradient(total, likelihood.log_scale.value))) < 1e-3
    expected = stats.norm.logpdf(x, 0, np.sqrt((x**2).mean())).sum((1, 2))
    np.testing.assert_allclose(likelihood.log_prob(x, params)[0], expected, rtol=1e-5)


def test_the_shared_scale_is_learned_from_noise_of_known_size():
    noise = RNG.normal(scale=0.2, size=(50, 40)).astype("float32")
    params = np.zeros((1, 50, 40), "float32")
    likelihood = built(Normal("shared"), params)
    optimizer = keras.optimizers.Adam(0.1)
    for _ in range(100):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(likelihood.log_prob(noise, params))
        gradients = tape.gradient(loss, likelihood.trainable_weights)
        optimizer.apply(gradients, likelihood.trainable_weights)
    scale = np.exp(0.5 * likelihood.log_variance())
    assert scale == pytest.approx(0.2, rel=5 / np.sqrt(2 * noise.size))


def test_the_optimal_scale_is_the_weighted_error_then_a_moving_average():
    x = RNG.normal(size=(3, 4, 5)).astype("float32")
    weights = np.float32([1.0, 0.0, 3.0])  # a row of no weight must not count
    likelihood = built(Normal("optimal"))
    value = likelihood.training_log_prob(x, RAW, weights)
    first = np.average(((x - RAW) ** 2).mean((0, 2, 3)), weights=weights)
    expected = stats.norm.logpdf(x, RAW, np.sqrt(first)).sum((2, 3))
    np.testing.assert_allclose(value, expected, rtol=1e-4)
    assert float(likelihood.variance) == pytest.approx(first, rel=1e-5)
    value = likelihood.training_log_prob(3 * x, RAW, weights)
    second = np.average(((3 * x - RAW) ** 2).mean((0, 2, 3)), weights=weights)
    expected = stats.norm.logpdf(3 * x, RAW, np.sqrt(second)).sum((2, 3))
    np.testing.assert_allclose(value, expected, rtol=1e-4)
    assert float(likelihood.variance) == pytest.approx(0.95 * first + 0.05 * second, rel=1e-5)


def test_the_optimal_scale_is_what_maximises_the_likelihood():
    """The gradient is that of the likelihood at its best scale, -½ n log(mean squared error)."""
    x, params = RNG.normal(size=(3, 4, 5)).astype("float32"), tf.constant(RAW)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(params)
        value = built(Normal("optimal")).training_log_prob(x, params, np.ones(3, "float32"))
        profile = -0.5 * RAW.size * tf.math.log(tf.reduce_mean((x - params) ** 2))
    np.testing.assert_allclose(
        tape.gradient(value, params), tape.gradient(profile, params), rtol=1e-4, atol=1e-6
    )


def test_the_optimal_scale_ignores_rows_of_no_weight_however_large():
    x = np.concatenate([RNG.normal(size=(2, 4, 5)), np.full((1, 4, 5), 1e6)]).astype("float32")
    with_it, without = built(Normal("optimal")), built(Normal("optimal"))
    with_it.training_log_prob(x, RAW, np.float32([1, 1, 0]))
    without.training_log_prob(x[:2], RAW[:, :2], np.float32([1, 1]))
    assert float(with_it.variance) == pytest.approx(float(without.variance), rel=1e-6)


def test_evaluation_uses_the_optimal_scale_of_training():
    likelihood = built(Normal("optimal"))
    likelihood.variance.assign(0.09)
    x = RNG.normal(size=(3, 4, 5))
    expected = stats.norm.logpdf(x, RAW, 0.3).sum((2, 3))
    np.testing.assert_allclose(likelihood.log_prob(x, RAW), expected, rtol=1e-4)


def test_log_prob_alone_does_not_move_the_optimal_scale():
    likelihood = built(Normal("optimal"))
    before = float(likelihood.variance)
    likelihood.log_prob(np.zeros((3, 4, 5)), RAW)
    assert float(likelihood.variance) == before


def test_moments_of_samples():
    params = np.full((20_000, 3), [0.0, 1.0, -2.0], "float32")
    x = Bernoulli().sample(params, SEED).numpy()
    np.testing.assert_allclose(x.mean(0), special.expit(params[0]), atol=5 * 0.5 / np.sqrt(20_000))
    y = built(Normal(0.5), params[None]).sample(params, SEED).numpy()
    np.testing.assert_allclose(y.mean(0), params[0], atol=5 * 0.5 / np.sqrt(20_000))
    np.testing.assert_allclose(y.std(0), 0.5, rtol=0.03)


def test_means_are_in_data_space():
    np.testing.assert_allclose(Bernoulli().mean(RAW), special.expit(RAW), rtol=1e-5)
    np.testing.assert_array_equal(Normal().mean(RAW), RAW)


@pytest.mark.parametrize("scale", [0, -1.0, float("nan"), float("inf"), True, "best", None])
def test_a_scale_that_is_none_is_refused(scale):
    with pytest.raises(ValueError, match=r"`scale` must be.*Received: scale="):
        Normal(scale)


@pytest.mark.parametrize("bad", [-0.01, 1.01, np.nan, np.inf])
def test_support(bad):
    with pytest.raises(ValueError, match=r"`y` must .*Received: y"):
        Bernoulli().check_support(np.array([0.5, bad]), "y")
    Bernoulli().check_support(np.array([0.0, 1.0]))


def test_a_value_out_of_support_is_refused_with_what_is_wrong_what_to_do_and_what_came():
    with pytest.raises(ValueError) as error:  # noqa: PT011
        Bernoulli().check_support(np.array([0, 255], "uint8"))
    message = str(error.value)
    for part in ("`x` must lie in [0.0, 1.0]", "`x / 255`", "Received: x with values in [0.0, 255"):
        assert part in message


def test_a_normal_takes_any_finite_number():
    Normal().check_support(np.array([-1e9, 1e9]))
    with pytest.raises(ValueError, match=r"`x` must be finite.*Received: x"):
        Normal().check_support(np.array([0.0, np.nan]))


def test_a_decoder_with_a_wrong_last_axis_is_refused():
    class TwoNumbers(Normal):
        params_per_feature = 2

    assert TwoNumbers().example_shape((8, 8, 6)) == (8, 8, 3)
    with pytest.raises(ValueError, match=r"multiple of 2.*Received"):
        TwoNumbers().example_shape((8, 8, 3))


def test_one_raw_value_a_feature_gives_examples_of_the_same_shape():
    for shape in [(7,), (5, 3, 1), (None, 3)]:
        assert Bernoulli().example_shape(shape) == Normal().example_shape(shape) == shape


def test_raw_values_may_be_any_rank():
    x, params = RNG.random((3, 7)), RNG.normal(size=(2, 3, 7)).astype("float32")
    assert keras.ops.shape(Bernoulli().log_prob(x, params)) == (2, 3)


def test_a_batch_of_no_weight_leaves_the_optimal_scale_alone():
    x, params = np.full((3, 5), 2.0, "float32"), np.zeros((1, 3, 5), "float32")
    likelihood = Normal("optimal")
    likelihood.build((1, 3, 5))
    for weights in ([0, 0, 0], [1, 1, 1], [0, 0, 0]):
        likelihood.training_log_prob(x, params, np.float32(weights))
    assert float(likelihood.variance) == pytest.approx(4.0)
