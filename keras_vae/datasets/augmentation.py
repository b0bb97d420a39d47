"""Changes of images that are drawn anew in each epoch, and are the same whenever it is repeated."""

import threading
from typing import Any

import keras
import numpy as np

from keras_vae import random

_ONE_AT_A_TIME = threading.Lock()  # workers share the layers, and so their noise


def augmented(x: np.ndarray, augment: Any, seed: list[int]) -> np.ndarray:
    """Changes a batch at random.

    Args:
        x: float32 (B, …).
        augment: Keras layer, a list of them, or a function of (x, `numpy.random.Generator`).
        seed: integers; the same give the same changes.

    Returns:
        float32 (B, …).

    Raises:
        ValueError: if the shape has changed.
    """
    rng = np.random.default_rng(seed)
    if callable(augment) and not isinstance(augment, keras.Layer):
        changed = augment(x, rng)
    else:
        changed = _through_layers(x, keras.tree.flatten(augment), int(rng.integers(2**31)))
    changed = np.asarray(keras.ops.convert_to_numpy(changed), "float32")
    if changed.shape != x.shape:
        raise ValueError(
            "`augment` must keep the shape of a batch, because the model is made for it. "
            f"Received: augment that makes {changed.shape} of {x.shape}"
        )
    return changed


def _through_layers(x, layers, seed):
    with _ONE_AT_A_TIME:
        for place, layer in enumerate(layers):
            _rewind(layer, random.stream(seed, place))
            x = layer(x, training=True)
        return x


def _rewind(layer, seed):
    """Begins the noise of a layer, and of those inside it, anew."""
    states = [v for v in layer.variables if v.name == "seed_generator_state"]
    for place, state in enumerate(states):
        state.assign([random.stream(seed, place), 0])
