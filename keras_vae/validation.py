"""Checks of constructor arguments and options."""

import importlib
import numbers

import numpy as np


def positive_integer(value, argument, meaning):
    """`value` as an int of at least 1, or ValueError."""
    integral = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not integral or value < 1:
        raise ValueError(
            f"`{argument}` must be an integer of at least 1: it is {meaning}. "
            f"Received: {argument}={value!r}"
        )
    return int(value)


def optional(module, extra, what):
    """A module of an optional dependency, or ImportError that names the extra to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise ImportError(f'{what} need {package}: pip install "keras_vae[{extra}]"') from error


def is_number(value):
    """Whether `value` is a finite real number, and no boolean."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return real and bool(np.isfinite(value))


def check_finite(x, argument="x"):
    """Refuses a NumPy array with NaN or infinity."""
    if x.dtype.kind in "biu" or (np.isfinite(np.min(x)) and np.isfinite(np.max(x))):
        return
    raise ValueError(
        f"`{argument}` must be finite, because one NaN or infinity makes the loss NaN; drop or "
        "fill those entries, or give a mask: `{'x': x, 'mask': ~np.isnan(x)}`. Received: "
        f"{argument} with {np.count_nonzero(~np.isfinite(x))} entries that are not finite"
    )
