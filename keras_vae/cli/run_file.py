"""`run.json`, beside the model of a run: its data and the arguments it was started with."""

import argparse
import json
import os
import pathlib
from typing import Any

import keras_vae
from keras_vae import saving
from keras_vae.typing import FilePath

NAME = "run.json"
_MAY_CHANGE = ("epochs", "output", "resume", "overwrite", "strategy", "run", "parser")
"""What is no part of a run: a resumed run may have other values."""
_OF_THE_DATA = ("data", "strict", "image_size")


def write(folder: pathlib.Path, arguments: argparse.Namespace, data: FilePath) -> None:
    """Writes the arguments of a run, and the data that it has read.

    Args:
        folder: the folder of the run.
        arguments: those of `train`.
        data: the name of the data, or the file or folder.
    """
    content = {
        "keras_vae": keras_vae.__version__,
        "data": _whole(data),
        "arguments": _of_the_run(arguments),
    }
    with saving.atomic(folder / NAME) as temporary, open(temporary, "w") as file:
        json.dump(content, file, indent=2)


def read(folder: FilePath) -> dict[str, Any] | None:
    """Returns what `write` has written to a folder, or None where there is nothing of the kind."""
    try:
        content = json.loads((pathlib.Path(folder) / NAME).read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and "arguments" in content else None


def check_same(folder: FilePath, arguments: argparse.Namespace) -> None:
    """Raises ValueError, with all differences, if a run was started with other arguments."""
    run = read(folder)
    if run is None:
        return
    before, now = run["arguments"], json.loads(json.dumps(_of_the_run(arguments)))
    names = [name for name in now if now[name] != before.get(name, now[name])]
    if names:
        differences = "; ".join(
            f"--{name.replace('_', '-')} {_text(now[name])}, and the run has {_text(before[name])}"
            for name in names
        )
        raise ValueError(
            "`--resume` must be given the same arguments as the run, because it goes on as if it "
            "had never stopped; only --epochs and --strategy may change. For others choose a new "
            f"--output. Received: {differences}"
        )


def take_data(arguments: argparse.Namespace) -> None:
    """Sets the data of a command to those of the run of its model, unless `--data` names some."""
    run = read(pathlib.Path(arguments.model).parent)
    if arguments.data is not None or run is None:
        return
    for name in set(_OF_THE_DATA) & vars(arguments).keys():
        setattr(arguments, name, run["arguments"].get(name) or getattr(arguments, name))
    arguments.data = run["data"]
    if os.path.isabs(arguments.data) and not os.path.exists(arguments.data):
        raise ValueError(
            "`--data` must be given, because the data that the model was trained on are no longer "
            f"there. Received: no --data, and a run of {arguments.data}"
        )


def _of_the_run(arguments):
    given = {n: v for n, v in vars(arguments).items() if n not in _MAY_CHANGE}
    return given | {"data": None if arguments.data is None else _whole(arguments.data)}


def _whole(data):
    """The absolute path of a file or folder, or the name of data as it is."""
    return os.path.abspath(data) if os.path.exists(data) else str(data)


def _text(value):
    return "none" if value is None else str(value)
