"""What a worker that is not the chief hands to Keras."""

import keras
import numpy as np
import pytest

from keras_vae import recipes
from keras_vae.callbacks.workers import RestoreOnly, for_this_worker

X = np.random.default_rng(0).random((16, 4), "float32")


def model():
    keras.utils.set_random_seed(0)
    vae = recipes.vae((4,), 2, seed=0)
    vae.compile("adam")
    return vae


def each(folder):
    return [
        keras.callbacks.CSVLogger(folder / "log.csv"),
        keras.callbacks.BackupAndRestore(str(folder / "backup")),
        keras.callbacks.ModelCheckpoint(str(folder / "m.keras")),
        keras.callbacks.EarlyStopping("loss", mode="min"),
    ]


def test_the_chief_keeps_all(tmp_path):
    callbacks = each(tmp_path)
    assert for_this_worker(callbacks, True) == callbacks
    assert for_this_worker(None, True) == for_this_worker(None, False) == []
    assert for_this_worker(callbacks[0], True) == callbacks[:1]
    assert for_this_worker([callbacks[:2], callbacks[2:]], True) == callbacks


def test_the_others_leave_out_or_replace_what_writes(tmp_path):
    callbacks = each(tmp_path)
    before = [dict(vars(callback)) for callback in callbacks]
    backup, *rest = for_this_worker(callbacks, False)
    assert isinstance(backup, RestoreOnly)
    assert rest == callbacks[2:]
    assert [vars(callback) for callback in callbacks] == before


def test_a_list_of_keras_own_is_returned_as_it_is(tmp_path):
    found = keras.callbacks.CallbackList(each(tmp_path)[3:])
    assert for_this_worker(found, False) is found


@pytest.mark.slow
@pytest.mark.parametrize("damaged", [False, True])
def test_the_others_restore_and_write_nothing(tmp_path, damaged):
    class Crash(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise OSError("power cut")

    backup = keras.callbacks.BackupAndRestore(str(tmp_path / "b"), double_checkpoint=True)
    broken = model()
    with pytest.raises(OSError, match="power cut"):
        broken.fit(X, epochs=4, shuffle=False, verbose=0, callbacks=[backup, Crash()])
    if damaged:
        path = tmp_path / "b" / "latest.weights.h5"
        path.write_bytes(path.read_bytes()[:1000])
    files = {path: path.read_bytes() for path in (tmp_path / "b").iterdir()}
    vae, epochs = model(), []
    note = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: epochs.append(epoch))
    others = for_this_worker([backup, note], False)
    vae.fit(X, epochs=4, shuffle=False, verbose=0, callbacks=others)
    assert epochs == ([1, 2, 3] if damaged else [2, 3])
    assert {path: path.read_bytes() for path in (tmp_path / "b").iterdir()} == files
    whole = model()
    whole.fit(X, epochs=4, shuffle=False, verbose=0)
    for a, b in zip(whole.get_weights(), vae.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
