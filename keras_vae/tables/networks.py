"""The encoder of a table: dense layers behind numbers and one-hot classes."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vae.layers import Dropout, LearnedFill
from keras_vae.networks.blocks import dense_layers
from keras_vae.part import register
from keras_vae.typing import Shape, Tensor


@register
class TableInput(LearnedFill):
    """Shows the columns of a table to a network: numbers as they are, classes one-hot.

    What is missing becomes a learned value, one for each number and class. In training further
    values are hidden at random, and are still to be reconstructed: the encoder learns to infer
    codes from any part of a row, and fits the rows that it was trained on less closely.

    Args:
        num_classes: for each column the number of its classes, 0 for numbers, which come first.
        hidden: the share of values that are hidden in training.
        kwargs: arguments of `LearnedFill`.

    Call arguments:
        inputs: Tensor (B, F), NaN where a value is missing.

    Returns:
        Tensor (B, U): a unit for each number and each class, and with `indicators` as many more.

    Example: `keras.Sequential([keras.Input((3,)), keras_vae.tables.TableInput([0, 0, 5])])`.
    """

    def __init__(self, num_classes: Sequence[int], hidden: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden = float(hidden)
        self._dropout = Dropout(self.hidden)
        self.num_classes = [int(number) for number in num_classes]
        pairs = [(f, c) for f, number in enumerate(self.num_classes) for c in range(max(number, 1))]
        self._column, self._class = np.array(pairs, "int32").T
        self._is_number = np.array([self.num_classes[f] == 0 for f in self._column])

    def build(self, input_shape: Shape) -> None:
        super().build((input_shape[0], len(self._column)))

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if training and self.hidden:
            shown = self._dropout(ops.ones_like(inputs), training=True) > 0
            inputs = ops.where(shown, inputs, float("nan"))
        units = ops.take(inputs, self._column, axis=-1)
        chosen = ops.cast(ops.equal(units, ops.cast(self._class, units.dtype)), units.dtype)
        one_hot = ops.where(ops.isnan(units), units, chosen)
        return super().call(ops.where(self._is_number, units, one_hot))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return super().compute_output_shape((*input_shape[:-1], len(self._column)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_classes": self.num_classes, "hidden": self.hidden}


def table_encoder(
    num_classes: Sequence[int],
    units: Sequence[int] = (128,),
    activation: str = "relu",
    hidden: float = 0.0,
) -> keras.Model:
    """Makes an encoder of the columns of a table.

    Args:
        num_classes, hidden: as for `TableInput`; `Table.num_classes`.
        units: widths of the hidden layers.
        activation: of the hidden layers.

    Returns:
        A model from x, (B, F), NaN where a value is missing, to features.

    Example: `keras_vae.tables.table_encoder([0, 0, 5], units=(64,))`.
    """
    inputs = keras.Input((len(num_classes),))
    x = dense_layers(TableInput(num_classes, hidden)(inputs), units, activation)
    return keras.Model(inputs, x, name="encoder")
