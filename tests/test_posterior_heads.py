"""Encoders that return mean and log-variance themselves."""

import keras
import numpy as np
import pytest
from checks import dtype_policy
from keras import layers, ops

import keras_vae
from keras_vae import flows, networks, posteriors, priors

RNG = np.random.default_rng(0)
X = RNG.random((20, 6)).astype("float32")
PATTERN = np.tile(np.float32([0, 1, 0, 1, 1, 0]), (20, 1))  # soon learned


def encoder(outputs=2, latent_dim=2):
    """x to a mean, a log-variance, and where there are three outputs a stand-in for a sample."""
    x = inputs = keras.Input((6,))
    hidden = layers.Dense(8, "tanh")(x)
    heads = [layers.Dense(latent_dim)(hidden) for _ in range(2)]
    return keras.Model(inputs, [*heads, layers.Add()(heads)][:outputs])


def made(network, **parts):
    decoder = networks.dense_decoder(2, (6,), units=(8,))
    vae = keras_vae.VAE(network, decoder, seed=0, **parts)
    vae.compile(keras.optimizers.Adam(0.01))
    return vae


@pytest.mark.parametrize("outputs", [2, 3])
def test_mean_and_log_variance_are_those_of_the_encoder(outputs, tmp_path):
    network = encoder(outputs)
    vae = made(network)
    assert not vae.posterior.weights
    vae.fit(X, epochs=2, verbose=0)
    mean, log_variance = (ops.convert_to_numpy(value) for value in network(X)[:2])
    np.testing.assert_allclose(vae.encode(X), mean, atol=1e-6)
    np.testing.assert_allclose(vae.infer(X)["log_variance"], log_variance, atol=1e-5)
    vae.save(tmp_path / "vae.keras")
    loaded = keras_vae.load_model(tmp_path / "vae.keras")
    np.testing.assert_array_equal(loaded.encode(X), vae.encode(X))
    np.testing.assert_array_equal(loaded.elbo(X), vae.elbo(X))
    loaded.fit(X, verbose=0)


def test_the_log_variance_is_bounded_and_gradients_are_finite():
    posterior = posteriors.DiagonalNormal(2)
    heads = [np.full((3, 2), 5.0, "float32"), np.full((3, 2), 1e6, "float32")]
    q = posterior(heads)
    assert np.max(ops.convert_to_numpy(q["log_variance"])) <= 20
    np.testing.assert_array_equal(ops.convert_to_numpy(q["mean"]), heads[0])


def test_a_posterior_alone_comes_back_from_its_config_and_its_shapes():
    posterior = posteriors.DiagonalNormal(2)
    posterior([X[:, :2], X[:, 2:4]])
    again = posteriors.DiagonalNormal.from_config(posterior.get_config())
    again.build_from_config(posterior.get_build_config())
    assert again.built
    assert not again.weights


def test_flows_take_both_as_their_context():
    base = posteriors.DiagonalNormal(2)
    vae = made(encoder(3), posterior=posteriors.NormalizingFlow(base, [flows.Autoregressive(8)]))
    q = vae.infer(X)
    np.testing.assert_allclose(q["context"], np.hstack([q["mean"], q["log_variance"]]), atol=1e-5)
    assert np.isfinite(vae.fit(X, epochs=2, verbose=0).history["loss"]).all()


def test_a_vamp_prior_mixes_the_posteriors_of_such_an_encoder():
    vae = made(encoder(), prior=priors.VampPrior((6,), 3))
    assert np.isfinite(vae.fit(X, epochs=2, verbose=0).history["loss"]).all()


@pytest.mark.parametrize(
    "posterior",
    [
        posteriors.FullNormal(2),
        posteriors.Categorical(1, 2),
        posteriors.VonMisesFisher(2),
        posteriors.NormalizingFlow(posteriors.FullNormal(2), [flows.Planar()]),
    ],
)
def test_other_posteriors_refuse_several_outputs(posterior):
    with pytest.raises(ValueError, match=r"`encoder` must .*because .*Received: 2 outputs"):
        posterior([X[:, :2], X[:, 2:4]])


@pytest.mark.parametrize(
    "shapes", [[(None, 2)], [(None, 2), (None, 3)], [(None, 2)] * 4, [(None, 2, 2)] * 2]
)
def test_outputs_that_are_no_mean_and_log_variance_are_refused(shapes):
    with pytest.raises(ValueError, match=r"`encoder` must .*because .*Received: . encoder outputs"):
        posteriors.DiagonalNormal(2).build(shapes)


@pytest.mark.parametrize("cls", [posteriors.DiagonalNormal, posteriors.FullNormal])
@pytest.mark.parametrize(
    ("policy", "own"),
    [("mixed_float16", False), ("mixed_bfloat16", False), ("mixed_float16", True)],
)
def test_a_normal_posterior_trains_in_half_precision(cls, policy, own):
    """The policy is the global one, or that of the posterior alone."""
    with dtype_policy("float32" if own else policy):
        network = networks.dense_encoder((6,), units=(8,))
        vae = made(network, posterior=cls(2, dtype=policy) if own else cls(2))
        loss = vae.fit(PATTERN, epochs=20, verbose=0).history["loss"]
    assert loss[-1] < 0.8 * loss[0]
    q = vae.posterior(vae.encoder(X))
    assert {keras.backend.standardize_dtype(v.dtype) for v in q.values()} == {"float32"}
    assert np.isfinite(vae.log_likelihood(X, num_samples=3)).all()


@pytest.mark.parametrize("cls", [posteriors.DiagonalNormal, posteriors.FullNormal])
def test_a_normal_posterior_trains_where_the_default_float_is_half(cls):
    """Under a global floatx of float16; Adam needs an epsilon that float16 can hold."""
    keras.config.set_floatx("float16")
    try:
        vae = made(networks.dense_encoder((6,), units=(8,)), posterior=cls(2))
        vae.compile(keras.optimizers.Adam(0.01, epsilon=1e-3))
        loss = vae.fit(PATTERN, epochs=20, verbose=0).history["loss"]
    finally:
        keras.config.set_floatx("float32")
    assert loss[-1] < 0.8 * loss[0]
    assert vae.posterior.compute_dtype == "float32"


@pytest.mark.parametrize("cls", [priors.LearnedNormal, priors.NormalMixture])
def test_a_prior_of_its_own_half_precision_trains(cls):
    vae = made(networks.dense_encoder((6,), units=(8,)), prior=cls(dtype="mixed_float16"))
    assert np.isfinite(vae.fit(X, epochs=2, verbose=0).history["loss"]).all()
