import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from checks import built
from scipy import integrate, special, stats

from keras_vae import likelihoods
from keras_vae.likelihoods import Bernoulli, Normal

pytestmark = pytest.mark.tensorflow

RNG = np.random.default_rng(0)
SHAPE = (3, 4, 5)
RAW = RNG.normal(size=(2, *SHAPE)).astype("float32")  # 2 draws, 3 examples of 4 x 5
WIDE = 2.0 * RAW
SEED = 1


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
    np.testing.assert_allclose(built(Normal(scale), SHAPE).log_prob(x, RAW), expected, rtol=1e-4)


def test_normal_integrates_to_one():
    likelihood = built(Normal(0.7), SHAPE)

    def density(x):
        return float(np.exp(likelihood.log_prob(np.float32([[x]]), np.float32([[[0.4]]])))[0, 0])

    assert integrate.quad(density, -6, 6, epsabs=1e-4)[0] == pytest.approx(1.0, abs=1e-3)


def test_the_shared_scale_is_stationary_at_the_root_mean_squared_error():
    x = RNG.normal(size=(3, 4, 5)).astype("float32")
    params = np.zeros((1, 3, 4, 5), "float32")
    likelihood = built(Normal("shared"), params.shape[1:])
    likelihood.log_scale.assign(0.5 * np.log((x**2).mean()))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(likelihood.log_prob(x, params))
    assert abs(float(tape.gradient(total, likelihood.log_scale.value))) < 1e-3
    expected = stats.norm.logpdf(x, 0, np.sqrt((x**2).mean())).sum((1, 2))
    np.testing.assert_allclose(likelihood.log_prob(x, params)[0], expected, rtol=1e-5)


def test_the_shared_scale_is_learned_from_noise_of_known_size():
    noise = RNG.normal(scale=0.2, size=(50, 40)).astype("float32")
    params = np.zeros((1, 50, 40), "float32")
    likelihood = built(Normal("shared"), params.shape[1:])
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
    likelihood = built(Normal("optimal"), SHAPE)
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
        value = built(Normal("optimal"), SHAPE).training_log_prob(x, params, np.ones(3, "float32"))
        profile = -0.5 * RAW.size * tf.math.log(tf.reduce_mean((x - params) ** 2))
    np.testing.assert_allclose(
        tape.gradient(value, params), tape.gradient(profile, params), rtol=1e-4, atol=1e-6
    )


def test_the_optimal_scale_ignores_rows_of_no_weight_however_large():
    x = np.concatenate([RNG.normal(size=(2, 4, 5)), np.full((1, 4, 5), 1e6)]).astype("float32")
    with_it, without = built(Normal("optimal"), SHAPE), built(Normal("optimal"), SHAPE)
    with_it.training_log_prob(x, RAW, np.float32([1, 1, 0]))
    without.training_log_prob(x[:2], RAW[:, :2], np.float32([1, 1]))
    assert float(with_it.variance) == pytest.approx(float(without.variance), rel=1e-6)


def test_evaluation_uses_the_optimal_scale_of_training():
    likelihood = built(Normal("optimal"), SHAPE)
    likelihood.variance.assign(0.09)
    x = RNG.normal(size=(3, 4, 5))
    expected = stats.norm.logpdf(x, RAW, 0.3).sum((2, 3))
    np.testing.assert_allclose(likelihood.log_prob(x, RAW), expected, rtol=1e-4)


def test_log_prob_alone_does_not_move_the_optimal_scale():
    likelihood = built(Normal("optimal"), SHAPE)
    before = float(likelihood.variance)
    likelihood.log_prob(np.zeros((3, 4, 5)), RAW)
    assert float(likelihood.variance) == before


def test_moments_of_samples():
    params = np.full((20_000, 3), [0.0, 1.0, -2.0], "float32")
    x = Bernoulli().sample(params, SEED).numpy()
    np.testing.assert_allclose(x.mean(0), special.expit(params[0]), atol=5 * 0.5 / np.sqrt(20_000))
    y = built(Normal(0.5), params.shape).sample(params, SEED).numpy()
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
    likelihood = built(Normal("optimal"), (1, 3, 5))
    for weights in ([0, 0, 0], [1, 1, 1], [0, 0, 0]):
        likelihood.training_log_prob(x, params, np.float32(weights))
    assert float(likelihood.variance) == pytest.approx(4.0)


def density(likelihood, params):
    """x -> p(x) of one feature."""
    params = np.float32(params).reshape(1, 1, -1)
    return lambda x: float(np.exp(likelihood.log_prob(np.float32([[x]]), params)[0, 0]))


def test_laplace_is_that_of_scipy():
    x = RNG.normal(size=(3, 4, 5))
    expected = stats.laplace.logpdf(x, WIDE, 0.7).sum((2, 3))
    np.testing.assert_allclose(
        built(likelihoods.Laplace(0.7), SHAPE).log_prob(x, WIDE), expected, rtol=1e-4
    )


def test_poisson_is_that_of_scipy():
    x = RNG.poisson(3.0, (3, 4, 5))
    expected = stats.poisson.logpmf(x, np.exp(WIDE)).sum((2, 3))
    np.testing.assert_allclose(likelihoods.Poisson().log_prob(x, WIDE), expected, rtol=1e-4)


def test_negative_binomial_is_that_of_scipy():
    x = RNG.poisson(3.0, (3, 4, 5))
    likelihood = built(likelihoods.NegativeBinomial(), SHAPE)
    dispersion = np.exp(RNG.normal(size=(4, 5)))
    likelihood.log_dispersion.assign(np.log(dispersion))
    success = dispersion / (dispersion + np.exp(WIDE.astype("float64")))
    expected = stats.nbinom.logpmf(x, dispersion, success).sum((2, 3))
    np.testing.assert_allclose(likelihood.log_prob(x, WIDE), expected, rtol=1e-3)


def test_categorical_is_the_log_softmax_of_the_class():
    params = RNG.normal(size=(2, 3, 4, 15)).astype("float32")  # 4 x 5 features of 3 classes
    x = RNG.integers(0, 3, (3, 4, 5))
    log_probs = special.log_softmax(params.reshape(2, 3, 4, 5, 3), axis=-1)
    expected = np.take_along_axis(log_probs, x[None, ..., None], -1).sum((2, 3, 4))
    likelihood = likelihoods.Categorical(3)
    np.testing.assert_allclose(likelihood.log_prob(x, params), expected, rtol=1e-5)
    np.testing.assert_array_equal(likelihood.mean(params), log_probs.argmax(-1))
    assert likelihood.example_shape((4, 15)) == (4, 5)


@pytest.mark.parametrize("params", [-20.0, -3.0, -0.06, -0.04, 0.0, 0.01, 0.05, 1.0, 8.0])
def test_continuous_bernoulli_is_a_density_with_its_mean(params):
    likelihood = likelihoods.ContinuousBernoulli()
    p = density(likelihood, params)
    assert integrate.quad(p, 0, 1, epsabs=1e-5, epsrel=1e-5)[0] == pytest.approx(1.0, abs=1e-4)
    mean = integrate.quad(lambda x: x * p(x), 0, 1, epsabs=1e-5, epsrel=1e-5)[0]
    assert float(likelihood.mean(tf.constant(params))) == pytest.approx(mean, abs=1e-4)


@pytest.mark.parametrize("scale", [0.3, "shared"])
def test_laplace_integrates_to_one(scale):
    p = density(built(likelihoods.Laplace(scale), (1, 1)), 0.4)
    assert integrate.quad(p, -20, 20, points=[0.4], epsabs=1e-4, epsrel=1e-4)[0] == pytest.approx(
        1, abs=1e-3
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("likelihood", "params", "support"),
    [
        (likelihoods.Categorical(4), [0.3, -1.0, 2.0, 0.0], np.arange(4)),
        (likelihoods.Poisson(), 2.0, np.arange(80)),
        (built(likelihoods.NegativeBinomial(), (1, 1)), 1.0, np.arange(400)),
        (likelihoods.DiscretizedLogistic(256), [0.2, -1.0], np.arange(256) / 255),
        (likelihoods.DiscretizedLogistic(4), [2.0, 3.0], np.arange(4) / 3),
    ],
    ids=lambda v: type(v).__name__,
)
def test_probabilities_sum_to_one(likelihood, params, support):
    p = density(likelihood, params)
    assert sum(p(x) for x in support) == pytest.approx(1.0, abs=1e-3)


def test_discretised_logistic_is_the_mass_of_the_bins():
    x = RNG.integers(0, 256, (3, 4, 5)) / 255
    params = RNG.normal(scale=0.3, size=(2, 3, 4, 10)).astype("float32")
    logistic = stats.logistic(0.5 + params[..., :5], np.exp(params[..., 5:] - 3.0))
    upper = np.where(x == 1, 1.0, logistic.cdf(x + 0.5 / 255))
    lower = np.where(x == 0, 0.0, logistic.cdf(x - 0.5 / 255))
    actual = likelihoods.DiscretizedLogistic().log_prob(x.astype("float32"), params)
    np.testing.assert_allclose(actual, np.log(upper - lower).sum((2, 3)), rtol=1e-3)


def test_beta_is_that_of_scipy():
    x, params = RNG.uniform(0.01, 0.99, (3, 4)), RNG.normal(size=(2, 3, 8)).astype("float32")
    mean, concentration = special.expit(params[..., :4]), np.exp(params[..., 4:])
    expected = stats.beta.logpdf(x, mean * concentration, (1 - mean) * concentration)
    actual = likelihoods.Beta().feature_log_prob(x.astype("float32"), params)
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(likelihoods.Beta().mean(params), mean, rtol=1e-5)


@pytest.mark.parametrize("params", [[0.0, 2.0], [1.0, 3.0], [-0.5, 4.5]])
def test_beta_integrates_to_one(params):
    params = np.float32(params).reshape(1, 1, 2)
    x = np.linspace(0.00005, 0.99995, 10_000, dtype="float32")[:, None]
    density = np.exp(likelihoods.Beta().log_prob(x, np.repeat(params, 10_000, 1)))[0]
    assert integrate.trapezoid(density, x[:, 0]) == pytest.approx(1.0, abs=1e-3)


def test_a_mixture_of_logistics_is_that_of_scipy():
    x = RNG.integers(0, 256, (3, 4)) / 255
    params = RNG.normal(scale=0.5, size=(2, 3, 3, 4, 2)).astype("float32")  # 4 features, 2 parts
    logits, location, log_scale = params[:, :, 0], 0.5 + params[:, :, 1], params[:, :, 2] - 3.0
    logistic = stats.logistic(location, np.exp(log_scale))
    upper = np.where(x[..., None] == 1, 1.0, logistic.cdf(x[..., None] + 0.5 / 255))
    lower = np.where(x[..., None] == 0, 0.0, logistic.cdf(x[..., None] - 0.5 / 255))
    expected = np.log((special.softmax(logits, -1) * (upper - lower)).sum(-1)).sum(-1)
    likelihood = likelihoods.DiscretizedLogisticMixture(2)
    actual = likelihood.log_prob(x.astype("float32"), params.reshape(2, 3, 24))
    np.testing.assert_allclose(actual, expected, rtol=1e-3)
    assert likelihood.example_shape((24,)) == (4,)
    mean = likelihood.mean(params.reshape(2, 3, 24))
    assert mean.shape == (2, 3, 4)
    assert np.min(mean) >= 0
    assert np.max(mean) <= 1


@pytest.mark.parametrize("levels", [4, 256])
def test_the_levels_of_a_mixture_sum_to_one(levels):
    likelihood = likelihoods.DiscretizedLogisticMixture(3, levels)
    params = np.repeat(RNG.normal(size=(1, 1, 9)), levels, axis=1).astype("float32")
    x = (np.arange(levels) / (levels - 1)).astype("float32")[:, None]
    assert np.exp(likelihood.log_prob(x, params)).sum() == pytest.approx(1.0, abs=1e-3)


def table():
    parts = [likelihoods.Normal("per_feature"), likelihoods.Categorical(3), likelihoods.Poisson()]
    return built(likelihoods.Mixed(parts, [2, 1, 2]), (None, 7))


TABLE = np.float32([[0.3, -1.0, 2, 0, 5], [1.5, 0.2, 0, 3, 1]])


def test_a_table_is_the_sum_of_its_groups():
    likelihood, params = table(), RNG.normal(size=(3, 2, 7)).astype("float32")
    normal, classes, counts = likelihood.likelihoods
    expected = normal.log_prob(TABLE[:, :2], params[..., :2])
    expected += classes.log_prob(TABLE[:, 2:3], params[..., 2:5])
    expected += counts.log_prob(TABLE[:, 3:], params[..., 5:])
    np.testing.assert_allclose(likelihood.log_prob(TABLE, params), expected, rtol=1e-5)
    features = likelihood.feature_log_prob(TABLE, params)
    np.testing.assert_allclose(np.sum(features, -1), expected, rtol=1e-5)
    mean = np.asarray(likelihood.mean(params))
    np.testing.assert_array_equal(mean[..., :2], params[..., :2])
    np.testing.assert_array_equal(mean[..., 2], params[..., 2:5].argmax(-1))
    np.testing.assert_allclose(mean[..., 3:], np.exp(params[..., 5:]), rtol=1e-5)
    assert likelihood.example_shape(likelihood.params_shape((5,))) == (5,)


def test_a_table_names_the_columns_that_are_wrong():
    wrong = TABLE.copy()
    wrong[0, 3] = -1
    with pytest.raises(ValueError, match=r"`x\[..., 3:5\]` must lie in.*Received: "):
        table().check_support(wrong)
    with pytest.raises(ValueError, match=r"must be 7.*Received: "):
        table().example_shape((8,))
    with pytest.raises(ValueError, match=r"`columns` must .*Received: "):
        likelihoods.Mixed([likelihoods.Normal()], [1, 2])
    sequence = likelihoods.AutoregressiveSequence(likelihoods.Normal(), (3, 1))
    with pytest.raises(ValueError, match=r"`likelihoods` must .*Received: .*Autoregressive"):
        likelihoods.Mixed([likelihoods.Normal(), sequence], [1, 3])


@pytest.mark.parametrize(
    "make",
    [
        lambda: likelihoods.DiscretizedLogistic(1),
        lambda: likelihoods.Categorical(0),
        lambda: likelihoods.Laplace("best"),
    ],
)
def test_bad_arguments_are_refused(make):
    with pytest.raises(ValueError, match=r"`\w+` must be .*Received: "):
        make()
