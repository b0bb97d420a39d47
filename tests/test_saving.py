import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae import likelihoods, networks, objectives, saving, schedules

X = np.random.default_rng(0).random((40, 4, 4, 1), "float32")
FIT = {"batch_size": 8, "shuffle": False, "verbose": 0}

LOAD_AND_GO_ON = """
import json, sys
import numpy as np
import keras
import keras_vae
vae = keras.saving.load_model(sys.argv[1])
x = np.load(sys.argv[2])
outputs = {"predictions": vae.predict(x, verbose=0), "codes": vae.encode(x),
           "samples": vae.generate(5, seed=1)}
history = vae.fit(x, batch_size=8, shuffle=False, verbose=0, epochs=2).history
outputs |= {f"weight_{i}": w for i, w in enumerate(vae.get_weights())}
np.savez(sys.argv[3], **outputs)
print(json.dumps(history))
"""


def make(seed=1):
    """Dropout for a second noise generator, Adam for slots, a schedule, a learned scale."""
    keras.utils.set_random_seed(seed)
    layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(8, "relu")]
    encoder = keras.Sequential([*layers, keras.layers.Dropout(0.3, seed=5)])
    vae = keras_vae.VAE(
        encoder,
        networks.dense_decoder(2, (4, 4, 1), units=(8,)),
        likelihood=likelihoods.Normal(scale="shared"),
        objective=objectives.ELBO(beta=schedules.Linear(20)),
        seed=seed,
    )
    vae.compile(keras.optimizers.Adam(0.01))
    return vae


@pytest.mark.slow
def test_a_new_process_predicts_the_same_bits_and_goes_on_as_if_never_stopped(tmp_path):
    vae = make()
    vae.fit(X, epochs=2, **FIT)
    vae.save(tmp_path / "vae.keras")
    np.save(tmp_path / "x.npy", X)
    script = tmp_path / "go_on.py"
    script.write_text(LOAD_AND_GO_ON)
    command = [sys.executable, str(script), "vae.keras", "x.npy", "out.npz"]
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parents[1])}
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    theirs = np.load(tmp_path / "out.npz")
    np.testing.assert_array_equal(theirs["predictions"], vae.predict(X, verbose=0))
    np.testing.assert_array_equal(theirs["codes"], vae.encode(X))
    np.testing.assert_array_equal(theirs["samples"], vae.generate(5, seed=1))
    history = vae.fit(X, epochs=2, **FIT).history
    assert json.loads(result.stdout.strip().splitlines()[-1]) == history
    for i, weight in enumerate(vae.get_weights()):
        np.testing.assert_array_equal(theirs[f"weight_{i}"], weight)


def test_weights_only_files_keep_optimizer_and_noise(tmp_path):
    vae, other = make(), make(seed=2)
    vae.fit(X, **FIT)
    vae.save_weights(tmp_path / "vae.weights.h5")
    other.load_weights(tmp_path / "vae.weights.h5")
    assert int(other.optimizer.iterations) == 5
    vars(other)["seed"] = (
        vae.seed
    )  # of the evaluation noise, which the config holds, not the weights
    a, b = (m.fit(X, **FIT).history for m in (vae, other))
    assert a == b


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path, vae = tmp_path / "vae.keras", make()
    vae.save(path)
    before = path.read_bytes()

    def half_a_file(self, filepath, **kwargs):
        pathlib.Path(filepath).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(keras.Model, "save", half_a_file)
    with pytest.raises(OSError, match="disk full"):
        vae.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_a_killed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    script = (
        "import os, sys\nfrom keras_vae import saving\n"
        "with saving.atomic(sys.argv[1]) as t:\n"
        "    open(t, 'w').write('half'); os.kill(os.getpid(), 9)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parents[1])}
    result = subprocess.run([sys.executable, "-c", script, str(path)], env=environment)
    assert result.returncode == -9
    assert path.read_text() == "old"


def test_atomic_files_have_ordinary_permissions(tmp_path):
    with saving.atomic(tmp_path / "a.txt") as temporary:
        pathlib.Path(temporary).write_text("x")
    (tmp_path / "b.txt").write_text("x")
    modes = [(tmp_path / name).stat().st_mode for name in ("a.txt", "b.txt")]
    assert modes[0] == modes[1]


@pytest.mark.slow
def test_model_checkpoint_keeps_the_best_exactly(tmp_path):
    path, vae = tmp_path / "best.keras", make()
    checkpoint = keras.callbacks.ModelCheckpoint(
        path, save_best_only=True, monitor="val_loss", mode="min"
    )
    history = vae.fit(X, validation_data=X, epochs=3, callbacks=[checkpoint], **FIT).history
    best = keras_vae.load_model(path)
    again = best.evaluate(X, batch_size=8, verbose=0, return_dict=True)
    assert again["loss"] == min(history["val_loss"])


@pytest.mark.slow
def test_backup_and_restore_ends_where_an_uninterrupted_run_ends(tmp_path):
    class Crash(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    whole, broken = make(), make()
    whole.fit(X, epochs=4, **FIT)
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        broken.fit(X, epochs=4, callbacks=[backup, Crash()], **FIT)
    restarted = make()
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    restarted.fit(X, epochs=4, callbacks=[backup], **FIT)
    for a, b in zip(whole.get_weights(), restarted.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("content", [b"", b"not a zip file", b"PK\x03\x04 broken"])
def test_a_damaged_file_is_refused_in_one_sentence(tmp_path, content):
    path = tmp_path / "bad.keras"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"`path` must name a whole `.keras` file.*Received: path="
    ):
        keras_vae.load_model(path)


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "vae.keras"
    make().save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="cannot be loaded"):
        keras_vae.load_model(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"there is no such file.*Received"):
        keras_vae.load_model(tmp_path / "none.keras")


def test_weights_load_into_a_model_that_is_not_compiled(tmp_path):
    vae = make()
    vae.save_weights(tmp_path / "vae.weights.h5")
    other = keras_vae.VAE.from_config(vae.get_config())
    other.load_weights(tmp_path / "vae.weights.h5")
    np.testing.assert_array_equal(other.predict(X, verbose=0), vae.predict(X, verbose=0))


@keras.saving.register_keras_serializable("tests_saving")
class Registered(keras.layers.Layer):
    def call(self, x):
        return 2 * x


class Twice(keras.layers.Layer):
    def call(self, x):
        return 2 * x


def with_layer(layer):
    encoder = keras.Sequential([keras.Input((12,)), layer, keras.layers.Dense(4)])
    return keras_vae.VAE(encoder, networks.dense_decoder(2, (12,), units=(4,)))


ROUTES = {
    "registered": (Registered, lambda path: keras_vae.load_model(path)),
    "argument": (Twice, lambda path: keras_vae.load_model(path, {"Twice": Twice})),
    "keras' argument": (Twice, lambda path: keras.saving.load_model(path, {"Twice": Twice})),
    "scope": (Twice, lambda path: within_a_scope(keras_vae.load_model, path)),
    "keras and scope": (Twice, lambda path: within_a_scope(keras.saving.load_model, path)),
}


def within_a_scope(load, path):
    with keras.saving.custom_object_scope({"Twice": Twice}):
        return load(path)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("zipped", [True, False])
def test_custom_objects_come_by_every_route(tmp_path, route, zipped):
    layer, load = ROUTES[route]
    vae, path = with_layer(layer()), tmp_path / ("v.keras" if zipped else "v")
    vae.save(path, zipped=zipped)
    x = np.ones((2, 12), "float32")
    np.testing.assert_array_equal(load(path).encode(x), vae.encode(x))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_class_that_is_not_found_is_named(tmp_path, zipped):
    path = tmp_path / ("v.keras" if zipped else "v")
    with_layer(Twice()).save(path, zipped=zipped)
    with pytest.raises(ValueError, match=r"(?s)`path` must.*class 'Twice'.*Received: path="):
        keras_vae.load_model(path)


@pytest.mark.slow
def test_a_model_can_be_loaded_without_its_optimizer(tmp_path):
    vae = make()
    vae.fit(X, **FIT)
    vae.save(tmp_path / "v.keras")
    assert not keras_vae.load_model(tmp_path / "v.keras", compile=False).compiled
    assert keras_vae.load_model(tmp_path / "v.keras").compiled


def test_names_on_the_hub_are_passed_to_keras(monkeypatch):
    monkeypatch.setattr(keras.saving, "load_model", lambda *a, **k: (a, k))
    (name,), rest = keras_vae.load_model("hf://me/vae", {"A": int}, compile=False)
    assert (name, rest) == ("hf://me/vae", {"custom_objects": {"A": int}, "compile": False})


@pytest.mark.parametrize("name", ["m.h5", "m.hdf5", "m", "m.weights.h5", "m.pb", "keras"])
def test_names_that_could_not_be_loaded_are_not_saved(tmp_path, name):
    with pytest.raises(ValueError, match=r"`filepath` must end in '.keras'.*Received: filepath="):
        make().save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_checkpoints_that_could_not_be_loaded_are_refused(tmp_path):
    checkpoint = keras.callbacks.ModelCheckpoint(str(tmp_path / "m.h5"))
    with pytest.raises(ValueError, match=r"`filepath` must end in '.keras'"):
        make().fit(X, callbacks=[checkpoint], **FIT)
    with pytest.raises(ValueError, match=r"`filepath` must end in '.keras'"):
        saving.check_checkpoints([keras.callbacks.Callback(), checkpoint])
    weights = str(tmp_path / "m.weights.h5")
    good = keras.callbacks.ModelCheckpoint(weights, save_weights_only=True)
    saving.check_checkpoints([good, keras.callbacks.ModelCheckpoint(str(tmp_path / "m.keras"))])


def test_a_file_keeps_its_permissions_and_a_long_name(tmp_path):
    vae, path = make(), tmp_path / ("ä" * 124 + "v.keras")
    vae.save(path)
    path.chmod(0o600)
    vae.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    vae.save_weights(tmp_path / ("a" * 244 + ".weights.h5"))
    assert len(list(tmp_path.iterdir())) == 2
