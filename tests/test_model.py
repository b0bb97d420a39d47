import keras
import numpy as np
import pytest
from linear import principal_components

import keras_vae
from keras_vae import likelihoods, networks, recipes, runner


@pytest.mark.backends
def test_with_the_exact_posterior_every_importance_weight_is_the_likelihood():
    vae, model = principal_components()
    x = model.rvs(50, random_state=1).astype("float32")
    truth = model.logpdf(x)
    np.testing.assert_allclose(vae.log_likelihood(x, num_samples=3), truth, atol=2e-4)


def test_with_the_exact_posterior_the_elbo_is_the_likelihood_in_expectation():
    vae, model = principal_components()
    x = model.rvs(20_000, random_state=2).astype("float32")
    gap = vae.elbo(x, batch_size=1000) - model.logpdf(x)
    assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(len(x)) + 1e-5  # of float32
    vae.compile("sgd")
    loss = vae.evaluate(x, batch_size=1000, verbose=0, return_dict=True)["loss"]
    assert loss == pytest.approx(-vae.elbo(x, batch_size=1000).mean(), abs=0.05)  # random draws


def test_the_importance_weighted_bound_tightens_and_stays_below_the_truth():
    vae, model = principal_components()
    kernel, bias = vae.posterior.mean_layer.get_weights()
    vae.posterior.mean_layer.set_weights([kernel * 0.8, bias])  # no longer exact
    x = model.rvs(2000, random_state=3).astype("float32")
    truth = model.logpdf(x).mean()
    bounds = [vae.log_likelihood(x, num_samples=k, batch_size=500).mean() for k in (1, 10, 120)]
    assert bounds[0] < bounds[1] < bounds[2] < truth + 0.01
    assert truth - bounds[2] < 0.1 * (truth - bounds[0])


@pytest.mark.backends
def test_anomalies_score_higher():
    vae, model = principal_components()
    x = model.rvs(100, random_state=4).astype("float32")
    assert vae.anomaly_score(x + 5.0).min() > vae.anomaly_score(x).max()


@pytest.fixture(scope="module")
def vae():
    keras.utils.set_random_seed(0)
    return recipes.vae((8, 8, 1), latent_dim=3, seed=0)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).random((300, 8, 8, 1), "float32")


@pytest.mark.backends
def test_shapes_of_every_method(vae, x):
    assert vae.encode(x).shape == (300, 3)
    assert vae.encode(x, sample=True).shape == (300, 3)
    assert vae.predict(x, verbose=0).shape == x.shape
    assert vae.decode(np.zeros((5, 3))).shape == (5, 8, 8, 1)
    assert vae.generate(5).shape == (5, 8, 8, 1)
    assert vae.interpolate(x[0], x[1], steps=4).shape == (4, 8, 8, 1)
    assert (
        vae.elbo(x).shape
        == vae.anomaly_score(x).shape
        == vae.log_likelihood(x, num_samples=2).shape
        == (300,)
    )


@pytest.mark.backends
def test_one_image_is_a_batch_of_one(vae, x):
    np.testing.assert_array_equal(vae.predict(x[0], verbose=0), vae.predict(x[:1], verbose=0))
    assert vae.encode(x[0]).shape == (1, 3)


def test_tensors_are_taken_as_arrays_are(vae, x):
    z, mask, tensor = vae.encode(x), x > 0.5, keras.ops.convert_to_tensor
    np.testing.assert_array_equal(vae.encode(tensor(x)), z)
    np.testing.assert_array_equal(vae.decode(tensor(z)), vae.decode(z))
    filled = vae.impute(x, mask, num_samples=2)
    np.testing.assert_array_equal(vae.impute(tensor(x), tensor(mask), num_samples=2), filled)
    log_prob = vae.elbo(tensor(x))
    bits = keras_vae.evaluation.bits_per_dim(tensor(log_prob), x.shape[1:])
    np.testing.assert_allclose(bits, keras_vae.evaluation.bits_per_dim(log_prob, x.shape[1:]))


@pytest.mark.backends
def test_predict_decodes_the_mean_code(vae, x):
    logits = vae.decoder(vae.encode(x))
    expected = 1 / (1 + np.exp(-keras.ops.convert_to_numpy(logits)))
    np.testing.assert_allclose(vae.predict(x, verbose=0), expected, atol=1e-5)
    np.testing.assert_allclose(vae.decode(vae.encode(x)), expected, atol=1e-5)


@pytest.mark.backends
def test_sampled_codes_scatter_about_the_mean_as_the_posterior_says(vae, x):
    one = np.repeat(x[:1], 5000, axis=0)
    q = vae.infer(x[:1])
    mean, scale = q["mean"][0], np.exp(0.5 * q["log_variance"][0])
    codes = vae.encode(one, sample=True)
    assert np.all(np.abs(codes.mean(0) - mean) < 5 * scale / np.sqrt(5000))
    np.testing.assert_allclose(codes.std(0), scale, rtol=0.05)


def test_interpolation_starts_and_ends_at_the_reconstructions(vae, x):
    line = vae.interpolate(x[0], x[1], steps=3)
    np.testing.assert_allclose(line[[0, 2]], vae.predict(x[:2], verbose=0), atol=1e-5)


def test_many_codes_are_decoded_in_parts_as_in_one(vae, monkeypatch):
    monkeypatch.setattr(runner, "_BATCHES_A_PART", 3)
    z = np.random.default_rng(0).normal(size=(17, vae.posterior.latent_dim)).astype("float32")
    expected = np.concatenate([vae.decode(z[i : i + 1]) for i in range(17)])
    np.testing.assert_allclose(vae.decode(z, batch_size=2), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch_size", [2, 5, 16])
def test_many_batches_are_computed_as_one(vae, x, batch_size):
    x = np.random.default_rng(0).random((17, *x.shape[1:]), "float32")
    for found, expected in [
        (vae.infer(x, batch_size=batch_size), vae.infer(x)),
        (vae.predict(x, batch_size, verbose=0), vae.predict(x, verbose=0)),
        (vae.predict(x, batch_size, verbose=2), vae.predict(x, verbose=0)),
    ]:
        keras.tree.map_structure(_close, found, expected)


def _close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.backends
def test_generate_repeats_with_a_seed_and_cools_with_temperature(vae):
    np.testing.assert_array_equal(vae.generate(4, seed=7), vae.generate(4, seed=7))
    assert not np.array_equal(vae.generate(4), vae.generate(4))
    cold = vae.generate(4, temperature=0.0)
    np.testing.assert_allclose(cold, vae.decode(np.zeros((4, 3))), atol=1e-6)


@pytest.mark.backends
def test_reading_a_model_does_not_change_training(x):
    x = x[:64]

    def trained(look):
        keras.utils.set_random_seed(0)
        model = recipes.vae((8, 8, 1), seed=0)
        model.compile("adam")
        for _ in range(2):
            if look:
                model.generate(3), model.encode(x, sample=True), model.elbo(x), model.predict(x)
            model.fit(x, verbose=0, shuffle=False)
        return model.get_weights()

    for a, b in zip(trained(False), trained(True), strict=True):
        np.testing.assert_array_equal(a, b)


def test_large_images_get_convolutions():
    model = recipes.vae((70, 66, 3), latent_dim=4)
    assert any(isinstance(layer, keras.layers.Conv2D) for layer in model.encoder.layers)
    assert model.predict(np.zeros((2, 70, 66, 3), "float32"), verbose=0).shape == (2, 70, 66, 3)


def test_networks_without_known_shapes_are_built_by_the_first_batch():
    encoder = keras.Sequential([keras.layers.Dense(8, "relu")])
    decoder = keras.Sequential([keras.layers.Dense(8, "relu"), keras.layers.Dense(6)])
    model = keras_vae.VAE(encoder, decoder, keras_vae.posteriors.DiagonalNormal(2))
    model.compile("adam")
    model.fit(np.full((16, 6), 0.5, "float32"), verbose=0)
    assert model.built
    assert model.encode(np.zeros((3, 6), "float32")).shape == (3, 2)


@pytest.mark.backends
def test_the_bernoulli_loss_on_fashion_mnist_has_its_known_floor_and_collapse(fashion_mnist):
    """No model is below the entropy of the grey levels; one that ignores x gives the mean image."""
    x_train, x_test = fashion_mnist
    likelihood = likelihoods.Bernoulli()

    def loss(probability):
        p = np.clip(np.broadcast_to(probability, x_test.shape), 1e-7, 1 - 1e-7)
        logits = np.log(p / (1 - p)).astype("float32")
        return -float(keras.ops.mean(likelihood.log_prob(x_test, logits[None])))

    assert loss(x_test) == pytest.approx(189.86, abs=0.02)
    assert loss(x_train.mean(0)) == pytest.approx(385.02, abs=0.02)


@pytest.mark.backends
def test_a_decoder_for_another_latent_size_is_refused():
    encoder, decoder = networks.dense_encoder((6,)), networks.dense_decoder(3, (6,))
    with pytest.raises(ValueError, match=r"`decoder` must take codes.*Received"):
        keras_vae.VAE(encoder, decoder, keras_vae.posteriors.DiagonalNormal(2))


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="of torch")
@pytest.mark.backends
def test_torch_compile_is_refused():
    vae = keras_vae.recipes.vae((6,))
    with pytest.raises(ValueError, match="`jit_compile` must be left out"):
        vae.compile("adam", jit_compile=True)
