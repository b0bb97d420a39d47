"""Callbacks for workers that are not the chief: they count as the chief's do, but do not write."""

import os
import shutil
import tempfile
from typing import Any

import keras

from keras_vae.typing import FilePath, Logs

WRITERS = (keras.callbacks.CSVLogger, keras.callbacks.TensorBoard)
"""Callbacks that only write. The other workers leave them out."""


def for_this_worker(
    callbacks: Any, is_chief: bool
) -> list[keras.callbacks.Callback] | keras.callbacks.CallbackList:
    """Returns the callbacks that this worker hands to Keras; no callback is changed.

    On a worker that is not the chief, `CSVLogger` and `TensorBoard` are left out, and
    `BackupAndRestore` is replaced by a callback that restores, and writes and deletes nothing.
    `ModelCheckpoint` stays, because it has to count; `vae.save` writes on the chief only.

    Args:
        callbacks: what `fit` was given: None, a callback, or a nested structure of callbacks. A
            `CallbackList` is returned as it is.
        is_chief: whether this worker is the one that writes files.

    Returns:
        A new list of callbacks.

    Example: `for_this_worker([keras.callbacks.CSVLogger("log.csv")], is_chief=False)  # []`.
    """
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return callbacks
    callbacks = keras.tree.flatten([] if callbacks is None else callbacks)
    if is_chief:
        return callbacks
    return [_silent(callback) for callback in callbacks if not isinstance(callback, WRITERS)]


def _silent(callback):
    is_backup = isinstance(callback, keras.callbacks.BackupAndRestore)
    return RestoreOnly(callback.backup_dir) if is_backup else callback


class RestoreOnly(keras.callbacks.Callback):
    """Restores what `keras.callbacks.BackupAndRestore` has saved; writes and deletes nothing.

    Keras repairs a damaged backup where it lies. So this callback reads from a copy of the folder.

    Args:
        backup_dir: the folder of `BackupAndRestore`.
    """

    def __init__(self, backup_dir: FilePath) -> None:
        super().__init__()
        self.backup_dir = backup_dir

    def on_train_begin(self, logs: Logs = None) -> None:
        if not os.path.isdir(self.backup_dir):
            return
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(self.backup_dir, folder, dirs_exist_ok=True)
            reader = keras.callbacks.BackupAndRestore(folder)
            reader.set_model(self.model)
            reader.on_train_begin(logs)


FOR_FILES = (*WRITERS, keras.callbacks.BackupAndRestore, RestoreOnly)
"""Callbacks that do not count anything that training depends on."""
