"""What Keras needs put right on JAX."""

from typing import Any

import keras
from keras import ops

from keras_vae import keras_compat
from keras_vae.trainers.base import BaseTrainer
from keras_vae.typing import Logs, Tensor


class JAXTrainer(BaseTrainer):
    """Keras' step on JAX, whose loss sees the optimizer's present step.

    Keras' own would see the step of the first trace for ever.
    """

    _traced_step = None

    def train_step(
        self, state: tuple[Any, ...], data: Any
    ) -> tuple[dict[str, Tensor], tuple[Any, ...]]:
        """Takes one optimizer step on a batch.

        Args:
            state: the values of all variables, as Keras passes them.
            data: the batch.

        Returns:
            Tuple of the metrics so far, a dict, and the new state.
        """
        mapping = list(zip(self.optimizer.variables, state[2], strict=True))
        with keras.StatelessScope(mapping):
            self._traced_step = ops.convert_to_tensor(self.optimizer.iterations)
        try:
            return super().train_step(state, data)
        finally:
            self._traced_step = None

    def optimizer_step(self) -> Tensor:
        """Returns the optimizer's step; in evaluation, which hides it, that as the epoch began."""
        return self.iteration_snapshot.result() if self._traced_step is None else self._traced_step

    def prepare_fit(
        self, callbacks: list[keras.callbacks.Callback]
    ) -> list[keras.callbacks.Callback]:
        """Adds `SynchronizeState` in front where a callback of the user's acts within epochs."""
        self._give_each_variable_its_buffer()
        acts = any(_acts_within_epochs(callback) for callback in callbacks)
        return [SynchronizeState(), *callbacks] if acts else callbacks

    def _give_each_variable_its_buffer(self):
        """JAX cannot give away one twice; weights share theirs with their EMA after `fit`."""
        seen = set()
        for variable in [*self.variables, *self.optimizer.variables]:
            if id(variable.value) in seen:
                variable.assign(variable.value + 0)
            seen.add(id(variable.value))


class SynchronizeState(keras.callbacks.Callback):
    """Lets the callbacks behind it read and assign variables at the start and end of a batch.

    Keras keeps the state of a running `fit` apart from the variables on JAX, and would lose what a
    callback assigns. Writing it back takes some time in each step.
    """

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        keras_compat.synchronize_state(self.model)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        keras_compat.synchronize_state(self.model)


def _acts_within_epochs(callback):
    """Whether a callback runs the user's code at the start or end of a batch."""
    names = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")
    if any(name in vars(callback) for name in names):  # as in a LambdaCallback
        return True
    known = callback.__class__.__module__.split(".")[0] in ("keras", "keras_vae")
    base = keras.callbacks.Callback
    return not known and any(
        getattr(type(callback), name, None) is not getattr(base, name) for name in names
    )
