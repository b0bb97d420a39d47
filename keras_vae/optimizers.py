"""Optimizers beside those of Keras, and Keras' Adam in fewer operations."""

import functools

import keras
from keras import ops

from keras_vae import replicas
from keras_vae.part import register
from keras_vae.validation import is_number

_NEVER = 2**31 - 1


@register
class GradientNormGuard(keras.optimizers.LossScaleOptimizer):
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

    def __init__(self, inner_optimizer, max_norm=200.0, initial_scale=1.0, **kwargs):
        if not (is_number(max_norm) and max_norm > 0):
            raise ValueError(
                "`max_norm` must be a positive number: steps with a longer gradient are skipped. "
                f"Received: max_norm={max_norm!r}"
            )
        kwargs.pop("dynamic_growth_steps", None)
        super().__init__(inner_optimizer, initial_scale, dynamic_growth_steps=_NEVER, **kwargs)
        self.max_norm = float(max_norm)

    def build(self, var_list):
        self.skipped = self.add_variable(
            shape=(), dtype="int", initializer="zeros", aggregation="none", name="skipped"
        )
        super().build(var_list)

    def check_finite(self, grads):
        squares = [ops.sum(ops.square(ops.cast(g, "float32"))) for g in grads if g is not None]
        norm = replicas.count() * ops.sqrt(sum(squares)) / self.initial_scale
        return norm <= self.max_norm  # False for NaN too

    def _stateful_handle_non_finite_grads(self):
        self.skipped.assign_add(1)

    def _stateless_handle_non_finite_grads(self, optimizer_variables, trainable_variables):
        mapping = list(zip(self.variables, optimizer_variables, strict=True))
        with keras.StatelessScope(mapping) as scope:
            self.skipped.assign_add(1)
        return trainable_variables, [scope.get_current_value(v) for v in self.variables]

    def get_config(self):
        config = super().get_config()
        del config["dynamic_growth_steps"]
        return {**config, "max_norm": self.max_norm}


def innermost(optimizer):
    """The optimizers that take the steps, as a list, where `optimizer` scales, guards or splits."""
    names = ("inner_optimizer", "optimizer", "discriminator_optimizer")
    inside = [getattr(optimizer, name) for name in names if hasattr(optimizer, name)]
    return [one for part in inside for one in innermost(part)] or [optimizer]


def with_one_kernel(optimizer):
    """Makes each update of Keras' Adam, alone or inside another, one operation of TensorFlow.

    Keras makes some twenty, most of which go through the whole weight again. The numbers are the
    same up to rounding; class, state and file of the optimizer stay as they are.
    """
    for one in innermost(optimizer):
        adam = isinstance(one, keras.optimizers.Adam) and not one.amsgrad
        if adam and type(one).update_step is keras.optimizers.Adam.update_step:
            one.update_step = functools.partial(_adam_step, one)


def _adam_step(adam, gradient, variable, learning_rate):
    import tensorflow as tf

    if isinstance(gradient, tf.IndexedSlices):  # of an embedding
        return type(adam).update_step(adam, gradient, variable, learning_rate)
    index = adam._get_variable_index(variable)
    step, rate, beta_1, beta_2, epsilon = (
        tf.cast(value, variable.dtype)
        for value in (adam.iterations + 1, learning_rate, adam.beta_1, adam.beta_2, adam.epsilon)
    )
    return tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=adam._momentums[index].value.handle,
        v=adam._velocities[index].value.handle,
        beta1_power=beta_1**step,
        beta2_power=beta_2**step,
        lr=rate,
        beta1=beta_1,
        beta2=beta_2,
        epsilon=epsilon,
        grad=tf.cast(gradient, variable.dtype),
    )
