"""Callbacks that show what a model learns while it trains, and that lose nothing of it."""

import csv
import json
import numbers
import pathlib
import shutil
import signal
import tempfile
import warnings

import keras
import numpy as np

from keras_vae import plotting, saving


class Pictures(keras.callbacks.Callback):
    """Draws reconstructions and samples, and the latent map of two latents, as training goes on.

    Writes `reconstructions.png`, `samples.png` and `latent_map.png`, over those of the epoch
    before. The samples are of the same codes each time, so that they can be compared. Training is
    not changed by it.

    Args:
        images: (N, H, W, C), the originals to reconstruct, as for `fit`.
        directory: folder to write to; made if need be.
        every: int, epochs between pictures.
        num_samples: int, number of samples.

    Example: `vae.fit(x, callbacks=[keras_vae.callbacks.Pictures(x_test[:10], "pictures")])`.
    """

    def __init__(self, images, directory, every=1, num_samples=64):
        super().__init__()
        self.images, self.directory = images, pathlib.Path(directory)
        self.every, self.num_samples = every, num_samples

    def on_train_begin(self, logs=None):
        self.directory.mkdir(parents=True, exist_ok=True)
        self.current = False

    def on_epoch_begin(self, epoch, logs=None):
        self.current = False

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0:
            self.draw()

    def on_train_end(self, logs=None):
        if not self.current:  # as of a run killed while it drew, and continued
            self.draw()

    def draw(self):
        """Draws what the model makes of the images now."""
        self.current, vae = True, self.model
        reconstructed = vae.predict(self.images, verbose=0)
        plotting.reconstructions(self.images, reconstructed, self.path("reconstructions"))
        plotting.image_grid(vae.generate(self.num_samples, seed=0), self.path("samples"))
        if vae.posterior.latent_dim == 2:
            plotting.latent_map(vae.decode, self.path("latent_map"))

    def path(self, name):
        """Where a picture goes; None on a worker that is not the chief."""
        return self.directory / f"{name}.png" if self.model.is_chief else None


class HistoryFile(keras.callbacks.Callback):
    """Writes the logs of each epoch to a CSV file, which is whole at every instant.

    Unlike Keras' CSVLogger it goes on from `initial_epoch`: rows of later epochs, which a killed
    run wrote after its last checkpoint, are dropped. Place it before the checkpoint.

    Args:
        path: the file.

    Example: `vae.fit(x, callbacks=[keras_vae.callbacks.HistoryFile("history.csv")])`.
    """

    def __init__(self, path):
        super().__init__()
        self.path, self.rows = pathlib.Path(path), None

    def on_epoch_begin(self, epoch, logs=None):
        if self.rows is None:
            self.rows = _rows(self.path) if epoch and self.path.exists() else []
        self.rows = [row for row in self.rows if int(row["epoch"]) < epoch]

    def on_epoch_end(self, epoch, logs=None):
        self.rows.append({"epoch": epoch} | {k: float(v) for k, v in (logs or {}).items()})
        if not self.model.is_chief:
            return
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        with saving.atomic(self.path) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, names, restval="")
            writer.writeheader()
            writer.writerows(self.rows)


def read_history(path):
    """A file of `HistoryFile` as a dict of columns, lists of numbers."""
    rows = _rows(path)
    names = rows[0] if rows else ()
    return {name: [float(row[name] or "nan") for row in rows] for name in names}


def _rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


class Interrupted(Exception):
    """Training was ended by a signal. Attributes: `signal`, its number."""

    def __init__(self, number):
        super().__init__(signal.Signals(number).name)
        self.signal = number


class StopOnSignal(keras.callbacks.Callback):
    """On Ctrl-C or SIGTERM, raises `Interrupted` when the step at hand is done, not in the midst.

    A second signal is not held up.

    Example:

    ```python
    try:
        vae.fit(x, callbacks=[keras_vae.callbacks.StopOnSignal()])
    except keras_vae.callbacks.Interrupted:
        vae.save("interrupted.keras")
    ```
    """

    def on_train_begin(self, logs=None):
        self.received = None
        handled = (signal.SIGINT, signal.SIGTERM)
        self.handlers = {number: signal.signal(number, self._receive) for number in handled}

    def on_train_batch_end(self, batch, logs=None):
        self._stop()

    def on_test_batch_end(self, batch, logs=None):
        self._stop()

    def on_train_end(self, logs=None):
        self._restore()
        self._stop()

    def _receive(self, number, frame):
        self.received = number
        self._restore()

    def _stop(self):
        if self.received is not None:
            raise Interrupted(self.received)

    def _restore(self):
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        self.handlers = {}


class StopOnNonFinite(keras.callbacks.Callback):
    """Ends training with a FloatingPointError where the loss is NaN or infinite.

    To skip a step whose gradients are not finite instead, and go on, compile with
    `keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=1.0)`: its `iterations` count the
    steps that were made.

    Args:
        checkpoint: path of the last good model, to be named in the error.

    Example: `vae.fit(x, callbacks=[keras_vae.callbacks.StopOnNonFinite("vae.keras")])`.
    """

    def __init__(self, checkpoint=None):
        super().__init__()
        self.checkpoint = checkpoint

    def on_train_batch_end(self, batch, logs=None):
        bad = [name for name, value in (logs or {}).items() if not np.all(np.isfinite(value))]
        if "loss" not in bad:
            return
        terms = ", ".join(name for name in bad if name != "loss") or "their sum"
        found = np.flatnonzero(keras.ops.convert_to_numpy(self.model.overflows.result()))
        if len(found):
            terms += f" (of latent dimension {', '.join(map(str, found[:10]))})"
        step = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))
        good = pathlib.Path(self.checkpoint) if self.checkpoint else None
        where = f"The last good model is {good}. " if good and good.exists() else ""
        raise FloatingPointError(
            f"The loss must be finite; at step {step} of the optimizer, batch {batch} of its "
            f"epoch, it is not, and neither is {terms}. {where}Try a smaller learning rate, "
            "`clipnorm=` in the optimizer, or a bounded likelihood, and look for extreme values "
            f"in the data. Received: loss={float(logs['loss'])}"
        )


class Backup(keras.callbacks.Callback):
    """Saves all that a run needs to go on after each epoch, and goes on from there.

    Run the same script again after a crash: `fit` begins after the last whole epoch, with weights,
    optimizer (its moving averages too), noise, the order of `datasets.Batches`, and the counters
    and best weights of the other callbacks, such as EarlyStopping and ReduceLROnPlateau. It ends
    with the same bits as a run that never stopped. A run that has ended is not trained further.

    Args:
        directory: folder of its own, made if need be. Delete it to begin anew.

    Example:

    ```python
    stop = keras.callbacks.EarlyStopping("val_loss", mode="min", patience=5)
    batches = keras_vae.datasets.Batches(x, shuffle=True)
    vae.fit(
        batches,
        validation_data=x_test,
        epochs=100,
        shuffle=False,
        callbacks=[stop, keras_vae.callbacks.Backup("backup")],
    )
    ```
    """

    def __init__(self, directory):
        super().__init__()
        self.directory = pathlib.Path(directory)

    def join(self, model, call):
        """Prepares the arguments of `fit`: restores the model and says where to begin."""
        self.others = [c for c in call["callbacks"] if c is not self]
        call["callbacks"] = [*self.others, self]  # so that the others have counted
        self.found = self._newest()
        if self.found is None:
            return
        model.load_weights(self.found / "model.weights.h5")
        self.state = json.loads((self.found / "state.json").read_text())
        epochs = self.state["epochs"]
        call["initial_epoch"] = call.get("epochs", 1) if self.state["ended"] else epochs
        if hasattr(call["x"], "epoch"):
            call["x"].epoch = epochs

    def on_train_begin(self, logs=None):
        if self.found is None:
            return
        saved = zip(self.others, self.state["callbacks"], strict=True)
        with np.load(self.found / "arrays.npz", allow_pickle=False) as arrays:
            for i, (other, scalars) in enumerate(saved):
                vars(other).update(scalars)
                names = sorted({key.split("/")[1] for key in arrays if key.startswith(f"{i}/")})
                for name in names:
                    keys = [key for key in arrays if key.startswith(f"{i}/{name}/")]
                    setattr(other, name, [arrays[key] for key in keys])

    def on_epoch_end(self, epoch, logs=None):
        if not self.model.is_chief:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        saving.remove_leftovers(self.directory)
        folder = pathlib.Path(tempfile.mkdtemp(prefix=".epoch.partial-", dir=self.directory))
        self.model.save_weights(folder / "model.weights.h5")
        state = {
            "epochs": epoch + 1,
            "ended": bool(self.model.stop_training),
            "callbacks": [_scalars(other) for other in self.others],
        }
        (folder / "state.json").write_text(json.dumps(state))
        np.savez(folder / "arrays.npz", **_arrays(self.others))
        older = self._newest()
        folder.replace(self.directory / f"epoch-{epoch + 1:06}")
        if older is not None and older.name != f"epoch-{epoch + 1:06}":
            shutil.rmtree(older)

    def _newest(self):
        return max(self.directory.glob("epoch-*"), default=None)


def _scalars(callback):
    """The counters of a callback: its attributes that are numbers, text or None."""
    kinds = (numbers.Real, str, bool, type(None))
    # Keras turns the sign of min_delta at the first value it sees, in each process
    found = {k: v for k, v in vars(callback).items() if isinstance(v, kinds) and k != "min_delta"}
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in found.items()}


def _arrays(callbacks):
    """Their attributes that are lists of arrays, such as best weights."""
    return {
        f"{i}/{name}/{j:06}": array
        for i, callback in enumerate(callbacks)
        for name, value in vars(callback).items()
        if isinstance(value, list) and value and all(isinstance(a, np.ndarray) for a in value)
        for j, array in enumerate(value)
    }


class SkippedSteps(keras.callbacks.Callback):
    """Logs `skipped_steps`, those that an `optimizers.GradientNormGuard` has skipped so far."""

    def on_epoch_end(self, epoch, logs=None):
        skipped = getattr(self.model.optimizer, "skipped", 0)
        logs["skipped_steps"] = int(keras.ops.convert_to_numpy(skipped))


class CollapseMonitor(keras.callbacks.Callback):
    """Logs how much of the code is in use after each epoch, and warns once if most of it is not.

    Adds `active_units` and, for `DiagonalNormal`, `mutual_information` (nats) to the logs: place it
    before CSVLogger or TensorBoard to have them there too.

    Args:
        x: examples to look at, as for `fit`; 1,000 are enough.
        patience: epochs to wait before the warning: a young model is not yet a collapsed one.
        dead: part of the dimensions from which on to warn.

    Attributes: `kl_per_dimension`, a list of (D,) arrays, one an epoch.

    Example: `vae.fit(x, callbacks=[keras_vae.callbacks.CollapseMonitor(x_test[:1000])])`.

    References: Burda et al., Importance Weighted Autoencoders (arXiv:1509.00519), section 5.2;
    Bowman et al., Generating Sentences from a Continuous Space (arXiv:1511.06349), section 3.1.
    """

    def __init__(self, x, patience=5, dead=0.5):
        super().__init__()
        self.x, self.patience, self.dead = x, patience, dead
        self.kl_per_dimension = []

    def on_train_begin(self, logs=None):
        self.epochs, self.warned = 0, False

    def on_epoch_end(self, epoch, logs=None):
        found = self.model.diagnose(self.x)
        self.kl_per_dimension.append(found.get("kl_per_dimension"))
        self.epochs += 1
        if logs is not None:
            names = ("active_units", "mutual_information")
            logs.update({name: float(found[name]) for name in names if name in found})
        size = self.model.posterior.latent_dim
        dead = size - found["active_units"]
        if self.warned or self.epochs < self.patience or dead < self.dead * size:
            return
        self.warned = True
        warnings.warn(
            f"{dead} of {size} latent dimensions are not in use: try a KL warm-up "
            "(`ELBO(beta=schedules.Linear(num_steps=…))`), a smaller beta, "
            "`ELBO(free_bits=…)`, or a smaller `latent_dim`.",
            stacklevel=2,
        )
