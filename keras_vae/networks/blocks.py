"""What all networks are put together from: inputs, dense layers, the model."""

import keras
from keras import layers

from keras_vae.validation import positive_integer


def code_input(latent_dim):
    """Returns the input for a code z."""
    return keras.Input((positive_integer(latent_dim, "latent_dim", "the length of the code z"),))


def condition_inputs(condition_dim):
    """Returns the inputs for a condition, a list of none or one."""
    if condition_dim is None:
        return []
    return [keras.Input((positive_integer(condition_dim, "condition_dim", "its length"),))]


def joined(x, condition):
    """Concatenates the condition to the vectors x, if there is one."""
    return layers.Concatenate()([x, *condition]) if condition else x


def model(x, condition, outputs, name):
    """Returns the functional model of x, and of the condition if there is one."""
    return keras.Model([x, *condition] if condition else x, outputs, name=name)


def dense_layers(x, units, activation, residual=False):
    """Applies one Dense layer for each of `units`; residual ones add to an input as wide."""
    for width in units:
        y = layers.Dense(width, activation=activation)(x)
        x = layers.Add()([x, y]) if residual and x.shape[-1] == width else y
    return x
