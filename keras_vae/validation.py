"""Bad input, refused before the first step with a sentence that says what to do."""

import importlib
import numbers
import types

import keras
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


def number_or_schedule(value, argument, meaning, positive=False):
    """`value` as a non-negative (or positive) float, or the schedule that it is; or ValueError."""
    if isinstance(value, keras.optimizers.schedules.LearningRateSchedule):
        return value
    if not is_number(value) or value < 0 or (positive and value == 0):
        raise ValueError(
            f"`{argument}` must be a {'positive' if positive else 'non-negative'} number or a "
            f"learning-rate schedule: {meaning}. Received: {argument}={value!r}"
        )
    return float(value)


def is_array(x):
    """Whether `x` is the data itself (an array, tensor, list, dict) and no pipeline of batches."""
    return isinstance(x, (list, dict, np.ndarray)) or (hasattr(x, "shape") and hasattr(x, "dtype"))


def peek(data, argument="x"):
    """`(data, first batch)` of a tf.data.Dataset, PyDataset or generator, losing nothing.

    The first batch is None for other iterables, which are not looked at.

    Raises:
        ValueError: if there is no first batch.
    """
    if isinstance(data, types.GeneratorType):
        first = next(data, None)
        data = _chain(first, data)
    elif isinstance(data, keras.utils.PyDataset):
        first = data[0] if data.num_batches is None or data.num_batches > 0 else None
    elif hasattr(data, "element_spec") and hasattr(data, "take"):
        first = next(iter(data.take(1)), None)
    elif hasattr(data, "__iter__") and not isinstance(data, (str, bytes)):
        return data, None
    else:
        raise ValueError(
            f"`{argument}` must be an array, a dict of arrays, a tf.data.Dataset, a PyDataset or "
            f"a generator of batches, to be gone through. Received: {argument}={data!r:.100}"
        )
    if first is None:
        raise ValueError(
            f"`{argument}` must hold at least one batch, because there is nothing to learn from "
            f"an empty dataset. Received: {argument}={type(data).__name__} without a batch"
        )
    return data, first


def _chain(first, rest):
    yield first
    yield from rest


def as_numeric(x, argument="x"):
    """`x` as a NumPy array of numbers with at least one row.

    Raises:
        ValueError: if it is empty, ragged, or holds anything but real numbers.
    """
    if isinstance(x, dict):
        raise ValueError(
            f"`{argument}` must be one array of examples. "
            f"Received: {argument}=dict with keys {sorted(map(str, x))}"
        )
    try:
        plain = isinstance(x, list | np.ndarray)  # which Keras would copy
        x = np.asarray(x) if plain else keras.ops.convert_to_numpy(x)
    except ValueError as error:
        raise ValueError(
            f"`{argument}` must be a rectangular array, every example of the same shape. "
            f"Received: {argument}={type(x).__name__} that NumPy cannot convert ({error})"
        ) from error
    if x.dtype.kind not in "biuf" and "float" not in x.dtype.name:
        raise ValueError(
            f"`{argument}` must hold real numbers, because likelihoods are computed from them. "
            f"Received: {argument} with dtype={x.dtype}"
        )
    if x.size == 0:
        raise ValueError(
            f"`{argument}` must hold at least one example, because there is nothing to learn from "
            f"an empty array. Received: {argument} with shape={x.shape}"
        )
    return x


def parts_of(batch):
    """A batch as a dict: `x`, and `condition` and `mask` if it has them."""
    if not isinstance(batch, dict):
        return {"x": batch}
    if "x" not in batch or set(batch) - {"x", "condition", "mask"}:
        raise ValueError(
            "`x`, given as a dict, must have the key 'x' and may have 'condition' and 'mask', "
            f"because those are what the model knows. Received: x with keys {sorted(batch)}"
        )
    return dict(batch)


def check_mask(mask, shape):
    """Refuses a mask that is not zeros and ones of the shape of x."""
    if tuple(mask.shape) != tuple(shape):
        raise ValueError(
            f"`mask` must have the shape of x, {tuple(shape)}: 1 where an entry is observed, 0 "
            f"where it is missing. Received: mask with shape={tuple(mask.shape)}"
        )
    if not np.all((mask == 0) | (mask == 1)):
        raise ValueError(
            "`mask` must hold booleans, or zeros and ones: 1 where an entry is observed. "
            f"Received: mask with values in [{mask.min()}, {mask.max()}]"
        )


def check_condition(condition, rows, length):
    """Refuses a condition that is not `rows` class indices below `length` or vectors of it."""
    if condition is None or not length:
        if condition is None and not length:
            return
        raise ValueError(
            "`condition` must be given exactly where the encoder or the decoder has a second "
            "input for it. "
            + (
                f"Received: condition=None, and networks for one of length {length}"
                if condition is None
                else f"Received: condition with shape={condition.shape}, and networks for none"
            )
        )
    if condition.shape not in ((rows,), (rows, length)):
        raise ValueError(
            f"`condition` must be {rows} class indices or vectors of length {length}, one for "
            f"each example. Received: condition with shape={condition.shape}"
        )
    check_finite(condition, "condition")
    low, high = condition.min(), condition.max()
    indices = condition.ndim == 1
    if indices and (low < 0 or high >= length or np.any(condition != np.floor(condition))):
        raise ValueError(
            f"`condition` must hold class indices, whole numbers from 0 to {length - 1}. "
            f"Received: condition with values in [{low}, {high}]"
        )


def check_shape(x, shape, argument="x"):
    """Refuses an array whose rows are not of `shape`; None in `shape` stands for any length."""
    fits = len(x.shape) == len(shape) + 1 and all(
        want in (None, got) for want, got in zip(shape, x.shape[1:], strict=True)
    )
    if fits:
        return
    hint = ""
    if len(x.shape) == len(shape) and shape[-1] == 1:
        hint = f"; add the channel axis: `{argument}[..., None]`"
    raise ValueError(
        f"`{argument}` must have the shape (examples, {', '.join(map(str, shape))}), which the "
        f"encoder was built for{hint}. Received: {argument} with shape={tuple(x.shape)}"
    )


def check_finite(x, argument="x"):
    """Refuses NaN and infinity."""
    if x.dtype.kind == "f" and not np.isfinite(np.min(x) + np.max(x)):
        raise ValueError(
            f"`{argument}` must be finite, because one NaN or infinity makes the loss NaN; drop or "
            "fill those entries, or give a mask: `{'x': x, 'mask': ~np.isnan(x)}`. Received: "
            f"{argument} with a minimum of {np.min(x)} and a maximum of {np.max(x)}"
        )


def check_length(values, rows, argument):
    """Refuses what has not one entry for each example."""
    if len(values) != rows:
        raise ValueError(
            f"`{argument}` must have one entry for each example of x. "
            f"Received: {argument} with {len(values)} entries for {rows} examples"
        )


def check_target(target, shape, argument="y"):
    """Refuses what cannot be a reconstruction of `shape`, such as class labels."""
    if tuple(target.shape[1:]) == tuple(shape):
        return
    raise ValueError(
        f"`{argument}` must be what the model is to reconstruct, with the shape (examples, "
        f"{', '.join(map(str, shape))}) that the decoder emits: give y for another target than x, "
        "as for denoising, and leave labels out, `fit(x)`, because a VAE learns without them. "
        f"Received: {argument} with shape={tuple(target.shape)}"
    )


def check_shards(batch_size, shards):
    """Refuses a batch that does not divide among the devices."""
    if batch_size % shards:
        raise ValueError(
            f"`batch_size` must be a multiple of {shards}, the number of devices among which "
            "`keras.distribution` shares each batch out in equal parts. "
            f"Received: batch_size={batch_size}"
        )


def with_more_rows(x, extra):
    """An array with `extra` of its rows again behind it."""
    x = np.asarray(x)
    return np.concatenate([x, x[np.arange(extra) % len(x)]]) if extra else x


def check_weights(weights, rows):
    """Refuses sample weights that are not one finite, non-negative number an example."""
    if weights.shape != (rows,):
        raise ValueError(
            f"`sample_weight` must be one number an example, of shape ({rows},). "
            f"Received: sample_weight with shape={weights.shape}"
        )
    check_finite(weights, "sample_weight")
    if weights.min() < 0 or weights.max() == 0:
        raise ValueError(
            "`sample_weight` must be non-negative and not all zero, because the loss is divided "
            "by its sum. Received: sample_weight with a minimum of "
            f"{weights.min()} and a maximum of {weights.max()}"
        )
