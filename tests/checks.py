"""What every part must be able to do, whatever it is."""

import json

import keras
import numpy as np

import keras_vae
from keras_vae import networks


def small_vae(x_shape=(5, 3, 1), latent_dim=2, seed=0, **parts):
    """A dense VAE with few weights, compiled."""
    keras.utils.set_random_seed(seed)
    likelihood = parts.get("likelihood") or keras_vae.likelihoods.Bernoulli()
    raw_shape = (*x_shape[:-1], x_shape[-1] * likelihood.raw_per_feature)
    vae = keras_vae.VAE(
        networks.dense_encoder(x_shape, units=(8,)),
        networks.dense_decoder(latent_dim, raw_shape, units=(8,)),
        seed=seed,
        **parts,
    )
    vae.compile(keras.optimizers.Adam(0.01))
    return vae


def check_part(role, make, tmp_path, x_shape=(5, 3, 1)):
    """Config and file round trips, a trained step in each precision, finite gradients.

    Args:
        role: the argument of VAE that the part goes to; "penalties" too.
        make: function without arguments that makes the part.
    """
    check_config(make())
    parts = {"penalties": [make()]} if role == "penalties" else {role: make()}
    x = np.random.default_rng(0).integers(0, 2, (12, *x_shape)).astype("float32")
    for policy in ("float32", "mixed_float16"):
        keras.config.set_dtype_policy(policy)
        try:
            vae = small_vae(x_shape, **parts)
        finally:
            keras.config.set_dtype_policy("float32")
        logs = vae.fit(x, batch_size=5, epochs=2, verbose=0).history
        assert np.isfinite(list(logs.values())).all(), (policy, logs)
        assert all(np.isfinite(w).all() for w in vae.get_weights())
        parts = {"penalties": [make()]} if role == "penalties" else {role: make()}
    check_file(vae, x, tmp_path / "vae.keras")


def check_config(part):
    """The config survives JSON and makes an equal part."""
    config = keras.saving.serialize_keras_object(part)
    again = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
    assert type(again) is type(part)
    assert keras.saving.serialize_keras_object(again)["config"] == config["config"]


def check_file(vae, x, path):
    """A saved and loaded model predicts, evaluates and goes on to train the same."""
    vae.save(path)
    loaded = keras_vae.load_model(path)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), vae.predict(x, verbose=0))
    np.testing.assert_array_equal(loaded.elbo(x), vae.elbo(x))
    a, b = (m.fit(x, batch_size=5, shuffle=False, verbose=0).history for m in (vae, loaded))
    assert a == b
