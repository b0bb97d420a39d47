import os
import pathlib
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

import keras_vae_cli as cli
from keras_vae import callbacks, datasets, load_model, recipes, schedules

X = np.random.default_rng(0).random((64, 6), "float32")
COMMAND = [sys.executable, "-m", "keras_vae", "train", "--data", "shapes", "--limit", "2000"]


def model(**optimizer):
    keras.utils.set_random_seed(0)
    vae = recipes.vae((6,), 2, beta=schedules.Linear(30), seed=0)
    vae.compile(keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9, **optimizer))
    return vae


class Crash(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.at = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.at:
            raise OSError("power cut")


def run(folder, epochs=12, crash_at=None, patience=3, min_delta=0.02):
    """A new process' worth of training with everything that counts epochs."""
    vae = model()
    stop = keras.callbacks.EarlyStopping(
        "val_loss", mode="min", patience=patience, min_delta=min_delta, restore_best_weights=True
    )
    plateau = keras.callbacks.ReduceLROnPlateau("val_loss", mode="min", patience=1, min_delta=0.05)
    others = [Crash(crash_at)] if crash_at is not None else [keras.callbacks.Callback()]
    vae.fit(
        datasets.Batches(X, 16, shuffle=True),
        epochs=epochs,
        validation_data=X[:20],
        shuffle=False,
        verbose=0,
        callbacks=[callbacks.Backup(folder), stop, plateau, *others],
    )
    return vae, stop


@pytest.mark.slow
def test_a_crashed_run_goes_on_with_all_its_counters(tmp_path):
    whole, stopped = run(tmp_path / "whole")
    assert 2 < stopped.stopped_epoch < 11  # or the test shows nothing
    for epoch in {0, 2, stopped.stopped_epoch - 1}:
        with pytest.raises(OSError, match="power cut"):
            run(tmp_path / str(epoch), crash_at=epoch)
        again, stop = run(tmp_path / str(epoch))
        assert (stop.stopped_epoch, stop.best) == (stopped.stopped_epoch, stopped.best)
        for a, b in zip(whole.get_weights(), again.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_after_a_crash_only_improvements_past_min_delta_count(tmp_path):
    with pytest.raises(OSError, match="power cut"):
        run(tmp_path, crash_at=1, min_delta=1e3)
    _, stop = run(tmp_path, min_delta=1e3)  # none is large enough
    assert (stop.best_epoch, stop.stopped_epoch) == (0, 3)


@pytest.mark.slow
def test_a_run_that_has_ended_is_not_trained_further(tmp_path):
    first, _ = run(tmp_path)
    again, _ = run(tmp_path)
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names[0] == ".in_use"
    assert [name[:6] for name in names[1:]] == ["epoch-", "epoch-"]


@pytest.mark.slow
def test_a_backup_is_whole_or_not_there(tmp_path, monkeypatch):
    with pytest.raises(OSError, match="power cut"):
        run(tmp_path, crash_at=1)
    monkeypatch.setattr(np, "savez", lambda *a, **k: Crash(0).on_epoch_end(0))
    with pytest.raises(OSError, match="power cut"):
        run(tmp_path)
    monkeypatch.undo()
    whole, _ = run(tmp_path / "whole")
    again, _ = run(tmp_path)
    for a, b in zip(whole.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_a_history_is_rewritten_whole_and_drops_what_is_newer(tmp_path):
    path = tmp_path / "history.csv"
    vae = model()
    vae.fit(X, epochs=3, verbose=0, callbacks=[callbacks.HistoryFile(path)])
    first = callbacks.read_history(path)
    assert first["epoch"] == [0, 1, 2]
    vae.fit(X, epochs=4, initial_epoch=2, verbose=0, callbacks=[callbacks.HistoryFile(path)])
    second = callbacks.read_history(path)
    assert second["epoch"] == [0, 1, 2, 3]
    assert second["loss"][:2] == first["loss"][:2]
    assert second["loss"][2] != first["loss"][2]
    vae.fit(X, epochs=1, verbose=0, callbacks=[callbacks.HistoryFile(path)])
    assert callbacks.read_history(path)["epoch"] == [0]
    assert [p.name for p in tmp_path.iterdir()] == ["history.csv"]


def spoilt(rows):
    yield (X[:16],)
    yield (X[16:32],)
    bad = X[32:48].copy()
    bad[:rows, 0] = np.nan
    yield (bad,)
    yield (X[48:],)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_training_and_is_named(tmp_path):
    vae = model()
    (tmp_path / "good.keras").touch()
    stop = callbacks.StopOnNonFinite(tmp_path / "good.keras")
    pattern = r"at step 3 .*batch 2 .*reconstruction_loss.*good\.keras.*Received: loss=nan"
    with pytest.raises(FloatingPointError, match=pattern):
        vae.fit(spoilt(1), verbose=0, callbacks=[stop])


def test_the_latent_dimension_that_overflows_is_named():
    vae = recipes.vae((6,), 4)
    vae.compile("adam")
    kernel, bias = vae.posterior.mean_layer.get_weights()
    bias[2] = 1e30
    vae.posterior.mean_layer.set_weights([kernel, bias])
    pattern = r"kl_loss.* \(of latent dimension 2\)"
    with pytest.raises(FloatingPointError, match=pattern):
        vae.fit(X, verbose=0, callbacks=[callbacks.StopOnNonFinite()])


def test_a_loss_scale_of_one_skips_what_is_not_finite_and_counts():
    vae = model()
    optimizer = keras.optimizers.LossScaleOptimizer(vae.optimizer, initial_scale=1.0)
    vae.compile(optimizer)
    with pytest.raises(ValueError, match=r"1 examples with bad values, the first in batch 2"):
        vae.fit(spoilt(1), steps_per_epoch=4, verbose=0)
    assert int(optimizer.iterations) == 3
    assert all(np.isfinite(w).all() for w in vae.get_weights())


@pytest.mark.slow
def test_a_signal_ends_training_after_the_step(tmp_path):
    class Send(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 2:
                signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    vae = model()
    with pytest.raises(callbacks.Interrupted, match="SIGTERM") as caught:
        vae.fit(X, batch_size=8, verbose=0, callbacks=[Send(), callbacks.StopOnSignal()])
    assert caught.value.signal == signal.SIGTERM
    assert int(vae.optimizer.iterations) == 3  # the step it came in was finished
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_command_line_saves_on_a_signal_and_goes_on(number, code, tmp_path):
    output = tmp_path / "run"
    options = ["--epochs", "50", "--output", str(output)]
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen([*COMMAND, *options], stdout=log, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 120
    while not (output / "vae.keras").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(60) == code
    text = (tmp_path / "log").read_text()
    assert f"Stopped by {number.name}" in text
    assert "Traceback" not in text
    load_model(output / "interrupted.keras")
    load_model(output / "vae.keras")


def test_two_runs_in_one_folder_are_refused(tmp_path):
    import fcntl

    with open(tmp_path / ".in_use", "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(SystemExit, match=r"no other run.*Received: --output"):
            cli.main(["train", "--data", "shapes", "--output", str(tmp_path)])


LIMITED = """
import resource, sys
import keras_vae_cli as cli
from keras_vae import datasets
images, factors = datasets.shapes(200)
datasets.load = lambda *_: datasets.Splits(images, images[:20], factors[:, 0], factors[:20, 0])
size = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
cli.main(["train", "--data", "shapes", "--epochs", "2", "--resume", "--output", sys.argv[2]])
"""


def limited(size, output):
    return subprocess.run(
        [sys.executable, "-c", LIMITED, str(size), str(output)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )


@pytest.mark.slow
def test_a_full_disk_ends_with_a_sentence_and_whole_files(tmp_path):
    finished = limited(1_000_000, tmp_path)  # less than a model
    assert finished.returncode == 1, finished.stderr
    last = finished.stderr.strip().splitlines()[-1]
    assert last.startswith("keras-vae: `--output` could not be written to any more")
    assert "--resume" in last
    assert not (tmp_path / "vae.keras").exists()
    assert callbacks.read_history(tmp_path / "history.csv")["epoch"] == [0]


def test_a_vanished_folder_ends_with_a_sentence(tmp_path, monkeypatch, capsys):
    images, factors = datasets.shapes(100)
    splits = datasets.Splits(images, images[:20], factors[:, 0], factors[:20, 0])
    monkeypatch.setattr(datasets, "load", lambda *_: splits)
    output = tmp_path / "run"
    real = callbacks.HistoryFile.on_epoch_end

    def vanish(self, epoch, logs=None):
        output.rename(tmp_path / "elsewhere")
        real(self, epoch, logs)

    monkeypatch.setattr(callbacks.HistoryFile, "on_epoch_end", vanish)
    with pytest.raises(SystemExit, match="could not be written to any more"):
        cli.main(["train", "--data", "shapes", "--epochs", "1", "--output", str(output)])


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match=r"`--output` must be a folder.*Received"):
        cli.main(["train", "--data", "shapes", "--output", str(tmp_path / "file")])


def test_what_killed_runs_leave_is_cleared_away(tmp_path):
    from keras_vae import saving

    for name in (".vae.keras.partial-abc.keras", "vae.keras", ".hidden"):
        (tmp_path / name).touch()
    saving.remove_leftovers(tmp_path)
    assert {p.name for p in pathlib.Path(tmp_path).iterdir()} == {"vae.keras", ".hidden"}


def test_pictures_are_drawn_at_the_end_if_they_were_not(tmp_path):
    vae = recipes.vae((4, 4, 1), 2)
    vae.compile("adam")
    x = np.zeros((8, 4, 4, 1), "float32")
    vae.fit(x, epochs=2, initial_epoch=2, verbose=0, callbacks=[callbacks.Pictures(x, tmp_path)])
    assert {"reconstructions.png", "samples.png"} <= {p.name for p in tmp_path.iterdir()}
