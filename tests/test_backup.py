"""Backups: what the user's code says wins, good numbers stay, and damage costs one epoch."""

import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae import callbacks, datasets, networks
from keras_vae.callbacks import progress

X = np.random.default_rng(0).random((32, 4), "float32")
POWER_CUT = pytest.raises(OSError, match="power cut")


class Crash(keras.callbacks.Callback):
    def __init__(self, at):
        super().__init__()
        self.at = at

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.at:
            raise OSError("power cut")


def run(folder, others=(), epochs=4, crash_at=None):
    """Trains as a new process would; returns the model."""
    keras.utils.set_random_seed(0)
    encoder = networks.dense_encoder((4,), units=(4,))
    vae = keras_vae.VAE(encoder, networks.dense_decoder(2, (4,), units=(4,)), seed=0)
    vae.compile(keras.optimizers.Adam(0.05))
    crash = [] if crash_at is None else [Crash(crash_at)]
    data = datasets.Batches(X, 16, shuffle=True)
    every = [callbacks.Backup(folder), *others, *crash]
    vae.fit(data, epochs=epochs, shuffle=False, verbose=0, callbacks=every)
    return vae


def assert_equal(one, other):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def backups(folder):
    return sorted(folder.glob("epoch-*"))


class Counter(keras.callbacks.Callback):
    """Counts epochs in a number, a list and an array, and in an argument of its constructor."""

    def __init__(self, step=1, total=0, name="counter"):
        super().__init__()
        self.step, self.total, self.name = step, total, name
        self.plain, self.steps, self.sums = "as made", [], np.zeros(2)

    def on_train_begin(self, logs=None):
        self.limit = 10 * self.step

    def on_epoch_end(self, epoch, logs=None):
        self.total += self.step
        self.steps.append(self.step)
        self.sums += self.step


def stopping(**settings):
    return keras.callbacks.EarlyStopping("loss", mode="min", **settings)


def plateau(**settings):
    settings = {"patience": 1, "min_delta": 100} | settings
    return keras.callbacks.ReduceLROnPlateau("loss", mode="min", **settings)


SETTINGS = {
    "patience": (stopping, "patience", 20, 50),
    "start": (stopping, "start_from_epoch", 0, 3),
    "restore": (stopping, "restore_best_weights", False, True),
    "factor": (plateau, "factor", 0.1, 0.5),
    "step": (Counter, "step", 1, 2),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", SETTINGS)
def test_a_setting_is_that_of_the_users_code(tmp_path, kind):
    make, name, before, after = SETTINGS[kind]
    run(tmp_path, [make(**{name: before})], epochs=2)
    callback = make(**{name: after})
    run(tmp_path, [callback], epochs=3)
    assert getattr(callback, name) == after


@pytest.mark.slow
def test_attributes_that_training_does_not_change_stay_as_the_user_set_them(tmp_path):
    run(tmp_path, [Counter()], epochs=2)
    counter = Counter(step=2)
    counter.plain = "edited"
    run(tmp_path, [counter], epochs=3)
    assert (counter.plain, counter.limit) == ("edited", 20)  # the limit follows the new step
    assert counter.steps == [1, 1, 2]
    np.testing.assert_array_equal(counter.sums, [4, 4])


@pytest.mark.slow
def test_an_argument_that_training_changes_is_restored_unless_it_is_edited(tmp_path):
    run(tmp_path, [Counter()], epochs=2)
    same, edited = Counter(), Counter(total=100)
    run(tmp_path, [same], epochs=3)
    assert same.total == 3
    run(tmp_path, [edited], epochs=4)
    assert edited.total == 101


@pytest.mark.slow
def test_callbacks_are_matched_in_any_order(tmp_path):
    def others():
        return [stopping(patience=20), plateau(), Counter(name="a"), Counter(3, name="b")]

    whole = others()
    expected = run(tmp_path / "whole", whole)
    with POWER_CUT:
        run(tmp_path / "cut", others(), crash_at=2)
    again = others()
    assert_equal(run(tmp_path / "cut", again[::-1]), expected)
    for a, b in zip(whole, again, strict=True):
        known = progress.values(a)
        assert known.keys() == progress.values(b).keys()
        for name, value in known.items():
            np.testing.assert_array_equal(value, progress.values(b)[name], err_msg=name)


def test_two_of_a_class_are_told_apart_by_what_they_monitor(tmp_path):
    def others():
        kinds = ("loss", "kl_loss")
        return [keras.callbacks.EarlyStopping(k, mode="min", patience=20) for k in kinds]

    first = others()
    run(tmp_path, first, epochs=2)
    second = others()
    run(tmp_path, second[::-1], epochs=2)
    assert [stop.best for stop in second] == [stop.best for stop in first]


@pytest.mark.slow
def test_a_callback_may_be_added(tmp_path):
    run(tmp_path, epochs=2)
    counter = Counter()
    run(tmp_path, [counter, keras.callbacks.TerminateOnNaN()], epochs=3)
    assert counter.total == 1


@pytest.mark.slow
def test_a_callback_that_counted_cannot_be_left_out(tmp_path):
    run(tmp_path, [Counter(), keras.callbacks.TerminateOnNaN()], epochs=2)
    pattern = r"(?s)`callbacks` must hold Counter\('counter'\).*weights.*Received: callbacks="
    with pytest.raises(ValueError, match=pattern):
        run(tmp_path, [stopping()], epochs=3)
    assert [path.name for path in backups(tmp_path)] == ["epoch-000001", "epoch-000002"]
    run(tmp_path, [Counter()], epochs=3)  # one without counters may go


@pytest.mark.slow
def test_callbacks_that_only_write_files_may_be_left_out(tmp_path):
    run(tmp_path / "b", [keras.callbacks.CSVLogger(tmp_path / "log.csv")], epochs=1)
    run(tmp_path / "b", epochs=2)
    assert len(backups(tmp_path / "b")) == 2


@pytest.mark.slow
def test_an_ended_run_goes_on_if_a_setting_that_ended_it_has_changed(tmp_path):
    def steps(patience):
        stop = stopping(patience=patience, min_delta=100)
        return int(run(tmp_path, [stop], epochs=8).optimizer.iterations)

    ended = steps(1)
    assert steps(1) == ended
    assert steps(3) > ended


class Spoil(keras.callbacks.Callback):
    """Spoils the weights, the optimizer's state, or only the loss, in the third epoch and later."""

    def __init__(self, what):
        super().__init__()
        self.what = what

    def on_epoch_end(self, epoch, logs=None):
        if epoch < 2:
            return
        if self.what.endswith("loss"):
            logs[self.what] = float("nan")
            return
        optimizer = self.model.optimizer.variables
        for weight in self.model.weights if self.what == "weights" else optimizer:
            if "float" in keras.backend.standardize_dtype(weight.dtype):
                weight.assign(keras.ops.full_like(weight, np.inf))


@pytest.mark.slow
@pytest.mark.parametrize("what", ["weights", "optimizer", "loss", "val_loss"])
def test_numbers_that_are_not_finite_are_not_backed_up(tmp_path, what):
    with pytest.warns(UserWarning, match="No backup was written after epoch 3"):
        run(tmp_path, [Spoil(what)], epochs=3)
    assert [path.name for path in backups(tmp_path)] == ["epoch-000001", "epoch-000002"]
    again = run(tmp_path, epochs=3)
    assert all(np.isfinite(weight).all() for weight in again.get_weights())


HOLD = """
import fcntl, sys
file = open(sys.argv[1], "a")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_has_ended(tmp_path):
    run(tmp_path, epochs=1)
    command = [sys.executable, "-c", HOLD, str(tmp_path / ".in_use")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout.readline() == "held\n"  # so the first run has let go of it
        pattern = r"`directory` must be a folder that no other run.*Received: directory="
        with pytest.raises(ValueError, match=pattern):
            run(tmp_path, epochs=2)
        process.stdin.close()
        process.wait()
    assert int(run(tmp_path, epochs=2).optimizer.iterations) == 4


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What a run of three epochs ends with that nothing disturbs."""
    return run(tmp_path_factory.mktemp("whole"), [Counter()], epochs=3)


DAMAGE = [("model.weights.h5", 0.99), ("state.json", 0), ("arrays.npz", 0.5), ("checksums.json", 0)]


@pytest.mark.parametrize(("name", "part"), DAMAGE)
def test_a_damaged_backup_falls_back_to_the_one_before(tmp_path, expected, name, part):
    run(tmp_path, [Counter()], epochs=2)
    damaged = backups(tmp_path)[-1] / name
    damaged.write_bytes(damaged.read_bytes()[: int(part * damaged.stat().st_size)])
    counter = Counter()
    with pytest.warns(UserWarning, match=r"epoch-000002 is damaged.*from epoch-000001"):
        again = run(tmp_path, [counter], epochs=3)
    assert counter.steps == [1, 1, 1]
    assert_equal(again, expected)
    assert [path.name for path in backups(tmp_path)] == ["epoch-000002", "epoch-000003"]


def test_backups_that_are_all_damaged_are_refused(tmp_path):
    run(tmp_path, epochs=2)
    for folder in backups(tmp_path):
        (folder / "arrays.npz").unlink()
    with pytest.raises(ValueError, match=r"`directory` must hold a backup.*Received: directory="):
        run(tmp_path, epochs=3)
    assert len(backups(tmp_path)) == 2


def test_a_callback_of_the_user_may_have_any_method(tmp_path):
    class Mine(keras.callbacks.Callback):
        def join(self):
            raise AssertionError

        def prepare_fit(self):
            raise AssertionError

    run(tmp_path, [Mine()], epochs=1)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"a": 1, "b": "text", "c": None, "d": [1.5, None], "e": float("inf")},
        {"array": np.arange(3), "scalar": np.array(2.0)},
        {"many": [np.full(2, i) for i in range(12)], "number": np.float32(0.5), "empty": []},
    ],
)
def test_progress_is_put_together_as_it_was_taken_apart(attributes):
    found = progress.joined(*progress.split(attributes))
    assert found.keys() == attributes.keys()
    for name, value in attributes.items():
        np.testing.assert_array_equal(found[name], value)
