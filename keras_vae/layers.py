"""Layers that Keras lacks."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_vae import keras_compat, random, replicas
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
class LearnedFill(keras.layers.Layer):
    """Replaces missing values by learned ones, one for each feature: the first layer of an encoder.

    An encoder with this layer at its start is given NaN where the `mask` of a batch is False; other
    encoders are given a fixed value there, and cannot tell it from an observed one. Ahead of this
    layer there may be only layers that keep each value where it is, or change it alone, such as
    `Flatten`, `Rescaling` and `Log1p`.

    Args:
        indicators: whether to append 1 for each missing feature and 0 for each other to the last
            axis.
        initializer: of the values that stand in for missing ones.
        kwargs: arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor (B, …, F), NaN where a value is missing.

    Returns:
        Tensor (B, …, F), or (B, …, 2 F) with `indicators`, without NaN.

    Example:

    ```python
    encoder = keras.Sequential([
        keras.Input((30,)),
        keras_vae.layers.LearnedFill(indicators=True),
        keras.layers.Dense(128, "gelu"),
    ])
    ```
    """

    def __init__(self, indicators: bool = False, initializer: Any = "zeros", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.indicators = bool(indicators)
        self.initializer = keras.initializers.get(initializer)

    def build(self, input_shape: Shape) -> None:
        """Makes one value for each feature; an axis of any length shares its values."""
        shape = tuple(size or 1 for size in input_shape[1:])
        self.values = self.add_weight(name="values", shape=shape, initializer=self.initializer)

    def call(self, inputs: Tensor) -> Tensor:
        missing = ops.isnan(inputs)
        known = ops.where(missing, ops.zeros_like(inputs), inputs)
        filled = ops.where(missing, ops.cast(self.values, inputs.dtype), known)
        if not self.indicators:
            return filled
        return ops.concatenate([filled, ops.cast(missing, inputs.dtype)], axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], input_shape[-1] * (2 if self.indicators else 1))

    def get_config(self) -> dict[str, Any]:
        initializer = keras.initializers.serialize(self.initializer)
        own = {"indicators": self.indicators, "initializer": initializer}
        return {**super().get_config(), **own}


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


KEEPING_MISSING = (
    Dropout,
    Log1p,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.GaussianNoise,
    keras.layers.InputLayer,
    keras.layers.Normalization,
    keras.layers.Permute,
    keras.layers.Rescaling,
    keras.layers.Reshape,
)
"""Layers behind which NaN marks the same missing values as before."""


def fills_missing(encoder: keras.Layer) -> bool:
    """Returns whether an encoder fills missing values itself, by a `LearnedFill` at its start.

    Args:
        encoder: the network.

    Raises:
        ValueError: if a layer ahead of the `LearnedFill` mixes missing and observed values.
    """
    if not _has_fill(encoder):
        return False
    mixing = sorted(layer.name for layer in _ahead_of_fill(encoder) if not _keeps_missing(layer))
    if mixing:
        raise ValueError(
            "`encoder` must have its LearnedFill ahead of all layers that mix features, because "
            "one missing value would make all that is mixed with it missing; make it the first. "
            f"Received: encoder={encoder.name} with {mixing} ahead of the LearnedFill"
        )
    return True


def _has_fill(operation):
    is_layer = isinstance(operation, keras.Layer)
    inside = keras_compat.flatten_layers(operation) if is_layer else []
    return any(isinstance(layer, LearnedFill) for layer in inside)


def _keeps_missing(operation):
    if isinstance(operation, keras.Model):
        return all(_keeps_missing(layer) for layer in operation.layers)
    return isinstance(operation, KEEPING_MISSING)


def _ahead_of_fill(network):
    """The operations whose outputs reach a `LearnedFill`, as far as the network shows them."""
    outputs = getattr(network, "outputs", None)
    if not isinstance(network, keras.Model) or not isinstance(outputs, list):
        return []
    found = []
    for operation, inputs in _upstream(outputs):
        if _has_fill(operation):
            found += [ahead for ahead, _ in _upstream(inputs)] + _ahead_of_fill(operation)
    return found


def _upstream(tensors):
    """(operation, input tensors) of all that symbolic tensors are computed by, each once."""
    found, waiting = {}, list(tensors)
    while waiting:
        made = keras_compat.origin(waiting.pop())
        if made is not None and id(made[0]) not in found:
            operation, _, inputs = made
            found[id(operation)] = (operation, inputs)
            waiting += inputs
    return list(found.values())


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
