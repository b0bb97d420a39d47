"""Files and folders that are whole or not there, whatever happens while they are written."""

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import pathlib
import shutil
import sys
import tempfile
import weakref
from collections.abc import Iterator

from keras_vae.typing import FilePath

_PARTIAL = ".partial-"
_EARLIER = ".earlier"


@contextlib.contextmanager
def atomic(path: FilePath) -> Iterator[str]:
    """Writes a file that is whole or not there.

    A process killed at any moment leaves at `path` the old file or the new one, never half of
    one. The temporary file keeps the suffix of `path`, as Keras goes by it. A symbolic link stays
    a link, and its target is replaced; an existing file keeps its permissions.

    Args:
        path: the file.

    Yields:
        A temporary path beside `path`, which is renamed to `path` if nothing goes wrong.
    """
    suffix, target = _suffix(path), _target(path)
    prefix = _beside(target, _PARTIAL, len(suffix))
    handle, temporary = tempfile.mkstemp(prefix=prefix, suffix=suffix, dir=target.parent)
    os.close(handle)
    try:
        os.chmod(temporary, _permissions(target))
        yield temporary
        os.replace(temporary, target)
    finally:
        pathlib.Path(temporary).unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: FilePath) -> Iterator[pathlib.Path]:
    """Writes a folder that holds an export, whole or not at all.

    On Linux the new folder and the earlier one exchange their names in one step, so that a process
    killed at any moment leaves a whole export at `path`. Where the system cannot exchange names,
    the earlier export is first renamed to `.NAME.earlier` beside it. A process killed just then
    leaves it there, and the next export to the same path restores it before it begins.

    Args:
        path: the folder.

    Yields:
        A temporary folder, which takes the place of `path` if nothing goes wrong.

    Raises:
        ValueError: if something else than an export is there.
    """
    target = _target(path)
    earlier = target.parent / _beside(target, _EARLIER)
    _restore(target, earlier)
    _check_replaceable(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = pathlib.Path(tempfile.mkdtemp(prefix=_beside(target, _PARTIAL), dir=target.parent))
    temporary = aside / "new"
    temporary.mkdir()
    try:
        yield temporary
        if not target.exists():
            os.replace(temporary, target)
        else:
            shutil.copymode(target, temporary)
            exchange(temporary, target) or _replace_in_two_steps(temporary, target, earlier)
    finally:
        shutil.rmtree(aside)


def _check_replaceable(path):
    names = [entry.name for entry in path.iterdir()] if path.is_dir() else []
    of_onnx = all(name.endswith(".onnx") or name == "table.json" for name in names)
    is_export = "saved_model.pb" in names or of_onnx
    if (path.exists() and not path.is_dir()) or not is_export:
        what = f"which holds {names[:3]}" if names else "which is a file"
        raise ValueError(
            "`filepath` must be a new or empty folder, or an earlier export, which is replaced. "
            f"Received: filepath={str(path)!r}, {what}"
        )


def exchange(first: FilePath, second: FilePath) -> bool:
    """Exchanges the names of two files or folders in one step; returns False if it cannot be."""
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    here, swap = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
    return rename(here, os.fsencode(first), here, os.fsencode(second), swap) == 0


def _replace_in_two_steps(temporary, path, earlier):
    """Replaces a folder; the earlier one comes back if the second step fails."""
    os.replace(path, earlier)
    try:
        os.replace(temporary, path)
    except BaseException:
        os.replace(earlier, path)
        raise
    shutil.rmtree(earlier)


def _restore(path, earlier):
    """Puts right what `_replace_in_two_steps` left when it was killed."""
    if earlier.exists() and path.exists():
        shutil.rmtree(earlier)
    elif earlier.exists():
        os.replace(earlier, path)


def hold(folder: FilePath, argument: str = "--output") -> object:
    """Takes a folder for this process: as long as the result lives, others are refused it.

    Within this process the same object is returned again.

    Args:
        folder: a folder that exists.
        argument: the name of the argument that gave it, for the error.

    Returns:
        An object that holds the folder.

    Raises:
        ValueError: if another process that is alive has the folder in sole use.
    """
    name = os.path.realpath(folder)
    held = _HELD.get(name)
    if held is None:
        held = _HELD[name] = _Hold(name, argument)
    return held


class _Hold:
    def __init__(self, folder: str, argument: str) -> None:
        try:
            import fcntl
        except ImportError:  # Windows
            return
        file = os.open(os.path.join(folder, ".in_use"), os.O_RDWR | os.O_CREAT, 0o666)
        self.release = weakref.finalize(self, os.close, file)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                return  # The file system has no locks.
            raise ValueError(
                f"`{argument}` must be a folder that no other run is writing to, because they "
                f"would overwrite each other. Received: {argument}={folder}"
            ) from error


_HELD: weakref.WeakValueDictionary[str, _Hold] = weakref.WeakValueDictionary()


@contextlib.contextmanager
def sole_use(folder: FilePath) -> Iterator[None]:
    """Refuses a folder that another living process has in sole use; released when this one ends.

    Raises:
        ValueError: if it is in use.
    """
    held = hold(folder)
    try:
        yield
    finally:
        del held


def remove_leftovers(folder: FilePath) -> None:
    """Removes what killed processes had begun to write with `atomic`."""
    for path in pathlib.Path(folder).glob(f".*{_PARTIAL}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def seal(folder: pathlib.Path) -> None:
    """Writes the checksums of the files of a folder beside them, for `is_whole`."""
    (folder / "checksums.json").write_text(json.dumps(_checksums(folder)))


def is_whole(folder: pathlib.Path) -> bool:
    """Returns whether the files of a folder are as they were when it was sealed."""
    try:
        return json.loads((folder / "checksums.json").read_text()) == _checksums(folder)
    except (OSError, ValueError):
        return False


def _checksums(folder):
    found = {}
    for path in sorted(folder.iterdir()):
        if path.name != "checksums.json":
            with open(path, "rb") as file:
                found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _target(path):
    """Returns the path that a symbolic link leads to, or the path itself."""
    path = pathlib.Path(path)
    return pathlib.Path(os.path.realpath(path)) if path.is_symlink() else path


def _suffix(path):
    name = pathlib.Path(path).name
    suffix = ".weights.h5" if name.endswith(".weights.h5") else pathlib.Path(name).suffix
    return suffix if len(suffix) <= 16 else ""


def _beside(path, ending, room=0):
    """Returns the name of a hidden file for `path`, with room for a suffix and what tells it apart.

    It names `path` where the system allows so long a name, and else holds a checksum of it.
    """
    name = f".{path.name}{ending}"
    if len(os.fsencode(name)) + room + 16 <= _longest_name(path.parent):
        return name
    return f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}{ending}"


def _longest_name(folder):
    """Returns the number of bytes that a file's name may have."""
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):
        return 255


def _permissions(path):
    if path.exists():
        return path.stat().st_mode & 0o7777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
