"""One condition for all rows, or one for each."""

from typing import Any

import numpy as np
from keras import ops

from keras_vae.data_adapters import checks
from keras_vae.data_adapters.reading import as_array, whole


def conditions(condition: Any, rows: int, length: int | None) -> np.ndarray | None:
    """Returns the condition of each of so many rows.

    One class or one vector of floats stands for all rows. A one-dimensional condition of integers
    holds one class for each row.

    Args:
        condition: what the user gave, or None.
        rows: number of rows.
        length: length C of the model's condition; None where it takes none.

    Returns:
        NumPy array of classes (rows,) or of vectors (rows, C), or None.

    Raises:
        ValueError: if it fits neither the rows nor the model.
    """
    if condition is not None:
        condition = np.atleast_1d(ops.convert_to_numpy(whole(as_array(condition, "condition"))))
        checks.check_whether_conditional(condition, length)
        _refuse_one_hot(condition, length)
        condition = _for_each(condition, rows, length)
    checks.check_condition(condition, rows, length)
    return condition


def condition_rows(
    parts: dict[str, Any], spec: checks.DataSpec, check: bool = True
) -> dict[str, Any]:
    """Returns the condition of each row, where one is given for a model that takes one.

    Args:
        parts: dict of arrays with `x`.
        spec: what the model takes.
        check: whether to refuse what does not fit.

    Returns:
        A dict with `condition`, or an empty one.

    Raises:
        ValueError: if it does not fit.
    """
    condition, length = parts.get("condition"), spec.condition_dim
    if condition is None or not length:
        return {}
    if check:
        return {"condition": conditions(condition, len(parts["x"]), length)}
    condition = np.atleast_1d(ops.convert_to_numpy(condition))
    return {"condition": _for_each(condition, len(parts["x"]), length)}


def _for_each(condition, rows, length):
    """One for all rows, repeated; others as they are."""
    if condition.ndim == 1 and checks.is_float(condition):
        condition = condition[:, None] if length == 1 < rows == len(condition) else condition[None]
    return np.repeat(condition, rows, axis=0) if len(condition) == 1 else condition


def _refuse_one_hot(condition, length):
    if condition.ndim == 1 and len(condition) == length > 2 and _is_one_hot(condition):
        raise ValueError(
            "`condition` must be a class index, or a vector of floats: integers hold one class for "
            f"each example. Received: condition={condition.tolist()}; give "
            f"{int(condition.argmax())}, or the vector as float32"
        )


def _is_one_hot(condition):
    integers = not checks.is_float(condition)
    return integers and condition.sum() == 1 and condition.min() == 0
