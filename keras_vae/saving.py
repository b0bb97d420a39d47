"""Files that are whole or not there: atomic writes, and loading with errors that say what to do."""

import contextlib
import io
import os
import pathlib
import shutil
import tempfile
import zipfile

import keras

FORMAT = 1
"""Of the config of a saved model; a file of a later one is refused."""

_PARTIAL = ".partial-"


@contextlib.contextmanager
def atomic(path):
    """Yields a temporary path beside `path`, and renames it to `path` if nothing went wrong.

    A process killed at any moment leaves at `path` the old file or the new one, never half of
    one. The temporary file keeps the suffixes of `path`, as Keras goes by them.
    """
    path = pathlib.Path(path)
    suffix = "".join(path.suffixes[-2:])
    handle, temporary = tempfile.mkstemp(
        prefix=f".{path.name}{_PARTIAL}", suffix=suffix, dir=path.parent
    )
    os.close(handle)
    try:
        os.chmod(temporary, 0o666 & ~_umask())
        yield temporary
        os.replace(temporary, path)
    finally:
        pathlib.Path(temporary).unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path):
    """Like `atomic`, for a folder that holds an export; one that is there is moved aside first.

    Raises:
        ValueError: if a folder is there that holds something else.
    """
    path = pathlib.Path(path)
    names = [entry.name for entry in path.iterdir()] if path.exists() else []
    if names and "saved_model.pb" not in names and not all(n.endswith(".onnx") for n in names):
        raise ValueError(
            "`filepath` must be a new or empty folder, or an earlier export, which is replaced. "
            f"Received: filepath={str(path)!r}, which holds {names[:3]}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = pathlib.Path(tempfile.mkdtemp(prefix=f".{path.name}{_PARTIAL}", dir=path.parent))
    temporary = aside / "new"
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            os.replace(path, aside / "old")
        os.replace(temporary, path)
    finally:
        shutil.rmtree(aside)


@contextlib.contextmanager
def sole_use(folder):
    """Refuses a folder that another living process has in sole use; released when this one ends.

    Raises:
        ValueError: if it is in use.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with open(pathlib.Path(folder) / ".in_use", "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ValueError(
                "`--output` must be a folder that no other run is writing to, because they would "
                f"overwrite each other. Received: --output={folder}"
            ) from error
        yield


def remove_leftovers(folder):
    """Removes what killed processes had begun to write with `atomic`."""
    for path in pathlib.Path(folder).glob(f".*{_PARTIAL}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def save(write, path, overwrite=True, **kwargs):
    """Calls Keras' `write(path, …)`, atomically where `path` will be one file."""
    if not overwrite or str(path).startswith("hf://") or kwargs.get("zipped") is False:
        return write(path, overwrite=overwrite, **kwargs)
    with atomic(path) as temporary:
        write(temporary, overwrite=True, **kwargs)


def load_model(path):
    """The model saved in a `.keras` file: `keras.saving.load_model` with a clear error.

    Args:
        path: the file. Nothing in it is executed (`safe_mode=True`).

    Raises:
        ValueError: if there is no such file, or it is no whole `.keras` file.

    Example: `vae = keras_vae.load_model("vae.keras")`.
    """
    if not os.path.isfile(path):
        raise ValueError(
            "`path` must name a `.keras` file, as written by `vae.save(path)`; there is no such "
            f"file. Received: path={str(path)!r}"
        )
    try:
        check_archive(path)
        return keras.saving.load_model(path)
    except Exception as error:
        raise ValueError(
            "`path` must name a whole `.keras` file, as written by `vae.save(path)`; this one "
            f"cannot be loaded ({type(error).__name__}: {_first_line(error)}). "
            f"Received: path={str(path)!r}"
        ) from error


def check_archive(path):
    """Refuses a `.keras` file that reaches outside itself, or grows when it is unpacked."""
    with zipfile.ZipFile(path) as archive:
        missing = {"config.json", "metadata.json", "model.weights.h5"} - set(archive.namelist())
        if missing:
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
        for entry in archive.infolist():
            name = pathlib.PurePosixPath(entry.filename.replace("\\", "/"))
            if name.is_absolute() or ".." in name.parts or ":" in entry.filename:
                raise ValueError(f"it has an entry outside itself, {entry.filename!r}")
            if entry.file_size > 100 * entry.compress_size + 1_000_000:
                raise ValueError(f"its entry {entry.filename!r} unpacks to {entry.file_size} bytes")
        _check_weights(archive.read("model.weights.h5"))


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


def check_format(number):
    """Refuses the config of a later version; one without a number is of the first."""
    if number > FORMAT:
        raise ValueError(
            f"it was written by a later version of keras_vae (format {number}, this one knows "
            f"{FORMAT}): update the package"
        )


def _first_line(error):
    return (str(error).strip().splitlines() or ["no details"])[0][:200]


def portable(config):
    """A serialised config with Keras' own optimizers for those that only its torch backend has."""
    if not isinstance(config, dict):
        return config
    config = {key: portable(value) for key, value in config.items()}
    if str(config.get("module")).startswith("keras.src.backend.torch.optimizers"):
        config |= {"module": "keras.optimizers", "registered_name": None}
    return config


def noise_states(model):
    """The variables of random generators (the model's, Dropout's), which Keras does not save."""
    weights = {id(weight) for weight in model.weights}
    return [variable for variable in model.variables if id(variable) not in weights]


def save_noise_states(model, store):
    """Adds the noise states to what `save_own_variables` stores."""
    for i, state in enumerate(noise_states(model)):
        store[f"noise_{i}"] = state


def load_noise_states(model, store):
    """Takes the noise states out of `store` into the model; returns the rest of the store."""
    rest = {key: store[key] for key in store.keys()}  # noqa: SIM118 (an HDF5 group)
    for i, state in enumerate(noise_states(model)):
        value = rest.pop(f"noise_{i}", None)
        if value is not None:
            state.assign(value)
    return rest
