"""Where the commands write: folders that are checked, files that are whole or not there."""

import pathlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from keras_vae import saving
from keras_vae.typing import FilePath

FILES = (
    "vae.keras",
    "interrupted.keras",
    "history.csv",
    "reconstructions.png",
    "samples.png",
    "latent_map.png",
    "latent_scatter.png",
    "loss.png",
)
"""What `train` leaves in its folder, beside the TensorBoard events in `logs`."""


def check_no_run(folder: FilePath, resume: bool = False, overwrite: bool = False) -> None:
    """Raises ValueError if a folder holds a run, and nobody said what to do with it."""
    if resume and overwrite:
        raise ValueError(
            "`--overwrite` must be left out with --resume, because a run either goes on or is "
            "replaced. Received: --resume --overwrite"
        )
    if (pathlib.Path(folder) / "vae.keras").exists() and not (resume or overwrite):
        raise ValueError(
            "`--output` must be a folder without a run, because this one would replace it: name "
            "another folder, go on with that run by --resume, or replace it by --overwrite. "
            f"Received: --output={folder}, which holds vae.keras"
        )


def remove_run(folder: FilePath) -> None:
    """Removes what an earlier `train` left in a folder, and nothing else."""
    folder = pathlib.Path(folder)
    events = (folder / "logs").glob("*/events.out.tfevents.*")
    for path in (*(folder / name for name in FILES), *events):
        path.unlink(missing_ok=True)


def writable_folder(path: FilePath) -> pathlib.Path:
    """Returns the folder, made if need be; ValueError if nothing can be written there."""
    path = pathlib.Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise ValueError(
            "`--output` must be a folder that can be written to, because the model and its "
            f"history go there ({error.strerror}). Received: --output={path}"
        ) from error
    return path


def check_new(paths: Sequence[FilePath], suffixes: Sequence[str], overwrite: bool) -> None:
    """Raises ValueError unless files may be written: their suffixes, their folders, themselves.

    Args:
        paths: the files.
        suffixes: those that a file may have, the first of them as an example; any if empty.
        overwrite: whether files that are there are replaced.
    """
    for path in map(pathlib.Path, paths):
        if suffixes and path.suffix.lower() not in suffixes:
            raise ValueError(
                f"`--output` must end in {' or '.join(suffixes)}, which says how it is written. "
                f"Received: --output={path}"
            )
        if not path.parent.is_dir() or path.is_dir():
            raise ValueError(
                "`--output` must be a file in a folder that is there: make the folder first. "
                f"Received: --output={path}"
            )
        if path.exists() and not overwrite:
            raise ValueError(
                "`--output` must be a new file, because this one would be replaced: name another, "
                f"or replace it by --overwrite. Received: --output={path}"
            )


def print_logs(logs: Mapping[str, Any]) -> None:
    """Prints numbers, or arrays of them, one name a line."""
    for name, value in logs.items():
        numbers = " ".join(f"{number:10.3f}" for number in np.ravel(value))
        print(f"{name:22} {numbers}")


def write(x: np.ndarray, path: FilePath, draw: Callable[..., Any]) -> None:
    """Saves an array as `.npy`, or draws it to an image file."""
    path = pathlib.Path(path)
    if path.suffix == ".npy":
        with saving.atomic(path) as temporary, open(temporary, "wb") as file:
            np.save(file, x, allow_pickle=False)
    else:
        draw(x, path=path)
    print(f"Wrote {path}")


def has_matplotlib() -> bool:
    """Returns whether pictures can be drawn."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True
