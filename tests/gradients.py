"""Gradients on every backend."""

import keras
import numpy as np
from keras import ops


def value_and_gradients(function, variables=(), tensors=()):
    """(function(*tensors), its gradients for variables and tensors as NumPy arrays or None)."""
    tensors = [ops.convert_to_tensor(t) for t in tensors]
    differentiate = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
    value, gradients = differentiate[keras.backend.backend()](function, list(variables), tensors)
    return value, [None if g is None else ops.convert_to_numpy(g) for g in gradients]


def gradients(function, *tensors):
    """The gradients of function(*tensors) for the tensors."""
    return value_and_gradients(function, tensors=tensors)[1]


def _tensorflow(function, variables, tensors):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
    found = tape.gradient(value, [*[v.value for v in variables], *tensors])
    return value, [None if g is None else tf.convert_to_tensor(g) for g in found]  # no slices


def _jax(function, variables, tensors):
    import jax

    def stateless(values, tensors):
        with keras.StatelessScope(list(zip(variables, values, strict=True))):
            return function(*tensors)

    values = [variable.value for variable in variables]
    value, (of_values, of_tensors) = jax.value_and_grad(stateless, (0, 1))(values, tensors)
    return value, [*of_values, *of_tensors]


def _torch(function, variables, tensors):
    tensors = [t.detach().requires_grad_() if t.is_floating_point() else t for t in tensors]
    for variable in variables:
        variable.value.grad = None
    value = function(*tensors)
    value.backward()
    found = [v.value.grad for v in variables] + [t.grad for t in tensors]
    return value, [None if g is None else np.array(g.detach().cpu()) for g in found]
