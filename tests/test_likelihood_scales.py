"""Scales that are learned or estimated: where they start, how low they go, and their files."""

import pathlib

import keras
import numpy as np
import pytest
from checks import built, load_committed, small_vae
from gradients import value_and_gradients
from keras import ops
from scipy import stats

import keras_vae
from keras_vae import likelihoods

DATA = pathlib.Path(__file__).parent / "data"
RNG = np.random.default_rng(0)
SHAPE = (None, 5)
X = RNG.normal(size=(4, 5)).astype("float32")
RAW = RNG.normal(size=(3, 4, 5)).astype("float32")  # 3 draws
MASK = RNG.random((4, 5)) > 0.4
WEIGHTS = np.float32([1, 2, 0, 0.5])
KINDS = [
    (likelihoods.Normal, 2, lambda x, raw, scale: stats.norm.logpdf(x, raw, scale)),
    (likelihoods.Laplace, 1, lambda x, raw, scale: stats.laplace.logpdf(x, raw, scale)),
]


def first_scale(power, axis=None, mask=None):
    """The weighted mean error of all draws."""
    seen = np.ones_like(X) if mask is None else mask
    weights = np.broadcast_to(seen * WEIGHTS[:, None], RAW.shape)
    error = np.abs(X - RAW) ** power
    return np.average(error, axis=axis, weights=weights) ** (1 / power)


def scale_of(likelihood):
    return np.exp(ops.convert_to_numpy(likelihood.current_log_scale()))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("scale", ["shared", "per_feature", "optimal"])
@pytest.mark.parametrize(("cls", "power", "truth"), KINDS)
def test_a_scale_starts_from_the_errors_of_the_first_batch(cls, power, truth, scale, masked):
    mask = MASK if masked else None
    likelihood = built(cls(scale), SHAPE)
    value = likelihood.training_log_prob(X, RAW, WEIGHTS, mask)
    expected = first_scale(power, (0, 1) if scale == "per_feature" else None, mask)
    np.testing.assert_allclose(scale_of(likelihood), expected, rtol=1e-5)
    features = truth(X, RAW, expected) * (1 if mask is None else mask)
    np.testing.assert_allclose(value, features.sum(-1), rtol=1e-4)
    np.testing.assert_allclose(likelihood.log_prob(X, RAW, mask), value, rtol=1e-5)


@pytest.mark.parametrize("scale", ["shared", "per_feature"])
@pytest.mark.parametrize(("cls", "power", "truth"), KINDS)
def test_only_the_first_batch_with_weight_starts_a_learned_scale(cls, power, truth, scale):
    likelihood = built(cls(scale), SHAPE)
    likelihood.training_log_prob(X, RAW, np.zeros(4, "float32"))
    np.testing.assert_array_equal(scale_of(likelihood), np.ones_like(scale_of(likelihood)))
    likelihood.training_log_prob(X, RAW, WEIGHTS)
    started = scale_of(likelihood)
    likelihood.training_log_prob(100 * X, RAW, WEIGHTS)
    np.testing.assert_array_equal(scale_of(likelihood), started)
    likelihood.log_scale.assign(likelihood.log_scale + 0.03)  # counts tenfold
    np.testing.assert_allclose(scale_of(likelihood), started * np.exp(0.3), rtol=1e-5)


def test_a_scale_that_was_set_is_left_alone():
    likelihood = built(likelihoods.Normal("shared"), SHAPE)
    likelihood.log_scale.assign(np.log(0.3))
    likelihood.training_log_prob(X, RAW, WEIGHTS)
    np.testing.assert_allclose(scale_of(likelihood), 0.3, rtol=1e-5)


def test_a_batch_that_is_not_finite_starts_nothing():
    likelihood = built(likelihoods.Normal("per_feature"), SHAPE)
    likelihood.training_log_prob(np.full_like(X, np.nan), RAW, WEIGHTS)
    likelihood.training_log_prob(X, RAW, WEIGHTS)
    np.testing.assert_allclose(scale_of(likelihood), first_scale(2, (0, 1)), rtol=1e-5)


def test_a_feature_that_no_row_has_starts_from_the_others():
    likelihood, mask = built(likelihoods.Laplace("per_feature"), SHAPE), np.ones((4, 5), bool)
    mask[:, 2] = False
    likelihood.training_log_prob(X, RAW, WEIGHTS, mask)
    np.testing.assert_allclose(scale_of(likelihood)[2], first_scale(1, None, mask), rtol=1e-5)


def test_the_steps_of_a_sequence_share_a_scale_for_each_feature():
    likelihood = built(likelihoods.Normal("per_feature"), (None, 1, 2))
    x = RNG.normal(size=(4, 7, 2)).astype("float32") * np.float32([1, 10])
    likelihood.training_log_prob(x, np.zeros((1, 4, 7, 2), "float32"), np.ones(4, "float32"))
    expected = np.sqrt((x**2).mean((0, 1)))[None]
    np.testing.assert_allclose(scale_of(likelihood), expected, rtol=1e-5)


def test_the_scale_of_a_feature_stays_above_a_hundredth_of_its_spread():
    x = (RNG.normal(size=(64, 3)) * [1, 100, 0] + [0, 1e3, 7]).astype("float32")
    raw = np.zeros((1, 64, 3), "float32")
    likelihood = built(likelihoods.Normal("per_feature"), (None, 3))
    likelihood.training_log_prob(x, raw, np.ones(64, "float32"))
    floor = 0.01 * np.array([*x.std(0)[:2], 7.0])  # the last is constant
    np.testing.assert_allclose(np.exp(likelihood.log_floor), floor, rtol=1e-3)
    likelihood.log_scale.assign([-1e4] * 3)
    assert np.all(scale_of(likelihood) > 0.999 * floor)
    assert np.all(scale_of(likelihood) < 1.7 * floor)


@pytest.mark.filterwarnings("ignore:`x` has columns")
@pytest.mark.parametrize("likelihood", [likelihoods.Normal, likelihoods.Laplace])
def test_a_model_trains_from_the_first_errors_and_a_file_keeps_the_start(likelihood, tmp_path):
    vae = small_vae((5,), likelihood=likelihood("shared"))
    x = 100.0 * RNG.normal(size=(32, 5)).astype("float32")
    vae.fit(x, batch_size=8, epochs=1, verbose=0)
    scale = scale_of(vae.likelihood)
    assert scale > 40
    assert ops.convert_to_numpy(vae.likelihood.started) == 1
    vae.save(tmp_path / "vae.keras")
    loaded = keras_vae.load_model(tmp_path / "vae.keras")
    np.testing.assert_array_equal(scale_of(loaded.likelihood), scale)


def test_a_file_whose_scales_started_from_1_still_loads():
    vae = load_committed(DATA / "format_1_scales.keras")
    with np.load(DATA / "format_1_scales.npz") as expected:
        found = [np.ravel(part.current_log_scale()) for part in vae.likelihood.likelihoods]
        np.testing.assert_allclose(np.concatenate(found), expected["log_scales"], rtol=1e-6)
        vae.fit(expected["x"], verbose=0)
    found = [np.ravel(part.current_log_scale()) for part in vae.likelihood.likelihoods]
    assert np.abs(np.concatenate(found)).max() < 0.7  # goes on from there


def stored(*values):
    """What a file holds of the variables of a part."""
    return {str(index): np.float32(value) for index, value in enumerate(values)}


@pytest.mark.parametrize("cls", [likelihoods.Normal, likelihoods.Laplace])
def test_a_file_whose_scales_moved_at_the_plain_rate_has_the_same_scale_as_then(cls):
    likelihood = built(cls("shared"), SHAPE)
    likelihood.training_log_prob(X, RAW, WEIGHTS)
    likelihood.load_own_variables(stored(-0.4, 0.7, -20.0, 1.0))
    np.testing.assert_allclose(scale_of(likelihood), np.exp(0.3), rtol=1e-6)
    likelihood.training_log_prob(X, RAW, WEIGHTS)
    np.testing.assert_allclose(scale_of(likelihood), np.exp(0.3), rtol=1e-6)


def test_a_file_from_before_the_first_batch_starts_as_a_new_scale_does():
    likelihood = built(likelihoods.Normal("shared"), SHAPE)
    likelihood.load_own_variables(stored(0.0, 0.0, -20.0, 0.0))
    likelihood.training_log_prob(X, RAW, WEIGHTS)
    np.testing.assert_allclose(scale_of(likelihood), first_scale(2), rtol=1e-5)
    assert ops.convert_to_numpy(likelihood.rate_multiple) == 10


def test_a_file_of_now_keeps_the_multiple():
    likelihood, again = (built(likelihoods.Laplace("per_feature"), SHAPE) for _ in range(2))
    likelihood.training_log_prob(X, RAW, WEIGHTS)
    likelihood.log_scale.assign([0.1, -0.1, 0.2, 0.0, 0.3])
    store = {}
    likelihood.save_own_variables(store)
    again.load_own_variables(store)
    np.testing.assert_array_equal(scale_of(again), scale_of(likelihood))


@pytest.mark.parametrize("scale", ["shared", "per_feature"])
@pytest.mark.parametrize("cls", [likelihoods.Normal, likelihoods.Laplace])
def test_a_learned_scale_keeps_up_with_errors_that_fall_tenfold(cls, scale):
    """The errors fall tenfold within 30 of 96 steps; at the plain rate a scale falls 2.6-fold."""
    noise = np.random.default_rng(0).laplace(size=(64, 5)).astype("float32")
    likelihood, raw, ones = built(cls(scale), SHAPE), np.zeros((1, 64, 5)), np.ones(64, "float32")
    optimizer = keras.optimizers.Adam(1e-2)
    optimizer.build(likelihood.trainable_variables)
    size = keras.Variable(0.64, trainable=False)

    def loss():
        x = size * noise
        return -ops.mean(likelihood.training_log_prob(x, ops.cast(raw, "float32"), ones))

    loss()  # starts the scale, also on JAX, where the gradients below keep no state
    for step in range(96):
        size.assign(0.64 * 0.1 ** min(step / 30, 1.0))
        _, gradients = value_and_gradients(loss, likelihood.trainable_variables)
        optimizer.apply(list(map(ops.convert_to_tensor, gradients)), likelihood.trainable_variables)
    power = 2 if cls is likelihoods.Normal else 1
    axis = 0 if scale == "per_feature" else None
    best = 0.064 * (np.abs(noise) ** power).mean(axis) ** (1 / power)
    np.testing.assert_allclose(scale_of(likelihood), best, rtol=0.1)


DECODERS = [likelihoods.Normal, likelihoods.Laplace, likelihoods.StudentT]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("cls", DECODERS)
def test_a_scale_from_the_decoder_counts_from_the_errors_of_the_first_batch(cls, masked):
    mask, likelihood = MASK if masked else None, built(cls("decoder"), (None, 10))
    params = np.concatenate([RAW, np.full_like(RAW, 0.2)], axis=-1)
    value = likelihood.training_log_prob(X, params, WEIGHTS, mask)
    power = 2 if cls is likelihoods.Normal else 1
    scale = np.exp(ops.convert_to_numpy(likelihood.current_log_scale(params)))
    expected = np.exp(0.2) * first_scale(power, (0, 1), mask)
    np.testing.assert_allclose(scale, np.broadcast_to(expected, scale.shape), rtol=1e-5)
    found = ops.convert_to_numpy(likelihood.log_prob(X, params, mask))
    np.testing.assert_allclose(found, ops.convert_to_numpy(value), rtol=1e-5)
    likelihood.training_log_prob(100 * X, params, WEIGHTS, mask)
    again = np.exp(ops.convert_to_numpy(likelihood.current_log_scale(params)))
    np.testing.assert_array_equal(again, scale)


@pytest.mark.parametrize("cls", DECODERS)
def test_a_scale_from_the_decoder_stays_above_a_hundredth_of_the_spread(cls):
    x = (RNG.normal(size=(64, 3)) * [1, 100, 0] + [0, 1e3, 7]).astype("float32")
    likelihood = built(cls("decoder"), (None, 6))
    likelihood.training_log_prob(x, np.zeros((1, 64, 6), "float32"), np.ones(64, "float32"))
    floor = 0.01 * np.array([*x.std(0)[:2], 7.0])  # the last is constant
    lowest = likelihood.current_log_scale(np.full((1, 6), -1e4, "float32"))
    lowest = np.exp(ops.convert_to_numpy(lowest))[0]
    assert np.all(lowest > 0.999 * floor)
    assert np.all(lowest < 1.7 * floor)


@pytest.mark.slow
def test_a_decoder_learns_where_the_noise_is_large():
    rng = np.random.default_rng(0)
    side = rng.integers(0, 2, (4000, 1))
    noise = rng.normal(size=(4000, 4)) * np.where(side, 1.0, 0.1)
    x = np.concatenate([3.0 * side - 1.5, noise], axis=1).astype("float32")
    bounds = {}
    for scale in ("per_feature", "decoder"):
        keras.utils.set_random_seed(0)
        vae = keras_vae.recipes.vae((5,), 2, likelihood=likelihoods.Normal(scale))
        vae.compile(keras.optimizers.Adam(3e-3))
        vae.fit(x, epochs=15, batch_size=100, verbose=0)
        bounds[scale] = vae.elbo(x).mean()
    assert bounds["decoder"] > bounds["per_feature"] + 0.5


@pytest.mark.slow
def test_a_constant_column_does_not_ruin_the_others():
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(500, 5)).astype("float32")
    x[:, 4] = 0
    vae = keras_vae.recipes.vae((5,), 2, likelihood=likelihoods.Normal("per_feature"))
    vae.compile(keras.optimizers.Adam(1e-2))
    assert max(vae.fit(x, epochs=30, batch_size=100, verbose=0).history["loss"][10:]) < 50


@pytest.mark.parametrize(
    ("cls", "truth"), [(likelihoods.Normal, stats.norm), (likelihoods.Laplace, stats.laplace)]
)
def test_a_scale_for_each_feature_is_that_of_scipy(cls, truth):
    likelihood, scale = built(cls("per_feature"), (None, 4)), np.array([0.1, 1.0, 2.0, 5.0])
    likelihood.log_scale.assign(np.log(scale))
    x, params = RNG.normal(size=(3, 4)), RNG.normal(size=(2, 3, 4)).astype("float32")
    expected = truth.logpdf(x, params, scale).sum(-1)
    np.testing.assert_allclose(
        ops.convert_to_numpy(likelihood.log_prob(x, params)), expected, rtol=1e-4
    )
    draws = ops.convert_to_numpy(likelihood.sample(ops.zeros((40_000, 4)), seed=0))
    np.testing.assert_allclose(draws.std(0), truth(scale=scale).std(), rtol=0.05)


def test_the_optimal_scale_is_that_of_what_is_observed():
    likelihood = built(likelihoods.Normal("optimal"), SHAPE)
    x, params = RNG.normal(size=(2, 4, 5)).astype("float32")
    mask, weights = RNG.random((4, 5)) > 0.4, np.float32([1, 2, 0, 1])
    likelihood.training_log_prob(np.where(mask, x, np.nan), params[None], weights, mask)
    expected = np.average((x - params) ** 2, weights=mask * weights[:, None])
    assert float(likelihood.variance) == pytest.approx(expected, rel=1e-5)
