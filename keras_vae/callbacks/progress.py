"""What training has changed in a callback, such as counters and best weights, as plain data.

Only attributes that training changed are kept. The others are settings, which belong to the
user's code: a run that goes on from a backup takes them from there.
"""

import collections
import inspect
from typing import Any

import keras
import numpy as np

SCALARS = (bool, int, float, str, type(None), np.bool_, np.integer, np.floating)


def keys(callbacks: list) -> list[str]:
    """Returns one key for each callback: its class, its name or monitor, and its number."""
    labels, found = [_label(callback) for callback in callbacks], []
    seen: collections.Counter[str] = collections.Counter()
    for label in labels:
        seen[label] += 1
        found.append(label if seen[label] == 1 else f"{label} number {seen[label]}")
    return found


def _label(callback):
    name = getattr(callback, "name", None) or getattr(callback, "monitor", None)
    kind = type(callback).__name__
    return f"{kind}({name!r})" if isinstance(name, str) else kind


def values(callback: keras.callbacks.Callback) -> dict:
    """Returns the attributes that are numbers, text, None, arrays, or lists of these."""
    # Keras turns the sign of min_delta at the first value that it sees, in each process.
    found = {k: v for k, v in vars(callback).items() if k != "min_delta" and _is_plain(v)}
    return {k: list(v) if isinstance(v, list) else v for k, v in found.items()}


def _is_plain(value):
    several = value if isinstance(value, list) else [value]
    arrays = (_is_array(v) or isinstance(v, np.generic) for v in several)  # weights may be scalars
    return all(isinstance(v, SCALARS) for v in several) or all(arrays)


def _is_array(value):
    return isinstance(value, np.ndarray) and not value.dtype.hasobject


def settings(callback: keras.callbacks.Callback) -> dict:
    """Returns the scalars among the constructor's arguments."""
    owners: list[Any] = [cls for cls in type(callback).__mro__ if "__init__" in vars(cls)]
    names = {name for cls in owners for name in inspect.signature(cls.__init__).parameters}
    found = {k: v for k, v in values(callback).items() if k in names}
    return {k: _plain(v) for k, v in found.items() if isinstance(v, SCALARS)}


def changed(callback: keras.callbacks.Callback, before: dict) -> dict:
    """Returns the attributes that are not as they were before training."""
    now = values(callback)
    return {k: v for k, v in now.items() if k not in before or not _equal(v, before[k])}


def _equal(a, b):
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_equal, a, b))
    return type(a) is type(b) and np.array_equal(a, b)


def split(attributes: dict) -> tuple[dict, dict]:
    """Returns the attributes as those for a JSON file, and arrays by `name` or `name/number`."""
    scalars, arrays = {}, {}
    for name, value in attributes.items():
        several = value if isinstance(value, list) else []
        if isinstance(value, np.ndarray):
            arrays[name] = value
        elif any(map(_is_array, several)):
            arrays |= {f"{name}/{j:06}": np.asarray(v) for j, v in enumerate(several)}
        else:
            scalars[name] = [_plain(v) for v in value] if isinstance(value, list) else _plain(value)
    return scalars, arrays


def joined(scalars: dict, arrays: dict) -> dict:
    """Returns the attributes that `split` took apart."""
    found = dict(scalars)
    for key in sorted(arrays):
        name, _, number = key.partition("/")
        if number:
            found.setdefault(name, []).append(arrays[key])
        else:
            found[name] = arrays[key]
    return found


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value
