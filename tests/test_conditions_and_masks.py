"""Batches of more than x: conditions and missing values."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from checks import binary, built, small_vae
from parts import of_role
from scipy import stats

import keras_vae
from keras_vae import VAE, likelihoods, networks, objectives, priors, recipes

pytestmark = pytest.mark.tensorflow

RNG = np.random.default_rng(0)


def conditional(encoder=4, decoder=4, **parts):
    keras.utils.set_random_seed(0)
    vae = VAE(
        networks.dense_encoder((6,), units=(8,), condition_dim=encoder),
        networks.dense_decoder(2, (6,), units=(8,), condition_dim=decoder),
        seed=0,
        **parts,
    )
    vae.compile(keras.optimizers.Adam(0.01))
    return vae


CLASSES = np.arange(32) % 4


def test_class_indices_are_one_hot_vectors():
    x, one_hot = binary(32, (6,)), np.eye(4, dtype="float32")[CLASSES]
    a, b = (
        conditional().fit({"x": x, "condition": c}, epochs=2, verbose=0).history["loss"]
        for c in (CLASSES, one_hot)
    )
    assert a == b


@pytest.mark.parametrize(("encoder", "decoder"), [(4, None), (None, 4), (4, 4)])
def test_a_condition_reaches_the_networks_that_take_it(encoder, decoder):
    vae, x = conditional(encoder, decoder), binary(32, (6,))
    other = (CLASSES + 1) % 4
    codes = [vae.encode({"x": x, "condition": c}) for c in (CLASSES, other)]
    assert np.array_equal(*codes) == (encoder is None)
    if decoder:
        images = [vae.decode(codes[0], condition=c) for c in (CLASSES, other)]
        assert not np.array_equal(*images)


def test_a_condition_reaches_the_prior_in_training_and_generation():
    vae = conditional(prior=priors.ConditionalNormal(4))
    means = np.float32([[5, 0], [0, 5], [-5, 0], [0, -5]])
    vae.prior.mean_layer.set_weights([means, np.zeros(2, "float32")])
    given = vae.prior.condition_on(np.eye(4, dtype="float32")[CLASSES])
    z = RNG.normal(size=(3, 32, 2)).astype("float32")
    expected = stats.norm(means[CLASSES]).logpdf(z).sum(-1)
    np.testing.assert_allclose(given.log_prob(z), expected, rtol=1e-4)
    logs = vae.fit({"x": binary(32, (6,)), "condition": CLASSES}, verbose=0).history
    assert logs["kl_loss"][0] > 5  # far from each class's mean
    assert vae.generate(3, condition=2).shape == (3, 6)


def test_one_class_serves_all_rows_and_a_vector_too():
    vae = conditional()
    images = [vae.generate(3, seed=1, condition=c) for c in (2, [2, 2, 2], np.eye(4)[2])]
    np.testing.assert_allclose(images[0], images[1], rtol=1e-6)
    np.testing.assert_allclose(images[0], images[2], rtol=1e-6)


def test_a_conditional_model_learns_from_a_dataset_and_survives_its_file(tmp_path):
    vae, x = conditional(), binary(32, (6,))
    batch = {"x": x, "condition": CLASSES}
    data = tf.data.Dataset.from_tensor_slices(batch).batch(8)
    vae.fit(data, validation_data=data, verbose=0)
    vae.save(tmp_path / "vae.keras")
    loaded = keras_vae.load_model(tmp_path / "vae.keras")
    np.testing.assert_array_equal(loaded.elbo(batch), vae.elbo(batch))
    np.testing.assert_allclose(vae.encode(data), vae.encode(batch), atol=1e-6)
    assert loaded.predict(batch, verbose=0).shape == x.shape
    assert loaded.interpolate(
        {"x": x[0], "condition": 1}, {"x": x[1], "condition": 2}, 5, condition=1
    ).shape == (5, 6)


@pytest.mark.parametrize(
    "condition",
    [
        None,
        CLASSES + 1,
        CLASSES - 1,
        CLASSES + 0.5,
        CLASSES[:5],
        np.ones((32, 3)),
        CLASSES * np.nan,
    ],
)
def test_a_bad_condition_is_refused(condition):
    vae, batch = conditional(), {"x": binary(32, (6,))}
    if condition is not None:
        batch["condition"] = condition
    with pytest.raises(ValueError, match=r"`condition` must .*Received: "):
        vae.fit(batch, verbose=0)


def test_a_condition_for_networks_without_one_is_refused():
    with pytest.raises(ValueError, match=r"`condition` must .*Received: "):
        small_vae((6,)).fit({"x": binary(32, (6,)), "condition": CLASSES}, verbose=0)
    with pytest.raises(ValueError, match=r"`condition` must .*Received: "):
        conditional().generate(3)
    with pytest.raises(ValueError, match=r"'mask' and 'target_mask'.*Received: "):
        small_vae((6,)).fit({"x": binary(32, (6,)), "classes": CLASSES}, verbose=0)


def missing(rows=32, share=0.3):
    x = binary(rows, (6,))
    mask = RNG.random(x.shape) > share
    return x, mask


@pytest.mark.slow
def test_what_is_at_missing_entries_does_not_matter():
    x, mask = missing()
    logs = []
    for value in (np.nan, 0.0, 1e9):
        batch = {"x": np.where(mask, x, value).astype("float32"), "mask": mask}
        vae = small_vae((6,))
        vae.fit(batch, epochs=2, verbose=0, validation_data=batch)
        logs.append(vae.elbo(batch))
    np.testing.assert_array_equal(logs[0], logs[1])
    np.testing.assert_array_equal(logs[0], logs[2])


def test_a_mask_of_ones_changes_nothing():
    x = binary(32, (6,))
    a = small_vae((6,)).fit(x, verbose=0, shuffle=False).history
    b = small_vae((6,)).fit({"x": x, "mask": np.ones_like(x)}, verbose=0, shuffle=False).history
    np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-6)


def test_metrics_take_missing_values_for_right():
    x, mask = missing()
    vae = small_vae((6,))
    vae.compile("adam", metrics=["mae"])
    batch = {"x": np.where(mask, x, np.nan).astype("float32"), "mask": mask}
    assert 0 < vae.evaluate(batch, return_dict=True, verbose=0)["mae"] < 1


@pytest.mark.parametrize(
    "mask", [np.ones((32, 5)), np.ones(32), np.full((32, 6), 0.5), np.full((32, 6), 2)]
)
def test_a_bad_mask_is_refused(mask):
    with pytest.raises(ValueError, match=r"`mask` must .*Received: mask"):
        small_vae((6,)).fit({"x": binary(32, (6,)), "mask": mask}, verbose=0)


def test_missing_values_without_a_mask_are_refused_with_a_hint():
    with pytest.raises(ValueError, match=r"`x` must be finite.*mask.*Received: x"):
        small_vae((6,)).fit(np.full((4, 6), np.nan), verbose=0)


def linear_gaussian():
    """z ~ N(0, I), x ~ N(W z, 0.5²): all conditionals have closed forms."""
    vae = VAE(
        networks.dense_encoder((4,), ()),
        networks.dense_decoder(2, (4,), ()),
        likelihood=likelihoods.Normal(0.5),
        seed=0,
    )
    weights = np.float32([[1.0, 0.5, -0.5, 0.8], [0.2, -1.0, 0.6, 0.4]])
    vae.decoder.set_weights([weights, np.zeros(4, "float32")])
    vae.posterior.set_weights([np.zeros_like(w) for w in vae.posterior.get_weights()])  # q = p(z)
    return vae, weights.T @ weights + 0.25 * np.eye(4)


def test_imputed_values_are_the_conditional_means():
    vae, covariance = linear_gaussian()
    x = RNG.multivariate_normal(np.zeros(4), covariance, 20).astype("float32")
    mask = np.tile([True, True, False, True], (20, 1))
    seen = [0, 1, 3]
    gain = covariance[2, seen] @ np.linalg.inv(covariance[np.ix_(seen, seen)])
    filled = vae.impute(np.where(mask, x, np.nan), mask, num_samples=20_000, batch_size=4)
    np.testing.assert_array_equal(filled[mask], x[mask])
    np.testing.assert_allclose(filled[:, 2], x[:, seen] @ gain, atol=0.08)


def test_imputed_classes_are_classes():
    vae = small_vae((6,), likelihood=likelihoods.Categorical(3))
    x, mask = missing()
    filled = vae.impute(x, mask, num_samples=20)
    assert set(np.unique(filled)) <= {0.0, 1.0, 2.0}


def test_the_likelihood_of_what_is_observed_is_the_marginal_one():
    vae, covariance = linear_gaussian()
    x = RNG.multivariate_normal(np.zeros(4), covariance, 5).astype("float32")
    mask = np.tile([True, False, True, True], (5, 1))
    seen = [0, 2, 3]
    expected = stats.multivariate_normal(np.zeros(3), covariance[np.ix_(seen, seen)])
    actual = vae.log_likelihood({"x": x, "mask": mask}, num_samples=20_000, batch_size=5)
    np.testing.assert_allclose(actual, expected.logpdf(x[:, seen]), atol=0.1)


@pytest.mark.slow
def test_a_model_of_incomplete_data_imputes_better_than_the_mean():
    rng = np.random.default_rng(1)
    z = rng.normal(size=(2000, 1))
    x = (z @ np.ones((1, 5)) + 0.1 * rng.normal(size=(2000, 5))).astype("float32")
    mask = rng.random(x.shape) > 0.3
    vae = recipes.miwae((5,), latent_dim=2, seed=0)
    vae.compile(keras.optimizers.Adam(3e-3))
    vae.fit({"x": np.where(mask, x, np.nan), "mask": mask}, epochs=10, batch_size=100, verbose=0)
    filled = vae.impute(np.where(mask, x, np.nan), mask, num_samples=100)
    error = np.sqrt(np.mean((filled - x)[~mask] ** 2))
    assert error < 0.4 * x.std()


def test_noise_outside_the_support_may_be_denoised():
    x = binary(32, (6,))
    noisy = x + RNG.normal(size=x.shape).astype("float32")
    vae = small_vae((6,))
    vae.fit(noisy, x, verbose=0)
    with pytest.raises(ValueError, match=r"`x` must lie in"):
        vae.fit(noisy, verbose=0)
    with pytest.raises(ValueError, match=r"`x` must be finite"):
        vae.fit(noisy * np.nan, x, verbose=0)


@pytest.mark.slow
def test_a_fitted_prior_raises_the_elbo_and_leaves_the_networks_alone(tmp_path):
    x = binary(400, (6,))
    vae = small_vae((6,), objective=objectives.ELBO(beta=0.0))  # codes far from the prior
    vae.fit(x, epochs=3, verbose=0)
    weights = vae.get_weights()
    for prior in (None, priors.LearnedNormal(), priors.FlowPrior()):
        fitted = vae.fit_prior(x, prior, epochs=20, batch_size=100, verbose=0)
        for before, after in zip(weights, vae.get_weights(), strict=True):
            np.testing.assert_array_equal(before, after)
        assert fitted.elbo(x).mean() > vae.elbo(x).mean()
        assert fitted.generate(3).shape == (3, 6)
        fitted.fit(x, verbose=0)  # the networks train on
        assert not np.array_equal(weights[0], vae.get_weights()[0])
        vae.set_weights(weights)
        fitted.save(tmp_path / "vae.keras")
        loaded = keras_vae.load_model(tmp_path / "vae.keras")
        np.testing.assert_array_equal(loaded.generate(3, seed=1), fitted.generate(3, seed=1))


MASKED = {
    name: (example.make(), example.x_shapes[-1])
    for name, example in of_role("likelihood").items()
    if len(example.x_shapes[-1]) == 1
}
MASKED["Mixed of Beta"] = (
    likelihoods.Mixed([likelihoods.Beta(), likelihoods.Poisson()], [2, 3]),
    (5,),
)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", MASKED)
def test_a_missing_value_counts_for_nothing_and_has_no_gradient(name, training):
    likelihood, (count,) = MASKED[name]
    params_shape = likelihood.params_shape((count,))
    if not likelihood.built:
        built(likelihood, (None, *params_shape))
    whole = RNG.integers(0, 2, (4, count)).astype("float32")
    whole = 0.25 + 0.5 * whole if likelihood.open_support else whole
    whole[:, :2] = 0.25 if name == "Mixed of Beta" else whole[:, :2]
    mask = RNG.random((4, count)) > 0.4
    x = np.where(mask, whole, np.nan).astype("float32")
    params = tf.constant(RNG.normal(size=(2, 4, *params_shape)), "float32")
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(params)
        if training:
            values = likelihood.training_log_prob(x, params, np.ones(4, "float32"), mask)
        else:
            values = likelihood.log_prob(x, params, mask)
        features = likelihood.feature_log_prob(whole, params)
        single = [features[..., i] for i in range(count)]
    if not (training and name == "Normal optimal"):
        np.testing.assert_allclose(values, (features * mask).numpy().sum(-1), rtol=1e-4)
    gradient = tape.gradient(values, params)
    assert np.isfinite(gradient).all()
    # what the parameters of a missing feature do to that feature alone
    reach = [np.abs(tape.gradient(single[i], params)) > 0 for i in range(count)]
    only_missing = np.zeros(gradient.shape, bool)
    for i in range(count):
        others = np.any([reach[j] for j in range(count) if j != i], axis=0)
        only_missing |= reach[i] & ~others & ~mask[None, :, i, None]
    assert only_missing.any()
    assert np.all(gradient.numpy()[only_missing] == 0)
