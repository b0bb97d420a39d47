"""Gradients within a step, on each backend."""

from collections.abc import Callable

import keras

from keras_vae.typing import Tensor


def gradients(function: Callable[[Tensor], list[Tensor]], x: Tensor) -> list[Tensor]:
    """Computes the gradient of each of several numbers by one tensor.

    Args:
        function: of a tensor to a list of scalars.
        x: the tensor.

    Returns:
        List of tensors like `x`, one for each scalar. They are constants for gradients outside.
    """
    backend = keras.backend.backend()
    of = {"tensorflow": _on_tensorflow, "jax": _on_jax, "torch": _on_torch}[backend]
    return of(function, keras.ops.stop_gradient(x))


def _on_tensorflow(function, x):
    import tensorflow as tf

    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(x)
        values = function(x)
    return [tape.gradient(value, x, unconnected_gradients="zero") for value in values]


def _on_jax(function, x):
    import jax

    values, backward = jax.vjp(function, x)
    one_hot = [[float(i == j) for j in range(len(values))] for i in range(len(values))]
    cotangents = [
        [jax.numpy.asarray(n, v.dtype) for n, v in zip(row, values, strict=True)] for row in one_hot
    ]
    return [backward(row)[0] for row in cotangents]


def _on_torch(function, x):
    import torch

    with torch.enable_grad():
        x = x.detach().requires_grad_()
        values = function(x)
        return [torch.autograd.grad(v, x, retain_graph=True)[0] for v in values]
