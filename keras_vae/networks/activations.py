"""The activation that a network ends in, as far as it can be seen from outside."""

import keras
from keras import layers

from keras_vae import keras_compat

_KEEPS = object()
"""The answer for an operation that hands the values of its input on."""

_KEEPING_LAYERS = (
    layers.InputLayer,
    layers.Reshape,
    layers.Flatten,
    layers.Permute,
    layers.RepeatVector,
    layers.Identity,
    layers.Concatenate,
    layers.Cropping1D,
    layers.Cropping2D,
    layers.Cropping3D,
    layers.UpSampling1D,
    layers.UpSampling2D,
    layers.UpSampling3D,
    layers.ActivityRegularization,
    layers.Dropout,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
    layers.SpatialDropout3D,
    layers.AlphaDropout,
    layers.GaussianDropout,
    layers.GaussianNoise,
)

_ACTIVATIONS = {
    name.replace("_", ""): name
    for name in dir(keras.activations)
    if not name.startswith("_") and name not in ("get", "serialize", "deserialize")
}


def last_activation(network: keras.Layer) -> str | None:
    """Returns the name of the activation that a network ends in.

    Layers that only move or drop values are looked through: reshaping, cropping, dropout.

    Args:
        network: a functional or Sequential model with one output, or a layer of Keras.

    Returns:
        A name of `keras.activations`, such as "sigmoid" or "linear"; None where it cannot be seen,
        as in a subclass with a `call` of its own.

    Example: `last_activation(networks.dense_decoder(2, (30,)))  # "linear"`.
    """
    found = _of_operation(network)
    return None if found is _KEEPS else found


def _of_operation(operation, output=0):
    """Returns a name, None or `_KEEPS` for one output of a layer, model or operation."""
    if _keeps(operation):
        return _KEEPS
    if _has_own_call(operation):
        return None
    if isinstance(operation, layers.Wrapper):
        return _of_operation(operation.layer)
    if isinstance(operation, keras.Sequential):
        return _of_sequence(operation.layers)
    if isinstance(operation, keras.Model):
        return _of_model(operation, output)
    return _named(getattr(operation, "activation", None)) or _named(type(operation))


def _keeps(operation):
    """Returns whether an operation hands values on; so does any layer called a dropout."""
    name = type(operation).__name__
    if not isinstance(operation, keras.Layer):
        return name in keras_compat.OPERATIONS_THAT_KEEP_VALUES
    known = isinstance(operation, _KEEPING_LAYERS) and not _has_own_call(operation)
    return known or name.endswith("Dropout")


def _has_own_call(operation):
    """Returns whether a class outside Keras says what the operation computes."""
    classes = [c for c in type(operation).__mro__ if not c.__module__.startswith("keras.")]
    return any("call" in vars(c) for c in classes)


def _of_sequence(operations):
    found = (_of_operation(operation) for operation in reversed(operations))
    return next((name for name in found if name is not _KEEPS), _KEEPS)


def _of_model(model, output):
    outputs = getattr(model, "outputs", None)
    return _of_tensor(outputs[output]) if isinstance(outputs, list) and outputs else None


def _of_tensor(tensor):
    """Follows a symbolic tensor back to the operation that changed its values last."""
    made = keras_compat.origin(tensor)
    if made is None:
        return None
    operation, output, inputs = made
    found = _of_operation(operation, output)
    if found is not _KEEPS or isinstance(operation, layers.InputLayer):
        return found
    names = {_of_tensor(before) for before in inputs}
    return names.pop() if len(names) == 1 else None


def _named(activation):
    """Returns the name in `keras.activations` of a function, layer or class; None for others."""
    if isinstance(activation, keras.Layer):
        found = _of_operation(activation)
        return None if found is _KEEPS else found
    name = getattr(activation, "__name__", "").replace("_", "").lower()
    return _ACTIVATIONS.get(name)
