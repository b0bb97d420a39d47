"""One batch of a step, unpacked once."""

from typing import TYPE_CHECKING, Any, NamedTuple

import keras
from keras import ops

from keras_vae.typing import Tensor

if TYPE_CHECKING:
    from keras_vae.likelihoods import Likelihood


class Batch(NamedTuple):
    """What a step knows of B examples; nothing downstream asks what kind of object x was."""

    x: Any
    """What the encoder sees, (B, …), missing values filled; or codes, (B, D), to be decoded."""
    target: Any
    """What is reconstructed, float32 (B, …), with entries that do not count filled."""
    condition: Any = None
    """Vectors, float32 (B, C), or None."""
    mask: Any = None
    """Booleans like x, False where the encoder does not see an entry, or None."""
    target_mask: Any = None
    """Booleans like the target, False where an entry does not count, or None."""
    weights: Any = None
    """Sample weights (B,) that a pipeline gives to a method that scores, or None."""

    def tensors(self) -> dict[str, Tensor]:
        """Returns the fields that there are, as a dict."""
        return {name: value for name, value in self._asdict().items() if value is not None}


def unpack(
    data: Tensor | dict[str, Tensor], likelihood: "Likelihood", condition_dim: int | None = None
) -> Batch:
    """Returns the `Batch` of what a pipeline yields.

    Args:
        data: an array x, or a dict of `x`, and of `condition`, `mask`, `target_mask`, `target` and
            `weights` where there are such. A condition of class indices becomes one-hot vectors. A
            `mask` alone holds for x and the target.
        likelihood: fills the missing values of x and of the target.
        condition_dim: C.

    Returns:
        A `Batch`; its target is float32, and so is x, unless it holds integers.
    """
    parts = data if isinstance(data, dict) else {"x": data}
    mask, target_mask = masks(parts)
    x, condition = as_float(parts["x"]), parts.get("condition")
    if condition is not None:
        condition = vectors(condition, condition_dim)
    target = x if parts.get("target") is None else parts["target"]
    if target_mask is None or tuple(target.shape[1:]) == tuple(target_mask.shape[1:]):
        target = likelihood.known(target, target_mask)  # else y replaces it in `compute_loss`
    if mask is not None:
        x = _filled(x, mask, target_mask, likelihood)
    return Batch(x, target, condition, mask, target_mask, parts.get("weights"))


def masks(parts: dict[str, Tensor]) -> tuple[Tensor | None, Tensor | None]:
    """Returns the masks of x and of the target as booleans, None where there is none."""
    mask, target_mask = parts.get("mask"), parts.get("target_mask")
    mask = None if mask is None else ops.cast(mask, "bool")
    return mask, mask if target_mask is None else ops.cast(target_mask, "bool")


def _filled(x, mask, target_mask, likelihood):
    """Fills missing entries of x, with 0 where x has another shape than the target."""
    if mask is target_mask or tuple(mask.shape[1:]) == tuple(target_mask.shape[1:]):
        return likelihood.filled(x, mask)
    return ops.where(mask, ops.cast(x, "float32"), 0.0)


def as_float(x: Tensor) -> Tensor:
    """Returns floating-point numbers as float32, whose range no data exceed; integers stay."""
    x = ops.convert_to_tensor(x)
    return ops.cast(x, "float32") if "float" in keras.backend.standardize_dtype(x.dtype) else x


def vectors(condition: Tensor, condition_dim: int | None) -> Tensor:
    """Returns class indices as one-hot vectors, and vectors as they are.

    Of a class that is none of the C the vector is NaN, so that the step counts it as a bad value.

    Args:
        condition: class indices (B,), or vectors (B, C).
        condition_dim: C; None only if `condition` holds vectors.

    Returns:
        Tensor (B, C), float32.
    """
    if len(condition.shape) > 1:
        return ops.cast(condition, "float32")
    known = ops.logical_and(condition >= 0, condition < condition_dim)
    one_hot = ops.one_hot(ops.cast(condition, "int32"), condition_dim)
    return ops.where(known[:, None], ops.cast(one_hot, "float32"), float("nan"))
