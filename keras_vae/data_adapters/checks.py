"""The checks of data, and what they say: refused before the first step, with what to do."""

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_vae import validation
from keras_vae.data_adapters.arrays import RowSource
from keras_vae.typing import Tensor

if TYPE_CHECKING:
    from keras_vae.likelihoods import Likelihood

CHUNK = 2**20
"""Numbers that are checked at a time: few, so that they stay in the processor's cache."""


class DataSpec(NamedTuple):
    """What a model takes: shapes without the batch, the condition's length, the likelihood."""

    x_shape: tuple
    target_shape: tuple
    condition_dim: int | None
    likelihood: Any


def check_parts(
    parts: dict[str, Any], spec: DataSpec, argument: str = "x", x_is_target: bool = True
) -> None:
    """Checks a batch or a whole data set.

    Args:
        parts: dict of arrays: `x`, and `condition`, `mask`, `target_mask`, `target` and
            `sample_weight` where there are such.
        spec: a `DataSpec`.
        argument: name of `x` in messages.
        x_is_target: whether `x` is reconstructed where there is no `target`. It must then lie in
            the support of the likelihood; as an input it must only be finite.

    Raises:
        ValueError: if anything does not fit; the message says what to do.
    """
    x, target = parts["x"], parts.get("target")
    check_shape(x, spec.x_shape, argument)
    check_condition(parts.get("condition"), len(x), spec.condition_dim)
    _check_masks(parts, spec, argument)
    if target is not None:
        check_target_shape(target, spec.target_shape, "y")
        check_length(target, len(x), "y")
        check_support(target, counted(parts), spec.likelihood, "y")
    elif x_is_target:
        check_target_shape(x, spec.target_shape, argument)
        check_support(x, counted(parts), spec.likelihood, argument)
    if target is not None or not x_is_target or "target_mask" in parts:
        check_finite(x, argument, parts.get("mask"))
    if parts.get("sample_weight") is not None:
        check_weights(parts["sample_weight"], len(x))


def _check_masks(parts, spec, argument):
    x, mask, target_mask = parts["x"], parts.get("mask"), parts.get("target_mask")
    if mask is not None:
        check_mask(mask, x.shape)
    if target_mask is not None:
        check_mask(target_mask, (len(x), *spec.target_shape), "target_mask")
    elif mask is not None:  # of the target too
        check_target_shape(x, spec.target_shape, argument)


def counted(parts: dict[str, Any]) -> Any:
    """Returns the mask of the target: `target_mask` where it is given, else `mask`; or None."""
    return parts.get("target_mask", parts.get("mask"))


def chunks(*arrays: Any) -> Iterator[tuple[Any, ...]]:
    """Iterates over the rows of several arrays, some at a time.

    Rows that are read from a file or a sparse matrix become NumPy arrays here; tensors stay where
    they are. None stays None. Of a `RowSource` whose first rows stand for all there is one part.

    Args:
        arrays: arrays with as many rows each, or None.

    Yields:
        A tuple of the same rows of all arrays, so many that the first has at most `CHUNK` numbers.
    """
    first = arrays[0]
    size = max(1, CHUNK // max(1, int(np.prod(first.shape[1:]))))
    for start in range(0, getattr(first, "rows_to_check", None) or len(first), size):
        yield tuple(None if a is None else a[start : start + size] for a in arrays)


def is_float(x: Tensor) -> bool:
    """Returns whether an array or a tensor holds floating-point numbers, in bfloat16 too."""
    return "float" in keras.backend.standardize_dtype(x.dtype)


def check_finite(x: Tensor, argument: str = "x", mask: Tensor | None = None) -> None:
    """Refuses NaN and infinity, except where the mask is False.

    A tensor is not copied to the host, unless there is a mask.
    """
    for part, seen in chunks(x, mask) if is_float(x) else ():
        on_host = isinstance(part, np.ndarray) or seen is not None
        if not on_host and bool(ops.all(ops.isfinite(part))):
            continue
        part = ops.convert_to_numpy(part)
        if seen is not None:
            part = part[np.asarray(ops.convert_to_numpy(seen), "bool")]
        if part.size:
            validation.check_finite(part, argument)


def check_support(
    x: Tensor, mask: Tensor | None, likelihood: "Likelihood", argument: str = "x"
) -> None:
    """Refuses values that the likelihood gives no probability, except where the mask is False."""
    for part, seen in chunks(x, mask):
        if not isinstance(part, np.ndarray) and in_support(part, seen, likelihood):
            continue
        part = ops.convert_to_numpy(part)
        if seen is not None:
            seen = np.asarray(ops.convert_to_numpy(seen), "bool")
            part = ops.convert_to_numpy(likelihood.filled(part, seen))
        likelihood.check_support(part, argument)


def in_support(x: Tensor, mask: Tensor | None, likelihood: "Likelihood") -> bool:
    """Tells whether all values lie in the likelihood's support.

    Args:
        x: array or tensor.
        mask: None, or like x: False where an entry is missing, which then does not count.
        likelihood: the likelihood.

    Returns:
        True or False.
    """
    if mask is not None:
        x = likelihood.filled(x, ops.cast(ops.convert_to_tensor(mask), "bool"))
    if not isinstance(x, np.ndarray):
        return bool(ops.all(likelihood.in_support(x)))
    try:
        likelihood.check_support(x)
    except ValueError:
        return False
    return True


def clipped(parts: dict[str, Any], spec: DataSpec) -> dict[str, np.ndarray]:
    """Puts target values just outside the support at its edge, and warns of them.

    A target with values that `Likelihood.to_edge` leaves outside is left as it is, to be refused.

    Args:
        parts: dict of arrays, as for `check_parts`.
        spec: what the model takes.

    Returns:
        A dict with the new `target`, or an empty one where nothing is to be changed.
    """
    target, mask = parts.get("target", parts["x"]), counted(parts)
    likelihood = spec.likelihood
    if isinstance(target, RowSource) or tuple(target.shape[1:]) != tuple(spec.target_shape):
        return {}
    if mask is not None and tuple(mask.shape) != tuple(target.shape):
        return {}
    values = target if mask is None else likelihood.filled(target, ops.cast(mask, "bool"))
    if all(in_support(part, None, likelihood) for (part,) in chunks(values)):
        return {}
    values = ops.cast(ops.convert_to_tensor(values), "float32")
    inside = likelihood.to_edge(values)
    if not in_support(inside, None, likelihood):
        return {}
    outside = ops.convert_to_numpy(values)[~ops.convert_to_numpy(likelihood.in_support(values))]
    warnings.warn(
        f"Some values, from {outside.min():.6g} to {outside.max():.6g}, lie just outside the "
        f"support of {type(likelihood).__name__}: they are scored as its edge.",
        stacklevel=4,
    )
    return {"target": ops.convert_to_numpy(inside)}


def warn_of_unusual(parts: dict[str, Any], spec: DataSpec, stacklevel: int) -> bool:
    """Warns of inputs outside the likelihood's support.

    Args:
        parts: dict of arrays, as for `check_parts`.
        spec: what the model takes.
        stacklevel: as in `warnings.warn`, counted from the caller.

    Returns:
        Whether there are any.
    """
    x, mask = parts["x"], parts.get("mask")
    if tuple(x.shape[1:]) != tuple(spec.target_shape):
        return False
    if all(in_support(part, seen, spec.likelihood) for part, seen in chunks(x, mask)):
        return False
    warnings.warn(
        f"Some values of `x` lie outside the support of {type(spec.likelihood).__name__}, which "
        "the model was trained to reconstruct: results for such examples may be unreliable. If "
        "you meant to scale the data (8-bit images: `x / 255`), do so.",
        stacklevel=stacklevel + 1,
    )
    return True


def check_shape(x: Tensor, shape: Sequence[int | None], argument: str = "x") -> None:
    """Refuses an array whose rows are not of `shape`; None in `shape` stands for any length."""
    fits = len(x.shape) == len(shape) + 1 and all(
        want in (None, got) for want, got in zip(shape, x.shape[1:], strict=True)
    )
    if fits:
        return
    hint = ""
    if len(x.shape) == len(shape) and shape[-1] == 1:
        hint = f"; add the channel axis: `{argument}[..., None]`"
    elif _channels_first(x.shape, shape):
        hint = f"; move the channels last: `np.moveaxis({argument}, 1, -1)`"
    raise ValueError(
        f"`{argument}` must have the shape (examples, {', '.join(map(str, shape))}), which the "
        f"encoder was built for{hint}. Received: {argument} with shape={tuple(x.shape)}"
    )


def _channels_first(found, shape):
    """Whether these are images (B, C, H, W) for a network of (H, W, C)."""
    return len(found) == 4 and len(shape) == 3 and tuple(found[1:]) == (shape[2], *shape[:2])


def check_length(values: Any, rows: int, argument: str) -> None:
    """Refuses what does not have one entry for each example."""
    if len(values) != rows:
        raise ValueError(
            f"`{argument}` must have one entry for each example of x. "
            f"Received: {argument} with {len(values)} entries for {rows} examples"
        )


def check_target_shape(target: Tensor, shape: Sequence[int], argument: str = "y") -> None:
    """Refuses what cannot be a reconstruction of `shape`, such as class labels."""
    if tuple(target.shape[1:]) == tuple(shape):
        return
    raise ValueError(
        f"`{argument}` must be what the model is to reconstruct, with the shape (examples, "
        f"{', '.join(map(str, shape))}) that the decoder emits: give y for another target than x, "
        "as for denoising, and leave labels out, `fit(x)`, because a VAE learns without them. "
        f"Received: {argument} with shape={tuple(target.shape)}"
    )


MASKS = {
    "mask": ("x", "1 where an entry is observed", "0 where it is missing"),
    "target_mask": ("the target", "1 where the likelihood counts an entry", "0 where it does not"),
}
"""For messages: what each mask is about, and what its values mean."""


def check_mask(mask: Tensor, shape: Sequence[int], argument: str = "mask") -> None:
    """Refuses a mask that is not zeros and ones of `shape`."""
    of, one, zero = MASKS[argument]
    if tuple(mask.shape) != tuple(shape):
        raise ValueError(
            f"`{argument}` must have the shape of {of}, {tuple(shape)}: {one}, {zero}. "
            f"Received: {argument} with shape={tuple(mask.shape)}"
        )
    for (part,) in chunks(mask):
        part = ops.convert_to_numpy(part)
        if not np.all((part == 0) | (part == 1)):
            raise ValueError(
                f"`{argument}` must hold booleans, or zeros and ones: {one}. "
                f"Received: {argument} with values in [{part.min()}, {part.max()}]"
            )


def check_condition(condition: Tensor | None, rows: int, length: int | None) -> None:
    """Refuses a condition that is not `rows` class indices below `length` or vectors of it."""
    if condition is None or not length:
        check_whether_conditional(condition, length)
        return
    condition = ops.convert_to_numpy(condition)
    if condition.shape not in ((rows,), (rows, length)):
        raise ValueError(
            f"`condition` must be {rows} class indices, one for each example, as integers; or "
            f"{rows} vectors of length {length}, or one such vector of floats for all. "
            f"Received: condition with shape={condition.shape} and dtype={condition.dtype}"
        )
    check_finite(condition, "condition")
    low, high = condition.min(), condition.max()
    indices = condition.ndim == 1
    if indices and (low < 0 or high >= length or np.any(condition != np.floor(condition))):
        raise ValueError(
            f"`condition` must hold class indices, whole numbers from 0 to {length - 1}. "
            f"Received: condition with values in [{low}, {high}]"
        )


def check_whether_conditional(condition: Tensor | None, length: int | None) -> None:
    """Refuses a condition for networks without one, and networks with one without a condition."""
    if (condition is None) == (not length):
        return
    found = (
        f"condition=None, and networks for one of length {length}"
        if condition is None
        else f"condition with shape={tuple(condition.shape)}, and networks for none"
    )
    raise ValueError(
        "`condition` must be given exactly where the encoder or the decoder has a second "
        f"input for it. Received: {found}"
    )


def check_weights(weights: Tensor, rows: int) -> None:
    """Refuses sample weights that are not one finite, non-negative number for each example."""
    weights = ops.convert_to_numpy(weights)
    if weights.shape != (rows,):
        raise ValueError(
            f"`sample_weight` must be one number for each example, of shape ({rows},). "
            f"Received: sample_weight with shape={weights.shape}"
        )
    check_finite(weights, "sample_weight")
    if weights.min() < 0 or weights.max() == 0:
        raise ValueError(
            "`sample_weight` must be non-negative and not all zero, because the loss is divided "
            "by its sum. Received: sample_weight with a minimum of "
            f"{weights.min()} and a maximum of {weights.max()}"
        )


def check_shards(batch_size: int, shards: int) -> None:
    """Refuses a batch that does not divide among the devices."""
    if batch_size % shards:
        raise ValueError(
            f"`batch_size` must be a multiple of {shards}, the number of devices among which "
            "`keras.distribution` shares each batch out in equal parts. "
            f"Received: batch_size={batch_size}"
        )
