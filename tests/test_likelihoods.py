import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from checks import built
from parts import of_role
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
        lambda: likelihoods.Ordinal(1),
        lambda: likelihoods.Laplace("best"),
    ],
)
def test_bad_arguments_are_refused(make):
    with pytest.raises(ValueError, match=r"`\w+` must be .*Received: "):
        make()


DF = [0.5, 1.0, 2.0, 3.7, 10.0, 100.0, 1e3, 1e4]
FAR = np.r_[0, np.geomspace(1e-4, 1e6, 41)] * np.where(np.arange(42) % 2, 1, -1)


@pytest.mark.parametrize("df", DF)
def test_student_t_is_that_of_scipy(df):
    x = FAR.astype("float32")[:, None]
    likelihood = built(likelihoods.StudentT(0.7, df), (None, 1))
    found = likelihood.log_prob(x, np.full((1, len(x), 1), 0.25, "float32"))[0]
    expected = stats.t.logpdf(x[:, 0].astype("float64"), df, 0.25, 0.7)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-5)


@pytest.mark.parametrize("df", [1e6, 1e8])
def test_student_t_of_many_degrees_of_freedom_is_a_normal(df):
    x = np.linspace(-5, 5, 21, dtype="float32")[:, None]
    likelihood = built(likelihoods.StudentT(1.0, df), (None, 1))
    found = likelihood.log_prob(x, np.zeros((1, len(x), 1), "float32"))[0]
    np.testing.assert_allclose(found, stats.norm.logpdf(x[:, 0]), atol=5e-4)


def minimised(likelihood, log_prob, steps, rate=0.01):
    """Fits the variables of a likelihood by Adam, which moves them by about its rate in a step."""
    optimizer, variables = keras.optimizers.Adam(rate), likelihood.trainable_variables
    optimizer.build(variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(log_prob())
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)

    for _ in range(steps):
        step()


def test_learned_degrees_of_freedom_start_at_ten_and_fit_the_tails():
    x = stats.t.rvs(3.0, size=(4000, 2), random_state=0).astype("float32")
    likelihood, params = built(likelihoods.StudentT(1.0), (None, 2)), np.zeros((1, 4000, 2))
    np.testing.assert_allclose(likelihood.current_degrees_of_freedom(), [10.0, 10.0], rtol=1e-6)
    minimised(likelihood, lambda: likelihood.log_prob(x, np.float32(params)), steps=120)
    best = [stats.t.fit(column, floc=0, fscale=1)[0] for column in x.T.astype("float64")]
    np.testing.assert_allclose(likelihood.current_degrees_of_freedom(), best, rtol=0.03)


def test_learned_degrees_of_freedom_stay_within_their_bounds():
    likelihood = built(likelihoods.StudentT(1.0), (None, 2))
    likelihood.log_excess.assign([-1e4, 1e4])
    low, high = np.asarray(likelihood.current_degrees_of_freedom())
    assert 1.02 < low < 1.03
    assert 3600 < high < 3700


def test_a_scale_that_student_t_cannot_have_is_refused():
    with pytest.raises(ValueError, match=r"`scale` must .*no formula.*Received: scale='optimal'"):
        likelihoods.StudentT("optimal")


@pytest.mark.parametrize("df", [0, -1.0, "shared", True, None, float("nan")])
def test_degrees_of_freedom_that_are_none_are_refused(df):
    with pytest.raises(ValueError, match=r"`degrees_of_freedom` must .*Received: degrees"):
        likelihoods.StudentT(1.0, df)


TWO = RNG.normal(size=(2, 3, 4, 10)).astype("float32")  # a location and a log-scale for 5 features
LOCATION, LOG_SCALE = TWO[..., :5].astype("float64"), TWO[..., 5:].astype("float64")


def of_log_normal(x, location, scale):
    return stats.lognorm.logpdf(x, scale, scale=np.exp(location))


def of_student_t(x, location, scale):
    return stats.t.logpdf(x, 3.0, location, scale)


@pytest.mark.parametrize(
    ("make", "truth"),
    [
        (likelihoods.Normal, stats.norm.logpdf),
        (likelihoods.Laplace, stats.laplace.logpdf),
        (lambda scale: likelihoods.StudentT(scale, 3.0), of_student_t),
        (likelihoods.LogNormal, of_log_normal),
    ],
    ids=["Normal", "Laplace", "StudentT", "LogNormal"],
)
def test_a_scale_from_the_decoder_is_that_of_scipy(make, truth):
    likelihood, x = built(make("decoder"), (None, 4, 10)), RNG.lognormal(size=(3, 4, 5))
    expected = truth(x, LOCATION, np.exp(LOG_SCALE)).sum((2, 3))
    np.testing.assert_allclose(likelihood.log_prob(x, TWO), expected, rtol=1e-4)
    assert likelihood.params_shape((4, 5)) == (4, 10)
    assert likelihood.example_shape((4, 10)) == (4, 5)
    assert likelihood.mean(tf.constant(TWO)).shape == (2, 3, 4, 5)
    with pytest.raises(ValueError, match=r"multiple of 2.*Received"):
        likelihood.example_shape((4, 9))


@pytest.mark.parametrize("scale", [0.6, "shared", "per_feature"])
def test_log_normal_is_that_of_scipy(scale):
    likelihood, x = built(likelihoods.LogNormal(scale), SHAPE), RNG.lognormal(size=(3, 4, 5))
    expected = stats.lognorm.logpdf(x, scale if scale == 0.6 else 1.0, scale=np.exp(RAW))
    np.testing.assert_allclose(likelihood.log_prob(x, RAW), expected.sum((2, 3)), rtol=1e-4)


@pytest.mark.parametrize("scale", ["shared", "per_feature", "optimal", "decoder"])
def test_log_normal_starts_its_scale_from_the_errors_of_the_logarithms(scale):
    x, params = RNG.lognormal(size=(50, 4)).astype("float32"), np.zeros((1, 50, 4), "float32")
    raw = np.zeros((1, 50, 8), "float32") if scale == "decoder" else params
    likelihood = built(likelihoods.LogNormal(scale), (None, raw.shape[-1]))
    likelihood.training_log_prob(x, raw, np.ones(50, "float32"))
    axis = 0 if scale in ("per_feature", "decoder") else None
    expected = stats.lognorm.logpdf(x, np.sqrt((np.log(x) ** 2).mean(axis))).sum(1)
    np.testing.assert_allclose(likelihood.log_prob(x, raw)[0], expected, rtol=1e-4)


def test_the_mean_of_log_normal_is_that_of_scipy_and_finite():
    likelihood, params = built(likelihoods.LogNormal(0.6), (None, 3)), np.float32([[-1, 0.5, 2]])
    np.testing.assert_allclose(
        likelihood.mean(params), stats.lognorm.mean(0.6, scale=np.exp(params)), rtol=1e-5
    )
    mean = likelihood.mean(np.float32([[-1e4, 0, 1e4]]))
    assert np.all(np.isfinite(mean) & (np.asarray(mean) > 0))


def test_log_normal_shows_networks_the_logarithm():
    x = RNG.lognormal(size=(3, 2)).astype("float32")
    table = likelihoods.Mixed([likelihoods.LogNormal(), likelihoods.Ordinal(3)], [2, 1])
    shown = table.as_input(tf.constant(np.c_[x, [0, 1, 2]], tf.float32))
    np.testing.assert_allclose(shown, np.c_[np.log(x), [-1, 0, 1]], rtol=1e-5, atol=1e-6)


def ordinal(classes=4, features=2, raw=None):
    likelihood = built(likelihoods.Ordinal(classes), (None, features))
    if raw is not None:
        likelihood.raw_thresholds.assign(raw)
    return likelihood


def log_mass(lower, upper):
    """The log of sigmoid(upper) - sigmoid(lower) in float64, from the side where both are small."""
    flip = lower + upper > 0
    lower, upper = np.where(flip, -upper, lower), np.where(flip, -lower, upper)
    below = np.log(-np.expm1(special.log_expit(lower) - special.log_expit(upper)))
    return special.log_expit(upper) + below


@pytest.mark.parametrize("size", [0.1, 1.0, 20.0, 300.0])
def test_ordinal_is_the_difference_of_two_sigmoids(size):
    likelihood = ordinal(raw=RNG.normal(scale=0.1, size=(2, 3)))
    x, params = RNG.integers(0, 4, (9, 2)), size * RNG.normal(size=(3, 9, 2)).astype("float32")
    inner = np.asarray(likelihood.thresholds(), "float64")
    edges = np.concatenate([np.full((2, 1), -1e9), inner, np.full((2, 1), 1e9)], axis=-1)
    lower, upper = (edges[np.arange(2), x + i] - params.astype("float64") for i in (0, 1))
    expected = log_mass(lower, upper)
    np.testing.assert_allclose(
        likelihood.feature_log_prob(np.float32(x), params), expected, rtol=1e-5, atol=2e-5
    )


def test_ordinal_starts_with_classes_that_are_equally_likely():
    p = np.exp(ordinal(5, 1).log_prob(np.arange(5.0)[:, None], np.zeros((1, 5, 1), "float32")))
    np.testing.assert_allclose(p, np.full((1, 5), 0.2), rtol=1e-5)


def test_ordinal_of_two_classes_is_bernoulli():
    x, params = RNG.integers(0, 2, (6, 3)), RNG.normal(size=(2, 6, 3)).astype("float32")
    found = ordinal(2, 3).log_prob(x, params)
    np.testing.assert_allclose(found, Bernoulli().log_prob(x, params), rtol=1e-5)


@pytest.mark.parametrize("size", [1.0, 100.0, 1e4])
def test_thresholds_stay_in_order_and_every_class_possible(size):
    likelihood = ordinal(6, 2, size * RNG.normal(size=(2, 5)))
    assert np.all(np.diff(np.asarray(likelihood.thresholds(), "float64")) >= 0)
    x = np.repeat(np.arange(6.0)[:, None], 2, axis=1)
    assert np.isfinite(likelihood.log_prob(x, np.zeros((1, 6, 2), "float32"))).all()


def test_thresholds_are_learned_from_the_frequencies_of_the_classes():
    shares = np.array([0.7, 0.05, 0.2, 0.05])
    x, likelihood = np.repeat(np.arange(4.0), (1000 * shares).astype(int))[:, None], ordinal(4, 1)
    params = np.zeros((1, 1000, 1), "float32")
    minimised(likelihood, lambda: likelihood.log_prob(x, params), steps=100)
    found = special.expit(np.asarray(likelihood.thresholds())[0])
    np.testing.assert_allclose(found, np.cumsum(shares)[:-1], atol=5e-3)


def test_the_mean_of_ordinal_is_the_median_class():
    likelihood = ordinal(4, 1)  # thresholds -1.1, 0 and 1.1
    params = np.float32([-2.0, -0.5, 0.5, 3.0])[:, None]
    np.testing.assert_array_equal(likelihood.mean(params)[:, 0], [0, 1, 2, 3])
    p = [np.exp(likelihood.log_prob(np.full((4, 1), k), params[None]))[0] for k in range(4)]
    distance = np.abs(np.arange(4)[:, None] - np.arange(4)) @ np.array(p)  # of each guess
    np.testing.assert_array_equal(distance.argmin(0), [0, 1, 2, 3])


def test_the_class_of_a_mixture_of_ordinals_is_the_median_of_all_draws():
    likelihood, params = ordinal(4, 1), np.float32([[[-9.0]], [[9.0]], [[0.5]]])
    for shares, median in (([0.6, 0.2, 0.2], 0), ([0.2, 0.6, 0.2], 3), ([0.3, 0.3, 0.4], 2)):
        found = likelihood.mixture_mean(tf.constant(params), tf.constant(shares)[:, None])
        np.testing.assert_array_equal(found, [[median]])


@pytest.mark.parametrize("kind", ["Poisson", "NegativeBinomial"])
def test_a_zero_inflated_likelihood_is_a_mixture_with_zero(kind):
    x, raw = RNG.poisson(1.0, (3, 4, 5)), np.concatenate([RAW, WIDE], axis=-1)
    counts = getattr(likelihoods, kind)()
    likelihood = built(likelihoods.ZeroInflated(counts), (None, 4, 10))
    mean, extra = np.exp(RAW.astype("float64")), special.expit(WIDE.astype("float64"))
    truth = stats.poisson(mean) if kind == "Poisson" else stats.nbinom(1.0, 1 / (1 + mean))
    expected = np.log(extra * (x == 0) + (1 - extra) * truth.pmf(x))
    np.testing.assert_allclose(likelihood.feature_log_prob(np.float32(x), raw), expected, rtol=1e-4)
    np.testing.assert_allclose(likelihood.mean(raw), (1 - extra) * mean, rtol=1e-5)
    assert likelihood.params_shape((4, 5)) == (4, 10)
    if counts.weights:
        assert counts.log_dispersion.shape == (4, 5)


@pytest.mark.parametrize("logit", [-1e4, -50.0, 50.0, 1e4])
def test_extra_zeros_may_be_certain_or_impossible(logit):
    likelihood, params = likelihoods.ZeroInflated(likelihoods.Poisson()), np.float32([1.0, logit])
    x = np.float32([[0], [2]])
    found = likelihood.log_prob(x, np.tile(params, (1, 2, 1)))[0]
    zero, two = stats.poisson.logpmf([0, 2], np.e)
    log_extra, log_counts = special.log_expit([logit, -logit])
    expected = [np.logaddexp(log_extra, log_counts + zero), log_counts + two]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "part", [likelihoods.Bernoulli(), likelihoods.Categorical(3), "poisson", None]
)
def test_only_counts_may_be_zero_inflated(part):
    with pytest.raises(ValueError, match=r"`likelihood` must be Poisson.*Received: likelihood="):
        likelihoods.ZeroInflated(part)


NEW = {
    name: example
    for name, example in of_role("likelihood").items()
    if name.startswith(("StudentT", "LogNormal", "Ordinal", "ZeroInflated"))
    or name in ("Normal decoder", "Laplace decoder", "Mixed wide")
}


@pytest.mark.parametrize("name", NEW)
def test_what_is_missing_counts_for_nothing_in_any_of_several_draws(name):
    make, mask = NEW[name].make, RNG.random((6, 4)) > 0.4
    shape, weights = make().params_shape((4,)), np.float32([1, 0, 2, 1, 1, 0.5])
    x = np.where(mask, RNG.integers(1, 3, (6, 4)), np.nan).astype("float32")
    params = tf.constant(RNG.normal(size=(3, 6, *shape)), "float32")
    for density in (
        lambda likelihood, x: likelihood.log_prob(x, params, mask),
        lambda likelihood, x: likelihood.training_log_prob(x, params, weights, mask),
    ):
        likelihood = built(make(), (None, *shape))
        with tf.GradientTape() as tape:
            tape.watch(params)
            value = density(likelihood, x)
        assert value.shape == (3, 6)
        assert np.isfinite(value).all()
        assert np.isfinite(tape.gradient(value, params)).all()
        filled = likelihood.filled(x, mask)
        features = likelihood.feature_log_prob(filled, params)
        expected = np.where(mask, features, 0).sum(-1)
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NEW)
@pytest.mark.parametrize("size", [30.0, 1e4])
def test_gradients_are_finite_wherever_a_decoder_goes(name, size):
    likelihood, shape = NEW[name].make(), NEW[name].make().params_shape((4,))
    built(likelihood, (None, *shape))
    x = np.float32(RNG.integers(1, 3, (8, 4)))
    params = tf.constant(size * RNG.choice([-1.0, 1.0], (1, 8, *shape)), "float32")
    with tf.GradientTape() as tape:
        tape.watch(params)
        value = likelihood.log_prob(x, params)
    variables = likelihood.trainable_variables
    found = tape.gradient(value, [params, *[v.value for v in variables]])
    assert np.isfinite(value).all()
    assert all(np.isfinite(gradient).all() for gradient in found)


def rescaled_normals():
    return likelihoods.Rescaled(likelihoods.Normal(0.5), [20.0, 0.3])


EDGES = [[-3.0, -0.5, 0.0, 0.2, 4.0], [0.0, 0.4, 1.0]]
FREQUENCIES = [[1, 5, 3, 1], [2, 1]]


def histogram_of_features(logits):
    """log p(x) of each feature, by NumPy's own histograms and exponential tails."""
    size = [0.1 * (edges[-1] - edges[0]) for edges in EDGES]
    own = [np.r_[row[: len(f)], row[-2:]] for row, f in zip(logits, FREQUENCIES, strict=True)]
    start = [np.log(np.r_[np.array(f) / sum(f), 1e-5, 1e-5]) for f in FREQUENCIES]
    p = [special.softmax(row + s) for row, s in zip(own, start, strict=True)]

    def log_density(x, i):
        edges, tail = EDGES[i], stats.expon(scale=size[i])
        inside = stats.rv_histogram((p[i][:-2], edges), density=False).pdf(x) * p[i][:-2].sum()
        beyond = p[i][-2] * tail.pdf(edges[0] - x) * (x < edges[0])
        beyond += p[i][-1] * tail.pdf(x - edges[-1]) * (x >= edges[-1])
        return np.log(np.where((x >= edges[0]) & (x < edges[-1]), inside, beyond))

    return log_density


def test_a_histogram_has_the_density_of_its_bins_and_tails():
    logits = np.random.default_rng(0).normal(size=(2, 6)) * 2
    likelihood = built(likelihoods.Histogram(EDGES, FREQUENCIES), (None, 12))
    x = np.linspace(-9, 9, 2001).astype("float32")
    params = np.tile(logits.reshape(1, 1, 12).astype("float32"), (1, len(x), 1))
    found = np.asarray(likelihood.feature_log_prob(np.stack([x, x], 1), params))[0]
    truth = histogram_of_features(logits)
    for i in (0, 1):
        expected = truth(x.astype("float64"), i)
        np.testing.assert_allclose(found[:, i], expected, rtol=1e-4, atol=2e-4)
    assert integrate.trapezoid(np.exp(found[:, 0]), x) == pytest.approx(1.0, abs=0.02)


def test_a_histogram_starts_from_the_frequencies():
    likelihood = built(likelihoods.Histogram(EDGES, FREQUENCIES), (None, 12))
    x = np.float32([[-1.0, 0.2]])
    found = np.asarray(likelihood.feature_log_prob(x, np.zeros((1, 1, 12), "float32")))[0, 0]
    np.testing.assert_allclose(found, np.log([0.1 / 2.5, 2 / 3 / 0.4]), atol=1e-4)


@pytest.mark.parametrize(
    "make",
    [
        lambda: likelihoods.Histogram([]),
        lambda: likelihoods.Histogram([[0.0]]),
        lambda: likelihoods.Histogram([[0.0, 0.0]]),
        lambda: likelihoods.Histogram([[0.0, np.nan]]),
        lambda: likelihoods.Histogram([[1e9, 1e9 + 1]]),
        lambda: likelihoods.Histogram([[0.0, 1.0]], [[1.0, 2.0]]),
        lambda: likelihoods.Histogram([[0.0, 1.0]], [[-1.0]]),
        lambda: likelihoods.Histogram([[0.0, 1.0]], [[np.nan]]),
        lambda: likelihoods.Rescaled(likelihoods.Normal(), [1.0, 0.0]),
        lambda: likelihoods.Rescaled(likelihoods.Normal(), [np.nan]),
        lambda: likelihoods.Rescaled(likelihoods.Normal(), 2.0),
    ],
)
def test_bad_bins_and_scales_are_refused(make):
    with pytest.raises(ValueError, match=r"(?s)`\w+` must .*Received: "):
        make()


@pytest.mark.parametrize("make", [lambda: likelihoods.Histogram(EDGES), rescaled_normals])
def test_a_decoder_of_another_number_of_features_is_refused(make):
    with pytest.raises(ValueError, match=r"must .*Received: "):
        make().example_shape((18,))


def test_a_rescaled_likelihood_is_the_density_in_the_original_units():
    x = np.random.default_rng(0).normal(size=(5, 2)) * [20.0, 0.3] + [100.0, 2.0]
    likelihood = built(rescaled_normals(), (None, 2))
    params = np.zeros((1, 5, 2), "float32")
    scaled = ((x - [100.0, 2.0]) / [20.0, 0.3]).astype("float32")
    expected = stats.norm.logpdf(x, [100.0, 2.0], 0.5 * np.array([20.0, 0.3]))
    found = likelihood.feature_log_prob(scaled, params)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(likelihood.log_prob(scaled, params)[0], expected.sum(1), rtol=1e-4)
    mask = np.array([[True, False]] * 5)
    found = likelihood.log_prob(scaled, params, mask)[0]
    np.testing.assert_allclose(found, expected[:, 0], rtol=1e-4)
    trained = likelihood.training_log_prob(scaled, params, np.ones(5, "float32"), mask)[0]
    np.testing.assert_allclose(trained, expected[:, 0], rtol=1e-4)
