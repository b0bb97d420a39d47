"""The two ways of a ladder: features up, latent groups and the decoder down."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import layers, ops

from keras_vae import networks
from keras_vae.part import Configured, from_arguments, register, serialized_arguments, soft_clip
from keras_vae.typing import Activation, Shape, Tensor
from keras_vae.validation import positive_integer


def check_groups(groups: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """Returns the shapes of the groups as tuples, or raises ValueError."""
    shapes = [networks.positive_shape(shape, "groups") for shape in groups]
    if not shapes or {len(shape) for shape in shapes} not in ({1}, {3}):
        raise ValueError(
            "`groups` must be shapes from the top down, all (channels,) or all (height, width, "
            "channels), because dense or convolutional cells join them. "
            f"Received: groups={groups!r}"
        )
    return shapes


def _strides(large, small, argument):
    """The strides from one resolution down to another."""
    strides = tuple(math.ceil(n / m) for n, m in zip(large, small, strict=True))
    if any(math.ceil(n / s) != m for n, s, m in zip(large, strides, small, strict=True)):
        raise ValueError(
            f"`{argument}` must have resolutions that are the next one divided by an integer and "
            "rounded up, because strided convolutions join them. "
            f"Received: {argument} with {small} above {large}"
        )
    return strides


def _linear(rank, units, size=3, **options):
    """Dense for vectors, a convolution for grids."""
    if rank == 1:
        return layers.Dense(units, **options)
    return layers.Conv2D(units, size, padding="same", **options)


def _cells(shape, depth, activation, gain, **options):
    """Residual cells that keep a shape, as a functional model; `gain` scales what they add."""
    inputs = keras.Input(shape)
    x = layers.Identity(**options)(inputs)  # Keras 3.12 refuses a model without a layer
    last = keras.initializers.VarianceScaling(gain, "fan_avg", "uniform")
    for _ in range(depth):
        y = layers.Activation(activation, **options)(x)
        y = _linear(len(shape), shape[-1], **options)(y)
        y = layers.Activation(activation, **options)(y)
        y = _linear(len(shape), shape[-1], kernel_initializer=last, **options)(y)
        x = layers.Add(**options)([x, y])
    return keras.Model(inputs, x)


def _up(small, large, channels, **options):
    """From a grid to a larger one, as a functional model."""
    strides = _strides(large[:2], small[:2], "groups")
    inputs = keras.Input(small)
    x = layers.Conv2DTranspose(channels, 3, strides=strides, padding="same", **options)(inputs)
    extra = x.shape[1] - large[0], x.shape[2] - large[1]
    crop = [(n // 2, n - n // 2) for n in extra]
    return keras.Model(inputs, layers.Cropping2D(crop, **options)(x) if any(extra) else x)


def bottom_up(
    input_shape: int | Sequence[int],
    groups: Sequence[Sequence[int]],
    width: int = 32,
    depth: int = 1,
    activation: Activation = "gelu",
    name: str = "encoder",
) -> keras.Model:
    """Makes the encoder of a ladder, from x to the features of each group.

    A group of grids (h, w, c) gets features (B, h, w, width), a group of vectors (B, width).

    Args:
        input_shape: shape of an example: (H, W, C) for grids, any for vectors.
        groups: shapes of the groups, from the top down.
        width: channels of every layer.
        depth: residual cells for each group.
        activation: of every cell.
        name: of the model.

    Returns:
        A model with a list of outputs, one for each group from the top down.

    Example: `hierarchical.bottom_up((28, 28, 1), [(7, 7, 4), (14, 14, 2)])`.
    """
    groups = check_groups(groups)
    shape = networks.positive_shape(input_shape, "input_shape")
    x = inputs = keras.Input(shape)
    if len(groups[0]) == 1:
        x = _linear(1, width)(layers.Flatten()(x))
    features, rank, gain = [], len(groups[0]), 1.0 / len(groups)
    for group in reversed(groups):
        if rank == 3:
            x = _down(x, networks.image_shape(shape, "input_shape"), group, width)
            shape = group
        x = _cells((*group[:-1], width), depth, activation, gain)(x)
        features.append(x)
    return keras.Model(inputs, features[::-1], name=name)


def _down(x, shape, group, width):
    """A strided convolution to the resolution of a group, where that is not the one of x."""
    strides = _strides(shape[:2], group[:2], "groups")
    if strides == (1, 1) and x.shape[-1] == width:
        return x
    size = tuple(max(3, 2 * s - 1) for s in strides)
    return layers.Conv2D(width, size, strides=strides, padding="same")(x)


class Block(layers.Layer):
    """One group of a ladder: p(z|h), q(z|h, features), and the state h once z is drawn.

    Both are diagonal normals; q is relative to p: its mean is p's plus a difference, its variance
    p's times a factor. p begins as N(0, I).

    Args:
        shape: of z, (C,) or (H, W, C).
        above: shape of the state that comes from above.
        width, depth, activation, gain: of the cells.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        above: tuple[int, ...],
        width: int,
        depth: int,
        activation: Activation,
        gain: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.shape, rank = shape, len(shape)
        self.state_shape = (*shape[:-1], width)
        options = {"dtype": self.dtype_policy}
        cells = (self.state_shape, depth, activation, gain)
        half = {"size": 1, "dtype": "float32"}
        moved = above[:-1] != shape[:-1]
        self.up = _up(above, self.state_shape, width, **options) if moved else None
        self.activation = keras.activations.get(activation)
        self.prior_head = _linear(rank, 2 * shape[-1], kernel_initializer="zeros", **half)
        self.join = _linear(rank, width, **options)
        self.join_cells = _cells(*cells, **options)
        self.posterior_head = _linear(rank, 2 * shape[-1], **half)
        spread = keras.initializers.VarianceScaling(gain, "fan_avg", "uniform")
        self.project = _linear(rank, width, 1, kernel_initializer=spread, **options)
        self.cells = _cells(*cells, **options)

    def build(self) -> None:
        state = keras.KerasTensor((None, *self.state_shape))
        self.prior(state)
        self.posterior(state, state, self.prior(state))
        self.add_latent(state, keras.KerasTensor((None, *self.shape)))
        self.built = True

    def upsample(self, state: Tensor) -> Tensor:
        """Returns the state from above at this group's resolution."""
        return state if self.up is None else self.up(state)

    def prior(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Returns (mean, log-variance) of p(z|h), float32."""
        mean, log_variance = ops.split(self.prior_head(self.activation(state)), 2, axis=-1)
        return mean, soft_clip(log_variance)

    def posterior(
        self, state: Tensor, features: Tensor, prior: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Returns (mean, log-variance) of q(z|h, features), float32."""
        joined = self.join_cells(self.join(ops.concatenate([state, features], axis=-1)))
        mean, log_variance = ops.split(self.posterior_head(self.activation(joined)), 2, axis=-1)
        return prior[0] + mean, soft_clip(prior[1] + log_variance)

    def add_latent(self, state: Tensor, z: Tensor) -> Tensor:
        """Returns the state once z is drawn."""
        return self.cells(state + self.project(z))


@register
class TopDown(Configured, layers.Layer):
    """The way down a ladder, which is its prior, half of its posterior, and its decoder in one.

    A state begins as learned constants, plus what a condition says. Each group reads p(z|h) off
    it, q(z|h, features) off it and the encoder's features, and writes z into it. The last state
    is decoded.

    Args:
        groups: shapes of the groups from the top down, all (C,) or all (H, W, C).
        output_shape: shape of what is emitted for an example.
        width: channels of the state.
        depth: residual cells in each place.
        activation: of every cell.
        condition_dim: length of a condition, or None.

    Example: `hierarchical.TopDown([(7, 7, 4), (14, 14, 2)], (28, 28, 1))`.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[int]],
        output_shape: int | Sequence[int],
        width: int = 32,
        depth: int = 1,
        activation: Activation = "gelu",
        condition_dim: int | None = None,
        name: str = "decoder",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.groups = check_groups(groups)
        self.output_shape = networks.positive_shape(output_shape, "output_shape")
        self.width = positive_integer(width, "width", "the channels of the state")
        self.depth, self.activation, self.condition_dim = depth, activation, condition_dim
        self.sizes = [math.prod(shape) for shape in self.groups]
        self.latent_dim = sum(self.sizes)
        top = (*self.groups[0][:-1], width)
        self.blocks: list[Block] = []
        gain = 1.0 / len(self.groups)
        for shape in self.groups:
            above = self.blocks[-1].state_shape if self.blocks else top
            block = Block(shape, above, width, depth, activation, gain, dtype=self.dtype_policy)
            self.blocks.append(block)
        self.start = self.add_weight(name="start", shape=top, initializer="zeros")
        if condition_dim:
            self.condition_layer = layers.Dense(math.prod(top), dtype=self.dtype_policy)
        self.out = self._out(self.blocks[-1].state_shape, dtype=self.dtype_policy)
        self.build()

    def _out(self, shape, **options):
        """From the last state to the parameters, as a functional model."""
        inputs = keras.Input(shape)
        x = layers.Activation(self.activation, **options)(inputs)
        if len(shape) == 1:
            x = layers.Dense(math.prod(self.output_shape), **options)(x)
            return keras.Model(inputs, layers.Reshape(self.output_shape, **options)(x))
        grid = networks.image_shape(self.output_shape, "output_shape")
        if grid[:2] != shape[:2]:
            x = _up(shape, grid, self.width, **options)(x)
            x = layers.Activation(self.activation, **options)(x)
        return keras.Model(inputs, _linear(3, grid[-1], **options)(x))

    def build(self, input_shape: Shape = None) -> None:
        for block in self.blocks:
            if not block.built:
                block.build()
        if self.condition_dim and not self.condition_layer.built:
            self.condition_layer.build((None, self.condition_dim))
        self.built = True

    def split(self, z: Tensor) -> list[Tensor]:
        """Returns codes (…, D) as a list of those of each group, (…, *shape)."""
        ends = list(itertools.accumulate(self.sizes))
        parts = [z[..., end - size : end] for size, end in zip(self.sizes, ends, strict=True)]
        leading = z.shape[:-1] if isinstance(z, np.ndarray) else ops.shape(z)[:-1]
        reshape = np.reshape if isinstance(z, np.ndarray) else ops.reshape
        return [reshape(p, (*leading, *s)) for p, s in zip(parts, self.groups, strict=True)]

    def top_down_pass(
        self,
        choose: Callable[[int, Block, Tensor, tuple[Tensor, Tensor]], Tensor],
        rows: Any,
        condition: Tensor | None = None,
    ) -> Tensor:
        """Goes down the ladder once.

        Args:
            choose: function of a group's number, its block, the state and (mean, log-variance) of
                p(z|h): the z of that group, (rows, *shape).
            rows: how many there are.
            condition: (rows, C) or None.

        Returns:
            The parameters of the likelihood, (rows, …), float32.
        """
        state = ops.cast(self.start, self.compute_dtype)
        state = ops.repeat(ops.expand_dims(state, 0), rows, axis=0)
        if condition is not None:
            state = state + ops.reshape(self.condition_layer(condition), (-1, *self.start.shape))
        for number, block in enumerate(self.blocks):
            state = block.upsample(state)
            state = block.add_latent(state, choose(number, block, state, block.prior(state)))
        return ops.cast(self.out(state), "float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **serialized_arguments(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return from_arguments(cls, config)
