"""A backup after each epoch, from which a run goes on as if it had never stopped."""

import copy
import json
import pathlib
import shutil
import tempfile
import warnings
from typing import Any

import keras
import numpy as np

from keras_vae import writing
from keras_vae.callbacks import progress, workers
from keras_vae.typing import FilePath, Logs


class Backup(keras.callbacks.Callback):
    """Saves all that a run needs to go on after each epoch, and goes on from there.

    Run the same script again after a crash: `fit` begins after the last whole epoch, with weights,
    optimizer (its moving averages too), noise, the order of `datasets.Batches`, and the counters
    and best weights of the other callbacks, such as EarlyStopping and ReduceLROnPlateau. It ends
    with the same bits as a run that never stopped. A run that a callback has ended is not trained
    further, unless a setting of the callbacks has changed.

    The counters are matched to the callbacks by class, and by `name` or `monitor` where a callback
    has one, whatever their order. Only attributes that training changes are restored, so that
    settings such as `patience` are always those of your code. A callback that is new starts
    afresh.

    No backup is written while a weight or a loss is not finite. The last two backups are kept: if
    the newest is damaged, the run goes on from the one before it.

    Args:
        directory: folder of its own, made if need be. Delete it to begin anew.

    Raises:
        ValueError: by `fit`, if another process that is alive uses the folder, if the folder holds
            the counters of a callback that is not among `callbacks`, or if all backups in it are
            damaged.

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

    def __init__(self, directory: FilePath) -> None:
        super().__init__()
        self.directory = pathlib.Path(directory)
        self.lock: object = None
        self.found: pathlib.Path | None = None

    def prepare_fit(self, model: keras.Model, call: dict) -> None:
        """Prepares the arguments of `fit`: restores the model and says where to begin.

        Args:
            model: the model to be trained.
            call: the arguments of `fit` by name, which are changed in place.

        Raises:
            ValueError: see the class.
        """
        rest = [callback for callback in call["callbacks"] if callback is not self]
        call["callbacks"] = [*rest, self]  # This one comes last, when the others have counted.
        self.others = [callback for callback in rest if not isinstance(callback, Backup)]
        self.settings, self.warned = self._settings(), False
        if model.is_chief:
            self.directory.mkdir(parents=True, exist_ok=True)
            self.lock = writing.hold(self.directory, "directory")
        try:
            self.found = self._newest_whole()
            if self.found is not None:
                self._restore(self.found, model, call)
        except BaseException:
            self.lock = None
            raise

    def _restore(self, found, model, call):
        """Restores the model; the callbacks follow in `on_train_begin`."""
        self.state = json.loads((found / "state.json").read_text())
        self._check_callbacks(found)
        model.load_weights(found / "model.weights.h5")
        epochs = self.state["epochs"]
        call["initial_epoch"] = call.get("epochs", 1) if self._has_ended() else epochs
        if hasattr(call["x"], "epoch"):
            call["x"].epoch = epochs

    def on_train_begin(self, logs: Logs = None) -> None:
        self.before = [copy.deepcopy(progress.values(callback)) for callback in self.others]
        self.counted: list[set[str]] = [set() for _ in self.others]
        if self.found is None:
            return
        for i, saved in enumerate(self._saved_of_each(self.found)):
            self.counted[i] |= set(saved)
            vars(self.others[i]).update(saved)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if not self.model.is_chief:
            return
        if not self._is_finite(logs or {}):
            return self._warn_once(epoch)
        self.directory.mkdir(parents=True, exist_ok=True)
        writing.remove_leftovers(self.directory)
        folder = pathlib.Path(tempfile.mkdtemp(prefix=".epoch.partial-", dir=self.directory))
        self.model.save_weights(folder / "model.weights.h5")
        self._write_progress(folder, epoch)
        writing.seal(folder)
        self._replace(folder, self.directory / f"epoch-{epoch + 1:06}")

    def on_train_end(self, logs: Logs = None) -> None:
        self.lock = None  # Others may use the folder now.

    def _newest_whole(self):
        """Returns the newest backup that is not damaged, or None where there is none at all."""
        folders = sorted(self.directory.glob("epoch-*"), reverse=True)
        if not folders:
            return None
        whole = next((folder for folder in folders if writing.is_whole(folder)), None)
        if whole is None:
            raise ValueError(
                "`directory` must hold a backup that is whole; all in this one are damaged. Delete "
                f"it to begin anew. Received: directory={str(self.directory)!r}"
            )
        if whole != folders[0]:
            warnings.warn(
                f"The backup {folders[0]} is damaged. The run goes on from {whole.name}.",
                stacklevel=4,
            )
        return whole

    def _check_callbacks(self, found):
        """Refuses to lose the counters of a callback that is not there any more."""
        now = progress.keys(self.others)
        saved = self.state["callbacks"].items()
        lost = [key for key, one in saved if one["is_needed"] and key not in now]
        if lost:
            raise ValueError(
                f"`callbacks` must hold {', '.join(lost)}, because the backup has counters of "
                "it, which would be lost. To go on without it, load the weights "
                f"{str(found / 'model.weights.h5')!r} and give `Backup` a new folder. "
                f"Received: callbacks={now}"
            )

    def _has_ended(self):
        """Whether a callback ended the run, and the settings of the callbacks are the same."""
        then = {key: saved["settings"] for key, saved in self.state["callbacks"].items()}
        known = [
            then.get(key) == now
            for callback, (key, now) in zip(self.others, self.settings.items(), strict=True)
            if not isinstance(callback, workers.FOR_FILES)
        ]
        return self.state["ended"] and all(known)

    def _settings(self):
        settings = map(progress.settings, self.others)
        return dict(zip(progress.keys(self.others), settings, strict=True))

    def _saved_of_each(self, found):
        """Returns for each callback the attributes to restore; the user's settings win."""
        with np.load(found / "arrays.npz", allow_pickle=False) as file:
            arrays = dict(file)
        saved = self.state["callbacks"]
        return [
            _to_restore(saved[key], arrays, settings) if key in saved else {}
            for key, settings in self.settings.items()
        ]

    def _write_progress(self, folder, epoch):
        callbacks: dict[str, Any] = {}
        arrays: dict[str, Any] = {}
        for i, (callback, key) in enumerate(zip(self.others, self.settings, strict=True)):
            scalars, own = progress.split(self._counted_by(i))
            arrays |= {f"{i}/{name}": array for name, array in own.items()}
            is_needed = bool(scalars or own) and not isinstance(callback, workers.FOR_FILES)
            callbacks[key] = {
                "number": i,
                "counted": scalars,
                "settings": self.settings[key],
                "is_needed": is_needed,
            }
        ended = bool(self.model.stop_training)
        state = {"epochs": epoch + 1, "ended": ended, "callbacks": callbacks}
        (folder / "state.json").write_text(json.dumps(state))
        np.savez(folder / "arrays.npz", **arrays)

    def _counted_by(self, i):
        """Returns the attributes of a callback that training has changed in any epoch so far."""
        self.counted[i] |= set(progress.changed(self.others[i], self.before[i]))
        now = progress.values(self.others[i])
        return {name: now[name] for name in sorted(self.counted[i]) if name in now}

    def _is_finite(self, logs):
        """Whether the losses, the weights and the optimizer's state are finite."""
        losses = [value for name, value in logs.items() if name.endswith("loss")]
        variables = [*self.model.weights, *self.model.optimizer.variables]
        tensors = [
            v.value for v in variables if "float" in keras.backend.standardize_dtype(v.dtype)
        ]
        return bool(np.all(np.isfinite(losses))) and all(map(_all_finite, tensors))

    def _warn_once(self, epoch):
        if not (self.warned or self.model.stop_training):
            self.warned = True
            warnings.warn(
                f"No backup was written after epoch {epoch + 1}, because a loss or a weight is "
                "not finite. The backups of earlier epochs are kept.",
                stacklevel=2,
            )

    def _replace(self, folder, target):
        """Moves a backup to its place, and removes all but it and the one before it."""
        shutil.rmtree(target, ignore_errors=True)
        folder.replace(target)
        for other in self.directory.glob("epoch-*"):
            if other not in (target, self.found):
                shutil.rmtree(other)
        self.found = target


def _to_restore(saved, arrays, settings):
    """Returns the saved attributes of a callback, without settings that are others than then."""
    start = f"{saved['number']}/"
    own = {k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)}
    attributes, then = progress.joined(saved["counted"], own), saved["settings"]
    edited = {name for name, now in settings.items() if now != then.get(name)}
    return {name: value for name, value in attributes.items() if name not in edited}


def _all_finite(variable):
    found = keras.ops.all(keras.ops.isfinite(keras.ops.convert_to_tensor(variable)))
    return bool(keras.ops.convert_to_numpy(found))
