"""Which files of a folder are images, what their classes are, and which are held out."""

import os
import pathlib

import numpy as np

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}
"""Suffixes of the images that are read."""
OTHER_SUFFIXES = {".heic", ".heif", ".avif", ".jp2", ".dng", ".cr2", ".nef", ".arw", ".psd", ".svg"}
"""Suffixes of images that are not read, and are counted as left out."""


def find(folder: pathlib.Path) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
    """Finds the images below a folder by their names.

    Hidden files and folders, whose names begin with a dot, play no part. Links to folders are not
    followed, so that a loop does no harm and no image is found twice.

    Args:
        folder: is searched with all its subfolders.

    Returns:
        Tuple of the regular files with the name of an image, and of what must be left out: other
            kinds of images, and what is no regular file or cannot be looked into. Both are sorted.
    """
    found: list[pathlib.Path] = []
    left_out: list[pathlib.Path] = []

    def leave_out(error):
        left_out.append(pathlib.Path(error.filename))

    for place, folders, files in os.walk(folder, onerror=leave_out):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = pathlib.Path(place, name)
            suffix = path.suffix.lower()
            if name.startswith(".") or suffix not in IMAGE_SUFFIXES | OTHER_SUFFIXES:
                continue
            readable = suffix in IMAGE_SUFFIXES and os.path.isfile(path)
            (found if readable else left_out).append(path)
    return sorted(found), sorted(left_out)


def classes(
    paths: list[pathlib.Path], folder: pathlib.Path
) -> tuple[np.ndarray | None, tuple[str, ...] | None]:
    """Returns the classes of images that lie in a folder for each class.

    Args:
        paths: of the images.
        folder: the folder that holds those of the classes.

    Returns:
        Tuple of integers (N,) and the names of the classes in their order; or of None and None, if
            an image lies beside the folders, or if there is only one folder.
    """
    parts = [path.relative_to(folder).parts for path in paths]
    names = sorted({first for first, *_ in parts})
    if len(names) < 2 or any(len(part) == 1 for part in parts):
        return None, None
    numbers = {name: number for number, name in enumerate(names)}
    return np.array([numbers[first] for first, *_ in parts]), tuple(names)


def divide(count: int, labels: np.ndarray | None, every: int) -> tuple[np.ndarray, np.ndarray]:
    """Divides examples into those to train on and those held out, of each class its share.

    Both go through the classes in turn, so that their first examples are of every class.

    Args:
        count: number of examples.
        labels: (N,) their classes, or None.
        every: of so many examples of a class the first is held out. A class with one example only
            holds none out.

    Returns:
        Tuple of the rows to train on and the rows held out.
    """
    labels = np.zeros(count, int) if labels is None else labels
    if np.bincount(labels).max() < 2:  # no class has an example to spare
        labels = np.zeros(count, int)
    place = np.zeros(count, int)  # of each example in its class
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        place[own] = np.arange(len(own))
    in_turn = np.lexsort((labels, place))
    held_out = (place % every == 0) & (np.bincount(labels)[labels] > 1)
    return in_turn[~held_out[in_turn]], in_turn[held_out[in_turn]]
