"""Every private name of Keras and TensorFlow that this package uses.

Each entry says what the name is for, which versions have it, and what happens where it is missing:
Keras' own behaviour, never an exception. Tests remove each name.
"""

import contextlib
import random
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

CACHED_EVALUATION = "_use_cached_eval_dataset"
"""Argument with which `fit` calls `evaluate` on validation data that it has prepared (Keras 3.0 to
3.15). Where it is missing, the data are checked again in every epoch."""

TORCH_OPTIMIZERS = "keras.src.backend.torch.optimizers"
"""Module of the classes that stand for Keras' optimizers on torch (Keras 3.0 to 3.15). Where Keras
writes another one, files keep its name."""

OPERATIONS_THAT_KEEP_VALUES = {
    "BroadcastTo",
    "Cast",
    "Concatenate",
    "ExpandDims",
    "Flip",
    "GetItem",
    "Moveaxis",
    "Repeat",
    "Reshape",
    "Squeeze",
    "Stack",
    "Swapaxes",
    "Tile",
    "Transpose",
}
"""Names of the classes behind `keras.ops.cast` and others, which are not public (Keras 3.0 to
3.15). Where a class has another name, the activation in front of the operation is unknown."""


def flatten_layers(layer: keras.Layer) -> list[keras.Layer]:
    """Returns all layers inside `layer`, itself first, as a list.

    Keras 3.0 to 3.15: `Layer._flatten_layers`. Where it is missing, the layers are those that a
    model lists in `layers` and those that are attributes, alone or in a list.
    """
    if hasattr(layer, "_flatten_layers"):
        return list(layer._flatten_layers())
    found, waiting = {id(layer): layer}, _layers_in(layer)[::-1]
    while waiting:
        one = waiting.pop()
        if id(one) not in found:
            found[id(one)] = one
            waiting += _layers_in(one)
    return list(found.values())


def _layers_in(layer):
    values = list(vars(layer).values())
    values += [one for value in values if isinstance(value, (list, tuple)) for one in value]
    values += getattr(layer, "layers", [])
    return [value for value in values if isinstance(value, keras.Layer)]


def origin(tensor: Any) -> tuple[Any, int, list[Any]] | None:
    """Returns (operation, index of its output, its input tensors) of a symbolic tensor, or None.

    Keras 3.0 to 3.15: `KerasTensor._keras_history` and `Operation._inbound_nodes`. Where the first
    is missing, the result is None; without the second, the input tensors are an empty list.
    """
    history = getattr(tensor, "_keras_history", None)
    if history is None:
        return None
    operation, node, output = history
    nodes = getattr(operation, "_inbound_nodes", None)
    return operation, output, nodes[node].input_tensors if nodes else []


def build_from_shapes(model: keras.Model, data_batch: tuple[Any, ...] | None) -> None:
    """Builds the metrics and the optimizer of `model` from a batch of `KerasTensor`s, or None.

    Keras 3.0 to 3.15: `Trainer._symbolic_build`. Where it is missing, the optimizer is built here
    and the metrics with the first batch.
    """
    if data_batch is not None and hasattr(model, "_symbolic_build"):
        model._symbolic_build(data_batch=data_batch)
    elif model.optimizer is not None and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def turn_off_autotuner(iterator: Any) -> None:
    """Turns off tf.data's autotuner for pipelines that Keras builds from arrays and generators.

    At the end of an epoch the iterator waits for the autotuner, sometimes for several seconds. A
    user's own pipeline, which Keras' adapter holds, stays as it is, and so does one of a strategy,
    which takes no options.

    Keras 3.0 to 3.15: `TFEpochIterator._distributed_dataset`. Where it is missing, the autotuner
    stays on.
    """
    import tensorflow as tf

    dataset = getattr(iterator, "_distributed_dataset", None)
    adapter = getattr(iterator, "data_adapter", None)
    if not isinstance(dataset, tf.data.Dataset) or adapter is None:
        return
    of_user = any(value is dataset for value in vars(adapter).values())
    if of_user or dataset.options().autotune.enabled is not None:
        return
    options = tf.data.Options()
    options.autotune.enabled = False
    iterator._distributed_dataset = dataset.with_options(options)


class TensorFlowHooks(keras.Model):
    """Gives names without underscore to what Keras' TensorFlow trainer lets a subclass change.

    Keras calls `_maybe_symbolic_build` before the first step (3.5 to 3.15) and `_make_function` to
    compile a step (3.5 to 3.15). Where it calls neither, its own behaviour remains.
    """

    def prepare_first_step(self, keras_own: Callable[[], Any], iterator: Any) -> None:
        """Runs before the first step; `keras_own()` is what Keras would do."""
        keras_own()

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        parent = getattr(super(), "_maybe_symbolic_build", lambda *_: None)
        self.prepare_first_step(lambda: parent(iterator, data_batch), iterator)

    def _make_function(self, step_function):
        """Returns a compiled step without a nested function and an `Optional` around its logs.

        Those take longer than the step of a small model. Used for one device, one step an
        execution, and Keras from 3.12 on, whose `_autoconvert_optionals` is needed.
        """
        import tensorflow as tf

        function = super()._make_function(step_function)
        many = self.strategy is not None or tf.distribute.has_strategy()
        plain = not (many or self.run_eagerly or self.jit_compile or self.steps_per_execution > 1)
        if not plain or not hasattr(self, "_autoconvert_optionals"):
            return function
        step = self._autoconvert_optionals(step_function)

        @tf.function(reduce_retracing=True, autograph=False)
        def step_on(iterator):
            return step(iterator.get_next())

        return lambda data: (step_on if isinstance(data, tf.data.Iterator) else function)(data)


class SkipHooks(keras.optimizers.LossScaleOptimizer):
    """A loss-scaling optimizer that calls `count_skipped()` where it skips a step.

    Keras 3.0 to 3.15: `_stateful_handle_non_finite_grads` and its stateless twin. Where Keras
    calls neither, steps are skipped but not counted.
    """

    def count_skipped(self) -> None:
        """Does nothing; runs where a step is skipped."""

    def _stateful_handle_non_finite_grads(self):
        self.count_skipped()

    def _stateless_handle_non_finite_grads(self, optimizer_variables, trainable_variables):
        mapping = list(zip(self.variables, optimizer_variables, strict=True))
        with keras.StatelessScope(mapping) as scope:
            self.count_skipped()
        return trainable_variables, [scope.get_current_value(v) for v in self.variables]


def adam_moments(
    optimizer: keras.optimizers.Adam, weight: keras.Variable
) -> tuple[keras.Variable, keras.Variable] | None:
    """Returns the two moments that Adam keeps of a weight, or None.

    Keras 3.0 to 3.15: `Adam._momentums`, `Adam._velocities` and `Optimizer._get_variable_index`.
    Where one is missing, the result is None, and Keras' own update is used, which takes longer.
    """
    try:
        index = optimizer._get_variable_index(weight)
        return optimizer._momentums[index], optimizer._velocities[index]
    except (AttributeError, KeyError, IndexError):
        return None


def synchronize_state(model: keras.Model) -> None:
    """Writes the state of a running `fit` on JAX back to the model's variables.

    Until the next step they may be read and assigned. Keras 3.0 to 3.15: `jax_state_sync`. Where
    it is missing, values that a callback assigns within an epoch are lost.
    """
    getattr(model, "jax_state_sync", lambda: None)()


def variables_made_by(make: Callable[[], Any]) -> list[keras.Variable] | None:
    """Returns the variables that `make()` creates, without values; None where Keras cannot tell.

    Purpose: to read the shapes of a model's weights before any memory is allocated for them.
    `keras.StatelessScope(initialize_variables=False)` is public, but the list of its variables is
    not, and the next scope would initialize them. Private: that list, "uninitialized_variables" in
    `keras.src.backend.common.global_state`, in Keras 3.0 to 3.15. Fallback: None, and the check
    is skipped. Errors of `make` are ignored: the variables made before them count. The generators
    of Python and NumPy, from which layers draw seeds, are put back.
    """
    try:
        from keras.src.backend.common import global_state

        get, put = global_state.get_global_attribute, global_state.set_global_attribute
    except (ImportError, AttributeError):
        return None
    before, seeds = get("uninitialized_variables") or [], (random.getstate(), np.random.get_state())
    put("uninitialized_variables", [])
    try:
        with keras.StatelessScope(initialize_variables=False), contextlib.suppress(Exception):
            make()
        return get("uninitialized_variables")
    finally:
        put("uninitialized_variables", before)
        random.setstate(seeds[0])
        np.random.set_state(seeds[1])
