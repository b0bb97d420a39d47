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
    """What is reconstructed, float32 (B, …)."""
    condition: Any = None
    """Vectors, float32 (B, C), or None."""
    mask: Any = None
    """Booleans like the target, False where an entry is missing, or None."""
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
        data: an array x, or a dict of `x`, and of `condition`, `mask`, `target` and `weights` where
            there are such. A condition of class indices becomes one-hot vectors.
        likelihood: fills the missing values of x.
        condition_dim: C.

    Returns:
        A `Batch`; its target is float32, and so is x, unless it holds integers.
    """
    parts = data if isinstance(data, dict) else {"x": data}
    x, mask, condition = as_float(parts["x"]), parts.get("mask"), parts.get("condition")
    if mask is not None:
        mask = ops.cast(mask, "bool")
        x = likelihood.filled(x, mask)
    if condition is not None:
        condition = vectors(condition, condition_dim)
    target = parts.get("target")
    target = ops.cast(x if target is None else target, "float32")
    return Batch(x, target, condition, mask, parts.get("weights"))


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
