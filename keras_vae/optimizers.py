"""Optimizers beside those of Keras."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_vae import keras_compat, replicas
from keras_vae.part import register
from keras_vae.typing import Tensor
from keras_vae.validation import is_number

_NEVER = 2**31 - 1


@register
class GradientNormGuard(keras_compat.SkipHooks):
    """Skips the steps whose gradient is too long, or not finite, and counts them.

    For deep ladders, whose loss now and then jumps: one such step can undo an epoch. A skipped step
    changes no weight, no state of the inner optimizer and not its `iterations`. The number of them
    is in `skipped`; `callbacks.SkippedSteps` puts it among the logs.

    Args:
        inner_optimizer: the optimizer that makes the other steps; its clipping comes after.
        max_norm: number; steps with a larger Euclidean norm of all gradients together are skipped.
        initial_scale: number that the loss is multiplied with, for half precision; it stays.

    Example:

    ```python
    guard = keras_vae.optimizers.GradientNormGuard(keras.optimizers.Adam(1e-3), max_norm=200.0)
    vae.compile(guard)
    vae.fit(x, callbacks=[keras_vae.callbacks.SkippedSteps()])
    ```

    Reference: Child, Very Deep VAEs (arXiv:2011.10650), section 4, "gradient skipping".
    """

    def __init__(
        self,
        inner_optimizer: keras.optimizers.Optimizer,
        max_norm: float = 200.0,
        initial_scale: float = 1.0,
        **kwargs: Any,
    ) -> None:
        if not (is_number(max_norm) and max_norm > 0):
            raise ValueError(
                "`max_norm` must be a positive number: steps with a longer gradient are skipped. "
                f"Received: max_norm={max_norm!r}"
            )
        kwargs.pop("dynamic_growth_steps", None)
        super().__init__(inner_optimizer, initial_scale, dynamic_growth_steps=_NEVER, **kwargs)
        self.max_norm = float(max_norm)

    def build(self, var_list: Sequence[keras.Variable]) -> None:
        self.skipped = self.add_variable(
            shape=(), dtype="int", initializer="zeros", aggregation="none", name="skipped"
        )
        super().build(var_list)

    def check_finite(self, grads: Sequence[Tensor | None]) -> Tensor:
        squares = [ops.sum(ops.square(ops.cast(g, "float32"))) for g in grads if g is not None]
        norm = replicas.count() * ops.sqrt(sum(squares)) / self.initial_scale
        return norm <= self.max_norm  # False for NaN too

    def count_skipped(self) -> None:
        self.skipped.assign_add(1)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["dynamic_growth_steps"]
        return {**config, "max_norm": self.max_norm}


def apply(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[Tensor],
    weights: Sequence[keras.Variable],
) -> None:
    """Applies gradients on TensorFlow; a plain Adam makes one operation of each weight's update.

    Keras makes a dozen, each of which goes through the whole weight. That is a fourth of a step of
    the dense networks of `recipes.vae`. The results differ by rounding only.

    Args:
        optimizer: any optimizer.
        gradients: a dense tensor for each weight.
        weights: variables of the optimizer.
    """
    moments: list[Any] = [None]
    if _is_plain_adam(optimizer, weights):
        moments = [keras_compat.adam_moments(optimizer, weight) for weight in weights]
    if None in moments:
        optimizer.apply(gradients, weights)
        return
    for gradient, weight, both in zip(gradients, weights, moments, strict=True):
        _adam_step(optimizer, gradient, weight, *both)
    optimizer.iterations.assign_add(1)


def _is_plain_adam(optimizer, weights):
    """Whether nothing but Adam's rule happens in a step."""
    if type(optimizer) is not keras.optimizers.Adam or not optimizer.built:
        return False
    more = (
        *(optimizer.amsgrad, optimizer.weight_decay, optimizer.use_ema),
        *(optimizer.clipnorm, optimizer.clipvalue, optimizer.global_clipnorm),
        *(optimizer.gradient_accumulation_steps, optimizer.loss_scale_factor),
    )
    return not any(more) and all(
        weight.dtype == "float32" and weight.constraint is None for weight in weights
    )


def _adam_step(adam, gradient, weight, mean, mean_square):
    """One step of Adam (Kingma and Ba, arXiv:1412.6980, algorithm 1) for one weight."""
    import tensorflow as tf

    step, rate = (tf.cast(x, "float32") for x in (adam.iterations + 1, adam.learning_rate))
    tf.raw_ops.ResourceApplyAdam(
        var=weight.value.handle,
        m=mean.value.handle,
        v=mean_square.value.handle,
        beta1_power=adam.beta_1**step,
        beta2_power=adam.beta_2**step,
        lr=rate,
        beta1=adam.beta_1,
        beta2=adam.beta_2,
        epsilon=adam.epsilon,
        grad=gradient,
    )


def innermost(optimizer: keras.optimizers.Optimizer) -> list[keras.optimizers.Optimizer]:
    """Returns the optimizers that take the steps, where `optimizer` scales, guards or splits."""
    names = ("inner_optimizer", "optimizer", "discriminator_optimizer")
    inside = [getattr(optimizer, name) for name in names if hasattr(optimizer, name)]
    return [one for part in inside for one in innermost(part)] or [optimizer]
