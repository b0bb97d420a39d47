"""The single entry for data: whatever a user passes, for whichever method, becomes checked data.

A kind of container is one small adapter in `reading.ADAPTERS` (values) or `pipelines.KINDS`
(batches). What an argument is for decides its check: an *input* must fit the encoder and be finite,
a *target* must have the shape of a reconstruction and lie in the likelihood's support. Where y is
given, it is the target, in scores too.

Arrays are checked whole, pipelines by their first batch; bad values in later batches are counted
within the step (`metrics.BadBatches`), and `later` raises the error at the end of the epoch.
"""

import functools
import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vae import replicas
from keras_vae.data_adapters import checks, pipelines, pixels
from keras_vae.data_adapters.arrays import RowSource
from keras_vae.data_adapters.checks import DataSpec
from keras_vae.data_adapters.conditions import condition_rows, conditions
from keras_vae.data_adapters.folders import scaled_to_model
from keras_vae.data_adapters.later import BatchCheck, OutputCheck
from keras_vae.data_adapters.reading import as_array, in_memory, read, whole
from keras_vae.typing import Data

__all__ = [
    "BatchCheck",
    "DataSpec",
    "OutputCheck",
    "as_array",
    "batch_size_of",
    "batches_of",
    "codes",
    "conditions",
    "first_observed",
    "for_batch",
    "for_fit",
    "for_input",
    "for_score",
    "in_memory",
    "rows_of",
    "unpack_validation",
]


def for_fit(
    model: Any, data: dict[str, Any], *, argument: str = "x", shuffle: bool = False
) -> dict[str, Any]:
    """Checks and prepares x, y and sample_weight of `fit` or `evaluate`.

    Args:
        model: has `data_spec(x_shape)`, the `DataSpec` of what it takes, and `prepare(x)`, for
            containers of its own.
        data: dict of arguments of `fit`: `x`, and `y`, `sample_weight`, `batch_size` and those of
            validation where they are given.
        argument: name of x in messages.
        shuffle: whether rows that are read a batch at a time are shuffled.

    Returns:
        A dict of `x`, `y` and `sample_weight` for Keras; with `validation_data` where
            `validation_split` is of data that are read a batch at a time.

    Raises:
        ValueError: if anything does not fit; nothing has been trained then.
    """
    x, y, weights = (data.get(key) for key in ("x", "y", "sample_weight"))
    x = model.prepare(x)
    if not in_memory(x):
        _refuse_beside_pipeline(y, weights)
        return {"x": _pipeline(model, x, argument), "y": None, "sample_weight": None}
    x, y, weights = _checked(model, x, y, weights, argument)
    batch_size = data.get("batch_size") or 32
    if replicas.shards() > 1:
        checks.check_shards(batch_size, replicas.shards())
        x, y, weights = _filled(x, y, weights)
    if any(isinstance(a, RowSource) for a in keras.tree.flatten((x, y, weights))):
        return _by_rows((x, y, weights), data, batch_size, shuffle)
    return {"x": x, "y": y, "sample_weight": weights}


def _by_rows(parts, data, batch_size, shuffle):
    """The data in batches that are read when they are needed, split as Keras splits arrays."""
    count, split = rows_of(parts[0]), data.get("validation_split") or 0.0
    splits = split > 0 and data.get("validation_data") is None
    first = int(count * (1.0 - split)) if splits else count
    if not 0 < first <= count - splits:
        raise ValueError(
            "`validation_split` must leave at least one example for training and one for "
            f"validation. Received: validation_split={split} of {count} examples"
        )
    batches = pipelines.RowBatches(parts, batch_size, shuffle, range(first))
    found: dict[str, Any] = {"x": batches, "y": None, "sample_weight": None}
    if splits:
        size = data.get("validation_batch_size") or batch_size
        rest = pipelines.RowBatches(parts, size, False, range(first, count))
        found |= {"validation_data": rest, "validation_split": 0.0}
    return found


def unpack_validation(data: Any) -> tuple[Any, Any, Any]:
    """Splits `validation_data` into its parts.

    Args:
        data: x alone, or a tuple or list of up to three.

    Returns:
        Tuple (x, y, sample_weight), with None for what is missing.
    """
    if isinstance(data, list) and len(data) > 3:
        data = (data,)
    return pipelines.unpack(data)


def for_batch(
    model: Any,
    x: Data,
    y: Data | None = None,
    sample_weight: Data | None = None,
    argument: str = "x",
) -> tuple[Any, Any, Any]:
    """Checks one batch.

    Args:
        model: as for `for_fit`.
        x, y, sample_weight: the batch.
        argument: name of x in messages.

    Returns:
        Tuple (x, y, sample_weight) of arrays for Keras, with None for what is missing.

    Raises:
        ValueError: if anything does not fit.
    """
    x = model.prepare(x)
    return keras.tree.map_structure(whole, _checked(model, x, y, sample_weight, argument))


def _checked(model, x, y, sample_weight, argument):
    """Checks (x, y, sample_weight), and returns them as arrays and `RowSource`s for Keras."""
    parts, spec = _with_rows(model, read(x, y, sample_weight, argument), argument)
    checks.check_parts(parts, spec, argument)
    if not model.warned_of_unusual_values:
        model.warned_of_unusual_values = pixels.warn_of_bytes(model, parts, spec)
    return _for_keras(parts)


def _with_rows(model, parts, argument="x"):
    """(parts, spec), with columns and a condition for each row; x has rows of the right shape."""
    parts = _columns(model, parts)
    spec = model.data_spec(parts["x"].shape)
    parts = scaled_to_model(parts, spec.x_shape, spec.target_shape)
    checks.check_shape(parts["x"], spec.x_shape, argument)
    return parts | condition_rows(parts, spec), spec


def _for_keras(parts):
    """(x, y, sample_weight) of a dict of arrays."""
    target, weights = parts.pop("target", None), parts.pop("sample_weight", None)
    if target is None and weights is not None:  # Keras drops weights without y
        target = parts["x"]
    return (parts if len(parts) > 1 else parts["x"]), target, weights


def _pipeline(model, data, argument):
    """A pipeline whose first batch is checked, and of which Keras takes every batch."""
    data, first = pipelines.peek(data, argument)
    if first is None:
        return data
    x, y, weights = pipelines.unpack(first)
    if y is not None and len(getattr(x, "shape", ())) == 4:
        pixels.refuse_labels(data, x, y, model.data_spec(x.shape))
    for_batch(model, x, y, weights, argument)
    return pipelines.for_keras(data, first, functools.partial(_batch_for_keras, model))


def _batch_for_keras(model, batch):
    """A batch of a pipeline as a tuple of arrays, without checks."""
    return pipelines.packed(*_for_keras(_parts(model, batch)))


def _parts(model, batch):
    """A batch of a pipeline as a dict of arrays, without checks."""
    x, y, weights = pipelines.unpack(batch)
    parts = _columns(model, read(model.prepare(x), y, weights, missing=True))
    parts |= condition_rows(parts, model.data_spec(parts["x"].shape), check=False)
    return {key: whole(value) for key, value in parts.items()}


def for_input(model: Any, x: Data, pipeline: bool = True) -> Any:
    """Checks x as an input, for methods that reconstruct nothing from it.

    One example becomes a batch of one.

    Args:
        model: as for `for_fit`.
        x: what the method was given.
        pipeline: whether x may be a pipeline.

    Returns:
        An array, a dict of arrays or a pipeline.

    Raises:
        ValueError: if x does not fit the encoder or is not finite.
    """
    x = model.prepare(x)
    if in_memory(x) or not pipeline:
        parts, spec = _batch_of(model, x)
        checks.check_parts(parts, spec, x_is_target=False)
        _warn_once(model, parts, spec)
        return parts if len(parts) > 1 else parts["x"]
    x, first = pipelines.peek(x)
    if first is None:
        return x
    for_input(model, pipelines.unpack(first)[0])
    return pipelines.for_keras(x, first, functools.partial(_input_for_keras, model))


def _input_for_keras(model, batch):
    return _batch_for_keras(model, (pipelines.unpack(batch)[0],))


def for_score(model: Any, x: Data, y: Data | None = None, clip: bool = False) -> Any:
    """Checks x, and y where it is given, as what the model is scored on.

    Args:
        model: as for `for_fit`.
        x: what the method was given.
        y: what the model is to reconstruct, if that is not x.
        clip: whether values just outside the support count as its edge.

    Returns:
        An array, a dict of arrays, or a pipeline of dicts, each with its `target`.

    Raises:
        ValueError: if anything does not fit.
    """
    x = model.prepare(x)
    if in_memory(x):
        parts, spec = _batch_of(model, x, y)
        parts |= checks.clipped(parts, spec) if clip else {}
        checks.check_parts(parts, spec)
        return parts if len(parts) > 1 else parts["x"]
    _refuse_beside_pipeline(y, None)
    x, first = pipelines.peek(x)
    if first is not None:
        first_x, first_y, _ = pipelines.unpack(first)
        for_score(model, first_x, first_y, clip=clip)
    return pipelines.as_dicts(x, functools.partial(_scored, model))


def _scored(model, batch):
    """A batch of a pipeline as a dict of arrays with the names of `batch.Batch`."""
    parts = _parts(model, batch)
    weights = parts.pop("sample_weight", None)
    parts |= {} if weights is None else {"weights": weights}
    return {"target": parts["x"]} | parts


def codes(z: Data, latent_dim: int) -> np.ndarray:
    """Checks codes, and returns them as a NumPy array.

    Args:
        z: the codes, in any container of numbers.
        latent_dim: length D of a code.

    Returns:
        NumPy array (N, D), float32.

    Raises:
        ValueError: if they have another shape or are not finite.
    """
    z = ops.convert_to_numpy(whole(as_array(z, "z"))).astype("float32")
    if z.ndim != 2 or z.shape[1] != latent_dim:
        raise ValueError(
            f"`z` must have the shape (codes, {latent_dim}), the latent size "
            f"of the posterior. Received: z with shape={z.shape}"
        )
    checks.check_finite(z, "z")
    return z


def batches_of(model: Any, data: Any) -> Iterator[dict[str, np.ndarray]]:
    """Iterates over what `for_score` made of a pipeline.

    Args:
        model: as for `for_fit`.
        data: the pipeline of dicts.

    Yields:
        Each batch as a dict of NumPy arrays.

    Raises:
        ValueError: at the first batch with bad values, whose number it names.
    """
    for number, batch in enumerate(pipelines.batches(data)):
        parts = {k: ops.convert_to_numpy(as_array(v, k)) for k, v in batch.items()}
        try:
            checks.check_parts(parts, model.data_spec(parts["x"].shape))
        except ValueError as error:
            raise ValueError(f"{error} (batch {number} of `x`, counted from 0)") from error
        yield parts


def first_observed(data: Any, values: int = 4_000_000) -> Any:
    """Returns the first rows of x, with NaN at missing entries.

    Args:
        data: what `for_fit` returned as `x`.
        values: how many numbers are read from a file or a sparse matrix, at most.

    Returns:
        NumPy array, where `data` holds one, or rows that become one; else x itself.
    """
    if isinstance(data, pipelines.RowBatches):
        data = data.data[0]
    x, mask = (data["x"], data.get("mask")) if isinstance(data, dict) else (data, None)
    if isinstance(x, RowSource):
        x = x[: max(10, values // math.prod(x.shape[1:]))]
    if mask is None or not isinstance(x, np.ndarray):
        return x
    x = x[:10_000]
    return np.where(np.asarray(ops.convert_to_numpy(whole(mask)[: len(x)]), "bool"), x, np.nan)


def batch_size_of(call: dict[str, Any]) -> int:
    """Returns how many examples a step of `fit` takes; 1 for a pipeline that does not tell.

    Args:
        call: arguments of `fit`, with x as `for_fit` returned it.
    """
    x = call["x"]
    if in_memory(x):
        return min(rows_of(x), call.get("batch_size") or 32)
    return getattr(x, "batch_size", 1)


def rows_of(data: Any) -> int:
    """Returns the number of examples of an array or a dict of arrays."""
    return len(data["x"] if isinstance(data, dict) else data)


def _batch_of(model, x, y=None):
    """(parts, spec): one example, where x is one, as a batch of one."""
    parts = read(x, y)
    if model.built and tuple(parts["x"].shape) == tuple(model.data_spec(None).x_shape):
        alone = [key for key, v in parts.items() if key != "condition" or np.ndim(v) > 0]
        parts |= {key: whole(parts[key])[None] for key in alone}
    return _with_rows(model, parts)


def _columns(model, parts):
    """One-dimensional x, masks and y as columns, (B, 1), where the model takes one feature."""
    shape = parts["x"].shape
    if len(shape) != 1 or (model.built and tuple(model.data_spec(None).x_shape) != (1,)):
        return parts
    columns = ("x", "mask", "target_mask", "target")
    flat = [k for k in columns if k in parts and len(parts[k].shape) == 1]
    return parts | {key: whole(parts[key])[:, None] for key in flat}


def _warn_once(model, parts, spec):
    if not model.warned_of_unusual_values:
        model.warned_of_unusual_values = checks.warn_of_unusual(parts, spec, stacklevel=5)


def _refuse_beside_pipeline(y, sample_weight):
    for name, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None:
            raise ValueError(
                f"`{name}` must be left out where x is a pipeline of batches, which yields (x, y, "
                f"sample_weight) itself. Received: {name}={type(value).__name__}"
            )


def _filled(x, y, weights):
    """With rows of weight 0 at the end, so that every batch divides among the devices."""
    y = (x["x"] if isinstance(x, dict) else x) if y is None else y
    weights = np.ones(len(y), "float32") if weights is None else ops.convert_to_numpy(weights)
    extra = -len(y) % replicas.shards()
    weights = np.append(weights, np.zeros(extra, weights.dtype))
    x, y = keras.tree.map_structure(lambda a: with_more_rows(a, extra), (x, y))
    return x, y, weights


def with_more_rows(x: Any, extra: int) -> np.ndarray:
    """Returns an array with `extra` of its first rows again at the end."""
    x = ops.convert_to_numpy(x[:]) if isinstance(x, RowSource) else ops.convert_to_numpy(x)
    return np.concatenate([x, x[np.arange(extra) % len(x)]]) if extra else x
