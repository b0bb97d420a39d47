"""Checks of saved models before they are loaded: hostile and damaged files are refused."""

import io
import json
import math
import pathlib
import re
import zipfile
from typing import Any

import keras

from keras_vae import keras_compat
from keras_vae.typing import FilePath

CONFIG, WEIGHTS = "config.json", "model.weights.h5"


def check_archive(path: FilePath, custom_objects: dict[str, Any] | None = None) -> None:
    """Refuses a `.keras` file that reaches outside itself, or grows when it is unpacked or loaded.

    Args:
        path: the file.
        custom_objects: dict of names and classes, as for `keras.saving.load_model`.

    Raises:
        ValueError: with what is wrong.
    """
    with zipfile.ZipFile(path) as archive:
        missing = {CONFIG, "metadata.json", WEIGHTS} - set(archive.namelist())
        if missing:
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
        for entry in archive.infolist():
            _check_entry(entry)
        _check_content(archive.read(CONFIG), archive.read(WEIGHTS), custom_objects)


def check_folder(path: FilePath, custom_objects: dict[str, Any] | None = None) -> None:
    """Refuses a folder that was saved with `zipped=False`, as `check_archive` does a file."""
    config, weights = ((pathlib.Path(path) / name).read_bytes() for name in (CONFIG, WEIGHTS))
    _check_content(config, weights, custom_objects)


def _check_entry(entry):
    name = pathlib.PurePosixPath(entry.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or ":" in entry.filename:
        raise ValueError(f"it has an entry outside itself, {entry.filename!r}")
    if entry.file_size > 100 * entry.compress_size + 1_000_000:
        raise ValueError(f"its entry {entry.filename!r} unpacks to {entry.file_size} bytes")


def _check_content(config, weights, custom_objects):
    _check_weights(weights)
    needed = declared_bytes(json.loads(config), custom_objects)
    if needed is not None and needed > 2 * len(weights) + 1_000_000:
        raise ValueError(
            f"its config declares weights of {needed} bytes, and the file has {len(weights)}"
        )


def declared_bytes(config: dict, custom_objects: dict[str, Any] | None = None) -> int | None:
    """Returns the bytes of the variables that a config declares; allocates none of them.

    LoRA's weights, metrics and seeds count too, though they are not in the file. Where a layer
    cannot be made in this way, only those before it count. Returns None where Keras cannot tell.
    """
    config = {key: value for key, value in config.items() if key != "compile_config"}
    variables = keras_compat.variables_made_by(
        lambda: keras.saving.deserialize_keras_object(config, custom_objects)
    )
    return None if variables is None else sum(map(_bytes, variables))


def _bytes(variable):
    bits = re.search(r"\d+", keras.backend.standardize_dtype(variable.dtype))
    return math.prod(variable.shape) * (int(bits.group()) if bits else 8) // 8


def _check_weights(content):
    """Refuses links, objects, and arrays larger than the file in the HDF5 file of the weights."""
    import h5py

    seen = set()

    def check(group):
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"its weights have a link, {group.name}/{name}")
            item = group[name]
            place = h5py.h5o.get_info(item.id).addr
            if place in seen:
                raise ValueError(f"its weights hold {group.name}/{name} twice")
            seen.add(place)
            if isinstance(item, h5py.Group):
                check(item)
            elif item.external or item.is_virtual or item.dtype.hasobject:
                raise ValueError(f"its weights refer to something else at {item.name}")
            elif item.nbytes > len(content):
                raise ValueError(f"its weights grow to {item.nbytes} bytes at {item.name}")

    with h5py.File(io.BytesIO(content), "r") as file:
        check(file)
