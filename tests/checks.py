"""What every part must be able to do, whatever it is."""

import contextlib
import functools
import json
import zipfile

import keras
import numpy as np
import pytest
from gradients import value_and_gradients
from keras import ops
from packaging.version import Version

import keras_vae
from keras_vae import adversarial, networks
from keras_vae.batch import unpack


def read_arrays(path):
    """The arrays of an .npz file, as a dict."""
    with np.load(path) as arrays:
        return dict(arrays)


def load_committed(path):
    """The model in a file that is kept with the tests, unless a later Keras wrote it."""
    with zipfile.ZipFile(path) as file:
        written_by = json.loads(file.read("metadata.json"))["keras_version"]
    if Version(keras.__version__) < Version(written_by):
        pytest.skip(f"Keras {keras.__version__} reads no layers that Keras {written_by} wrote")
    return keras_vae.load_model(path)


def built(part, shape):
    """The part, built for inputs of this shape."""
    part.build(shape)
    return part


def small_vae(x_shape=(5, 3, 1), latent_dim=2, seed=0, **parts):
    """A dense VAE with few weights, compiled."""
    keras.utils.set_random_seed(seed)
    likelihood = parts.get("likelihood") or keras_vae.likelihoods.Bernoulli()
    params_shape = likelihood.params_shape(x_shape)
    latent_dim = getattr(parts.get("posterior"), "latent_dim", latent_dim)
    condition_dim = getattr(parts.get("prior"), "condition_dim", None)
    opposed = any(isinstance(p, adversarial.Opponent) for p in parts.get("penalties", ()))
    vae = (adversarial.AdversarialVAE if opposed else keras_vae.VAE)(
        networks.dense_encoder(x_shape, units=(8,), condition_dim=condition_dim),
        networks.dense_decoder(latent_dim, params_shape, units=(8,), condition_dim=condition_dim),
        seed=seed,
        **parts,
    )
    vae.compile(*(keras.optimizers.Adam(rate) for rate in ([0.01, 0.02] if opposed else [0.01])))
    return vae


@contextlib.contextmanager
def dtype_policy(name):
    """The global dtype policy `name` inside, that of before outside."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def check_part(example, path):
    """Config and file round trips, float32 losses and finite gradients in each precision, training.

    Args:
        example: one of `parts.PARTS`.
        path: of the file to write.
    """
    check_config(example.make())
    first, *others = example.x_shapes
    cases = [("mixed_float16", first), *(("float32", x_shape) for x_shape in [*others, first])]
    for policy, x_shape in cases:
        with dtype_policy(policy):
            vae = small_vae(x_shape, **example.parts())
        x = binary(12, x_shape, vae)
        check_gradients(vae, x)
        if policy == "float32" or not example.runs_encoder:
            check_extremes(vae, x, example.size)
        if x_shape == first and policy in example.policies:
            logs = vae.fit(x, batch_size=5, epochs=2, verbose=0).history
            assert np.isfinite(list(logs.values())).all(), logs
            assert all(np.isfinite(w).all() for w in vae.get_weights())
            check_file(vae, x, path)


def binary(rows, shape, vae=None):
    """Examples in the support of every likelihood; with a condition if `vae` takes one."""
    x = np.random.default_rng(0).integers(0, 2, (rows, *shape)).astype("float32")
    if vae is not None and vae.likelihood.open_support:
        x = 0.25 + 0.5 * x
    if vae is not None and vae.condition_dim:
        return {"x": x, "condition": np.arange(rows) % vae.condition_dim}
    return x


def check_config(part):
    """The config survives JSON and makes an equal part."""
    config = keras.saving.serialize_keras_object(part)
    again = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
    assert type(again) is type(part)
    other = keras.saving.serialize_keras_object(again)
    assert json.loads(json.dumps(other["config"])) == json.loads(json.dumps(config["config"]))


def check_gradients(vae, x):
    """(loss, gradients) of the whole model: no optimizer that would skip what is not finite."""
    x = keras.tree.map_structure(ops.convert_to_tensor, x)
    loss, gradients = value_and_gradients(
        lambda: vae.compute_loss(x, y_pred=vae(x, training=True)), vae.trainable_weights
    )
    check_finite_float32(loss)
    assert all(np.isfinite(g).all() for g in gradients if g is not None)
    return loss, gradients


def check_extremes(vae, x, size=1e4):
    """The parts alone, on features and parameters that a diverging network could emit."""
    rng, x = np.random.default_rng(0), keras.tree.map_structure(ops.convert_to_tensor, x)
    num_samples = vae.objective.num_samples
    batch = unpack(x, vae.likelihood, vae.condition_dim)
    rows = len(batch.x)
    signs = [
        rng.choice([-1.0, 1.0], shape)
        for shape in [
            (rows, *vae.encoder.output_shape[1:]),
            (num_samples, rows, *vae.decoder.output_shape[1:]),
        ]
    ]
    features, params = (ops.convert_to_tensor(size * s, "float32") for s in signs)
    checked = []

    def total(features, params):
        q = vae.posterior(features)
        seed = keras.random.SeedGenerator(0)
        z, log_posterior = vae.posterior.sample_and_log_prob(q, num_samples, seed, step=0)
        draws = {"q": q, "z": z, "log_posterior": log_posterior, "params": params}
        weights = ops.ones(rows)
        density = functools.partial(vae.likelihood.training_log_prob, weights=weights)
        terms = vae._terms(batch, draws, density, weights, training=True)
        terms = terms._replace(  # without the networks, which may overflow in half precision
            log_joint=lambda z: terms.log_likelihood + terms.prior.log_prob(z)
        )
        losses = [part.loss(terms, 0) for part in (vae.objective, *vae.penalties)]
        checked[:] = [terms.log_likelihood, terms.kl, terms.log_posterior, terms.log_prior, *losses]
        return ops.sum(sum(losses))

    total(features, params)
    for result in checked:
        check_finite_float32(result)
    _, gradients = value_and_gradients(total, vae.trainable_weights, [features, params])
    gradients = [g for g in gradients if g is not None]
    assert gradients
    assert all(np.isfinite(g).all() for g in gradients)


def check_finite_float32(values):
    assert keras.backend.standardize_dtype(values.dtype) == "float32"
    assert np.isfinite(ops.convert_to_numpy(values)).all()


def check_file(vae, x, path):
    """A saved and loaded model predicts, evaluates and goes on to train the same."""
    vae.save(path)
    loaded = keras_vae.load_model(path)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), vae.predict(x, verbose=0))
    np.testing.assert_array_equal(loaded.elbo(x), vae.elbo(x))
    a, b = (m.fit(x, batch_size=5, shuffle=False, verbose=0).history for m in (vae, loaded))
    for one, other in zip(vae.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert a == b
