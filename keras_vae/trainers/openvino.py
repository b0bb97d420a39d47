"""Evaluation and prediction on OpenVINO, whose compiled models keep the noise of their first call.

Keras would compile models in bfloat16 where the processor has it, with errors of 1e-3.
"""

from typing import Any

import keras
from keras import ops

from keras_vae.trainers.base import BaseTrainer
from keras_vae.typing import Tensor

_map, _flatten = keras.tree.map_structure, keras.tree.flatten


class OpenVINOTrainer(BaseTrainer):
    """A trainer that evaluates operation by operation, and does not train."""

    freezes_noise = True
    slow_eagerly = True  # OpenVINO compiles a model for each such call

    def test_step(self, data: Any) -> dict[str, Tensor]:
        """Returns the logs of a batch, computed without a compiled model.

        Args:
            data: x, (x, y) or (x, y, sample_weight).
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y_pred = self(x, training=False)
        self.compute_loss(x, y, y_pred, sample_weight, training=False)
        return self.compute_metrics(x, y, y_pred, sample_weight)


class OpenVINOPredictor(keras.Model):
    """A model that is compiled in float32, once for each shape of an example."""

    _compiled_for: tuple[Any, ...] = (None, None, None)

    def predict_step(self, data: Any) -> Any:
        """Returns the outputs of a batch as NumPy arrays.

        Args:
            data: x, or a tuple that begins with it.
        """
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        x = _map(ops.convert_to_numpy, x)
        if not self.supports_jit:
            return _map(ops.convert_to_numpy, self(x, training=False))
        compiled, structure = self._compiled_with(x)
        found = compiled(_flatten(x)).to_tuple()
        return keras.tree.pack_sequence_as(structure, [array.copy() for array in found])

    def _compiled_with(self, x):
        """The compiled model for batches like x of any length, and the structure of its output."""
        kind = [(a.shape[1:], a.dtype) for a in _flatten(x)], keras.tree.map_structure(type, x)
        known, compiled, structure = self._compiled_for
        if known != kind:
            compiled, structure = _compile(self, x)
            self._compiled_for = (kind, compiled, structure)
        return compiled, structure


def _compile(model, x):
    import openvino
    from openvino import opset16

    inputs = _map(_parameter, x)
    outputs = model(inputs, training=False)
    graph = openvino.Model(
        [opset16.result(tensor.output) for tensor in _flatten(outputs)],
        [tensor.output.get_node() for tensor in _flatten(inputs)],
    )
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    return openvino.compile_model(graph, "CPU", options), _map(lambda _: None, outputs)


def _parameter(array):
    """A symbolic tensor for arrays like this one, with any number of rows."""
    from openvino import opset16

    kind = type(ops.convert_to_tensor(0.0))
    return kind(opset16.parameter([-1, *array.shape[1:]], array.dtype).output(0))
