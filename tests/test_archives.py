"""What a file declares is compared with what it holds, before memory is allocated."""

import io
import json
import random
import resource
import tracemalloc
import zipfile

import h5py
import keras
import numpy as np
import pytest

import keras_vae
from keras_vae import archives, keras_compat, likelihoods, networks, priors, recipes

X = np.random.default_rng(0).random((4, 3), "float32")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The entries of a small model's file."""
    encoder = networks.dense_encoder((3,), units=(4,))
    vae = keras_vae.VAE(encoder, networks.dense_decoder(2, (3,), units=(4,)))
    path = tmp_path_factory.mktemp("saved") / "vae.keras"
    vae.save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive(path, entries):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return path


def with_units(entries, units):
    """The entries with another number of units in the first Dense layer of the encoder."""
    config = json.loads(entries["config.json"])
    layers = config["config"]["encoder"]["config"]["layers"]
    dense = next(layer for layer in layers if layer["class_name"] == "Dense")
    dense["config"]["units"] = units
    return entries | {"config.json": json.dumps(config)}


@pytest.mark.parametrize("units", [10**6, 5 * 10**7, 10**12, 10**18])
def test_more_weights_than_the_file_has_are_refused_before_they_are_allocated(
    saved, tmp_path, units
):
    path = archive(tmp_path / "big.keras", with_units(saved, units))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"declares weights of \d+ bytes.*Received: path="):
        keras_vae.load_model(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


def test_a_size_that_differs_a_little_is_refused_by_keras(saved, tmp_path):
    path = archive(tmp_path / "other.keras", with_units(saved, 5))
    with pytest.raises(ValueError, match=r"cannot be loaded.*Received: path="):
        keras_vae.load_model(path)


def small(**parts):
    return keras_vae.VAE(
        networks.dense_encoder((3,), units=(4,)),
        networks.dense_decoder(2, (parts.pop("outputs", 3),), units=(4,)),
        **parts,
    )


MODELS = {
    "plain": small,
    "learned scale": lambda: small(likelihood=likelihoods.Normal("per_feature")),
    "mixture": lambda: small(prior=priors.NormalMixture(5)),
    "vamp": lambda: small(prior=priors.VampPrior((3,), 4)),
    "codes": lambda: recipes.vq_vae((8, 8, 1), num_codes=16, filters=(8,)),
    "images": lambda: recipes.kl_autoencoder((8, 8, 1)),
    "ladder": lambda: recipes.ladder_vae((6,)),
    "half": lambda: half(small),
}


def half(make):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float16")
    try:
        return make()
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("kind", MODELS)
def test_the_declared_bytes_are_those_of_the_weights(kind):
    vae = MODELS[kind]()
    config = keras.saving.serialize_keras_object(vae)
    expected = sum(keras.ops.convert_to_numpy(weight).nbytes for weight in vae.weights)
    others = sum(keras.ops.convert_to_numpy(v).nbytes for v in vae.variables) - expected
    assert expected <= archives.declared_bytes(config) <= expected + 2 * others + 2000


def test_counting_changes_no_state_and_allocates_nothing_later(saved):
    from keras.src.backend.common import global_state

    config = json.loads(with_units(saved, 10**9)["config.json"])
    keras.utils.set_random_seed(0)
    expected = random.random(), np.random.rand()
    keras.utils.set_random_seed(0)
    assert archives.declared_bytes(config) > 10**10
    assert (random.random(), np.random.rand()) == expected
    assert not global_state.get_global_attribute("uninitialized_variables")
    with keras.StatelessScope():
        pass  # at its end Keras initializes what it has listed


def test_without_the_private_name_the_check_is_skipped(saved, tmp_path, monkeypatch):
    from keras.src.backend.common import global_state

    path = archive(tmp_path / "vae.keras", saved)
    with monkeypatch.context() as patch:
        patch.delattr(global_state, "get_global_attribute")
        assert keras_compat.variables_made_by(lambda: 1) is None
    monkeypatch.setattr(keras_compat, "variables_made_by", lambda make: None)
    assert archives.declared_bytes(json.loads(saved["config.json"])) is None
    assert keras_vae.load_model(path).predict(X, verbose=0).shape == (4, 3)


def test_a_model_that_cannot_be_made_without_values_loads(tmp_path):
    @keras.saving.register_keras_serializable("tests")
    class Shifted(keras.layers.Layer):
        def build(self, shape):
            self.shift = keras.Variable(np.ones(shape[-1], "float32"))  # given as a value

        def call(self, x):
            return x + self.shift

    encoder = keras.Sequential([keras.Input((3,)), Shifted(), keras.layers.Dense(4)])
    vae = keras_vae.VAE(encoder, networks.dense_decoder(2, (3,), units=(4,)))
    vae.save(tmp_path / "v.keras")
    back = keras_vae.load_model(tmp_path / "v.keras")
    np.testing.assert_array_equal(back.encode(X), vae.encode(X))


def test_a_virtual_dataset_is_refused(saved, tmp_path):
    """It could show the content of another file."""
    other = tmp_path / "secret.h5"
    with h5py.File(other, "w") as file:
        file["secret"] = np.arange(8.0)
    layout = h5py.VirtualLayout(shape=(8,), dtype="float64")
    layout[:] = h5py.VirtualSource(str(other), "secret", shape=(8,))
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_virtual_dataset("layers", layout)
    entries = saved | {"model.weights.h5": content.getvalue()}
    path = archive(tmp_path / "virtual.keras", entries)
    with pytest.raises(ValueError, match=r"refer to something else at /layers"):
        keras_vae.load_model(path)
    with pytest.raises(ValueError, match=r"refer to something else at /layers"):
        archives.check_archive(path)
