"""What every part of a model shares: float32 arithmetic, a config, a registered name."""

import inspect

import keras
from keras import ops

register = keras.saving.register_keras_serializable(package="keras_vae")


def constructor_arguments(instance):
    """Serialised constructor arguments, read from the attributes of the same names."""
    parameters = list(inspect.signature(type(instance).__init__).parameters.values())[1:]
    names = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD and p.name != "name"]
    return {name: keras.saving.serialize_keras_object(getattr(instance, name)) for name in names}


def from_arguments(cls, config):
    """The instance that `constructor_arguments` described."""
    return cls(**{k: keras.saving.deserialize_keras_object(v) for k, v in config.items()})


class Part(keras.layers.Layer):
    """Base of posteriors, priors, likelihoods, objectives and penalties.

    A part keeps each constructor argument in an attribute of the same name, and is saved and
    loaded by that alone. It computes in float32 whatever the global dtype policy: variances and
    log-densities overflow in half precision.

    Example:

    ```python
    @keras.saving.register_keras_serializable(package="mine")
    class Scaled(keras_vae.Part):
        def __init__(self, factor=2.0, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor
    ```
    """

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})

    def get_config(self):
        return {**super().get_config(), **constructor_arguments(self)}

    @classmethod
    def from_config(cls, config):
        return from_arguments(cls, config)

    def check_model(self, vae):
        """Raises ValueError if this part cannot be in the built model `vae`."""


def build_once(part, *shapes):
    """Builds a part that another part holds, unless loading it from a file has done so."""
    if not part.built:
        part.build(*shapes)


def argmax(x):
    """Index of the largest value on the last axis, without what `ops.argmax` adds on TensorFlow.

    That treats -0 apart by operations on bits, which LiteRT does not have.
    """
    return ops.top_k(x, 1)[1][..., 0]


def bounded(x, linear=10.0, margin=10.0):
    """`x` itself within ±linear, and smoothly bent to stay within ±(linear + margin) beyond.

    For log-variances: `exp` of an unbounded one overflows. The slope is continuous and falls off
    as 1/x² only, so that a value far outside still feels the gradient that brings it back.
    """
    inside = ops.clip(x, -linear, linear)
    return inside + margin * ops.softsign((x - inside) / margin)
