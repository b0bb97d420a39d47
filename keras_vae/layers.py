"""Layers that Keras lacks."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_vae import random, replicas
from keras_vae.part import register
from keras_vae.typing import Shape, Tensor


@register
class Dropout(keras.layers.Dropout):
    """Dropout that draws the same masks on several replicas as on one device.

    `keras.layers.Dropout` gives every replica of a `tf.distribute` strategy the same mask. This one
    draws the mask of the whole batch, of which each replica takes its own rows. On one device the
    two are equal. Arguments are those of `keras.layers.Dropout`.

    Example: `keras.Sequential([keras.Input((30,)), keras_vae.layers.Dropout(0.2)])`.
    """

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        alone = replicas.context() is None or self.noise_shape is not None
        if not training or self.rate == 0 or alone:
            return super().call(inputs, training=training)
        mask = random.rows_of_global_draw(
            lambda s: keras.random.dropout(
                ops.ones(s, inputs.dtype), self.rate, seed=self.seed_generator
            ),
            ops.shape(inputs),
        )
        return inputs * mask


@register
class Log1p(keras.layers.Layer):
    """log(1 + x): lets an encoder see counts on a scale that does not saturate it.

    Example: `keras.Sequential([keras.Input((30,)), keras_vae.layers.Log1p()])`.
    """

    def call(self, inputs: Tensor) -> Tensor:
        return ops.log1p(inputs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape


@register
class FourierFeatures(keras.layers.Layer):
    """Adds sines and cosines of each value, at several frequencies.

    Dense layers learn functions that vary slowly first. Behind this layer a decoder learns sharp
    changes over the latent space sooner, and fits better after as many steps.

    Args:
        frequencies: Sequence of numbers, in radians for a value of 1.
        kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor (…, D).

    Returns:
        Tensor (…, D + 2 · D · number of frequencies), float32 unless `dtype` says otherwise.

    Example:

    ```python
    decoder = keras.Sequential([
        keras.Input((2,)),
        keras_vae.layers.FourierFeatures(),
        keras.layers.Dense(256, "gelu"),
        keras.layers.Dense(784),
    ])
    ```

    Reference:
        Tancik et al., Fourier Features Let Networks Learn High Frequency Functions in Low
        Dimensional Domains (arXiv:2006.10739), section 4.
    """

    def __init__(self, frequencies: Sequence[float] = (1.0, 2.0, 4.0), **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.frequencies = tuple(map(float, frequencies))

    def call(self, inputs: Tensor) -> Tensor:
        waves = [wave(f * inputs) for wave in (ops.sin, ops.cos) for f in self.frequencies]
        return ops.concatenate([inputs, *waves], axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], input_shape[-1] * (1 + 2 * len(self.frequencies)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "frequencies": self.frequencies}


SCALING = (
    Log1p,
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.Normalization,
    keras.layers.Rescaling,
)


def scales_its_input(network: keras.Layer) -> bool:
    """Returns whether one of the first layers of a network brings its input to another scale."""
    first = getattr(network, "layers", [])[:4]
    return any(isinstance(layer, SCALING) for layer in first)


STOCK = tuple(
    getattr(keras.layers, name)
    for name in (
        "AlphaDropout",
        "Dropout",
        "GaussianDropout",
        "GaussianNoise",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "SpatialDropout3D",
    )
)


def is_stock_random(layer: keras.Layer) -> bool:
    """Returns whether a layer of Keras draws noise that is the same on every replica."""
    return isinstance(layer, STOCK) and not isinstance(layer, Dropout)
