"""Where the commands write: folders that are checked, files that are whole or not there."""

import contextlib
import importlib.util
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from keras_vae import plotting, replicas, saving
from keras_vae.typing import FilePath
from keras_vae.validation import optional

FILES = (
    "vae.keras",
    "interrupted.keras",
    "run.json",
    "history.csv",
    "reconstructions.png",
    "samples.png",
    "latent_map.png",
    "latent_scatter.png",
    "loss.png",
)
"""What `train` leaves in its folder, beside the TensorBoard events in `logs`."""
PICTURES = (".png", ".jpg", ".jpeg", ".pdf", ".svg")
EXAMPLES = (*PICTURES, ".npy")
"""Suffixes of what examples are written to."""


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


@contextlib.contextmanager
def run_folder(path: FilePath) -> Iterator[pathlib.Path]:
    """Makes a folder if need be, and removes it again if the run fails before it leaves a file.

    Args:
        path: the folder.

    Yields:
        The folder.

    Raises:
        ValueError: if nothing can be written there, or another process writes there.
    """
    path = pathlib.Path(path)
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        _make_writable(path)
        with contextlib.nullcontext() if replicas.in_cluster() else saving.sole_use(path):
            yield path
    except BaseException:
        _remove_empty(made)
        raise


def _make_writable(path):
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise ValueError(
            "`--output` must be a folder that can be written to, because the model and its "
            f"history go there ({error.strerror}). Received: --output={path}"
        ) from error


def _remove_empty(folders):
    """Removes folders, the innermost first, in which there is nothing but the mark of use."""
    for folder in folders:
        if folder.is_dir() and {entry.name for entry in folder.iterdir()} <= {".in_use"}:
            (folder / ".in_use").unlink(missing_ok=True)
            folder.rmdir()


def check_new(
    paths: Sequence[FilePath], suffixes: Sequence[str], overwrite: bool, option: str = "--output"
) -> None:
    """Raises ValueError unless files may be written: their suffixes, their folders, themselves.

    Args:
        paths: the files.
        suffixes: those that a file may have, the first of them as an example.
        overwrite: whether files that are there are replaced.
        option: the option that names the files, for the message.
    """
    for path in map(pathlib.Path, paths):
        if path.suffix.lower() not in suffixes:
            raise ValueError(
                f"`{option}` must end in {' or '.join(suffixes)}, which says how it is written. "
                f"Received: {option}={path}"
            )
        if not path.parent.is_dir() or path.is_dir():
            raise ValueError(
                f"`{option}` must be a file in a folder that is there: make the folder first. "
                f"Received: {option}={path}"
            )
        if path.exists() and not overwrite:
            raise ValueError(
                f"`{option}` must be a new file, because this one would be replaced: name another, "
                f"or replace it by --overwrite. Received: {option}={path}"
            )


def print_logs(logs: Mapping[str, Any]) -> None:
    """Prints numbers, or arrays of them, one name a line."""
    for name, value in logs.items():
        numbers = " ".join(f"{number:10.3f}" for number in np.ravel(value))
        print(f"{name:22} {numbers}")


def check_examples(path: FilePath | None, overwrite: bool, *others: str) -> None:
    """Raises an error if examples could not be written to a file, as a picture or an array.

    Args:
        path: the file, or None where it has not been chosen yet.
        overwrite: whether a file that is there is replaced.
        others: suffixes that are accepted beside those of pictures and arrays.

    Raises:
        ValueError: if the file may not be written.
        ImportError: if it is a picture, and pictures cannot be drawn.
    """
    if path is not None:
        check_new([path], (*EXAMPLES, *others), overwrite)
        if pathlib.Path(path).suffix.lower() in PICTURES:
            optional("matplotlib", "plot", "Pictures")


def picture_or_array(path: FilePath | None, name: str, shape: Sequence[int]) -> str:
    """Returns where examples of a shape are written: to a picture or to an array.

    Args:
        path: what the user named, or None.
        name: the name of the file by default, without its suffix.
        shape: the shape of an example.

    Raises:
        ValueError: if they are to be drawn, and are no images.
    """
    is_image = plotting.is_image(shape)
    if path is None:
        return f"{name}.png" if is_image else f"{name}.npy"
    if pathlib.Path(path).suffix.lower() in PICTURES and not is_image:
        raise ValueError(
            "`--output` must end in .npy, because the examples are no images that could be drawn. "
            f"Received: --output={path}, and examples of the shape {tuple(shape)}"
        )
    return str(path)


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
    return importlib.util.find_spec("matplotlib") is not None


def has_report() -> bool:
    """Returns whether the page of `evaluate --report` can be written."""
    return has_matplotlib() and importlib.util.find_spec("jinja2") is not None
