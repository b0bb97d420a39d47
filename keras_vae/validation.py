"""Checks of constructor arguments and options."""

import importlib
import numbers
from types import ModuleType
from typing import Any

import numpy as np


def positive_integer(value: Any, argument: str, meaning: str) -> int:
    """Returns a value as an int, if it is an integer of at least 1.

    Args:
        value: what the user gave.
        argument: its name in the message.
        meaning: what it is, for the message.

    Returns:
        The int.

    Raises:
        ValueError: if it is anything else.
    """
    integral = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not integral or value < 1:
        raise ValueError(
            f"`{argument}` must be an integer of at least 1: it is {meaning}. "
            f"Received: {argument}={value!r}"
        )
    return int(value)


def optional(module: str, extra: str, what: str) -> ModuleType:
    """Imports a module of an optional dependency.

    Args:
        module: name of the module.
        extra: extra of this package that installs it.
        what: what needs it, in the plural, for the message.

    Returns:
        The module.

    Raises:
        ImportError: if it is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise ImportError(f'{what} need {package}: pip install "keras_vae[{extra}]"') from error


def is_number(value: Any) -> bool:
    """Returns whether `value` is a finite real number, and no boolean."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return real and bool(np.isfinite(value))


def check_finite(x: np.ndarray, argument: str = "x") -> None:
    """Refuses a NumPy array with NaN or infinity."""
    if x.dtype.kind in "biu" or (np.isfinite(np.min(x)) and np.isfinite(np.max(x))):
        return
    raise ValueError(
        f"`{argument}` must be finite, because one NaN or infinity makes the loss NaN; drop or "
        "fill those entries, or give a mask: `{'x': x, 'mask': ~np.isnan(x)}`. Received: "
        f"{argument} with {np.count_nonzero(~np.isfinite(x))} entries that are not finite"
    )
