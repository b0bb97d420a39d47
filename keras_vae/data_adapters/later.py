"""Bad values in later batches of a pipeline, which are counted in the step and end the epoch."""

import keras
import numpy as np
from keras import ops

from keras_vae.typing import Logs, Tensor


class BatchCheck(keras.callbacks.Callback):
    """Ends the epoch with an error where a later batch of a pipeline held bad values."""

    def on_test_begin(self, logs: Logs = None) -> None:
        self._check("x")  # what was counted in training, before evaluation counts anew

    def on_test_end(self, logs: Logs = None) -> None:
        self._check("the data of evaluation")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self._check("x")

    def _check(self, argument):
        bad, batch = self.model.bad_examples()
        if bad:
            raise bad_batch(argument, bad, batch)


class OutputCheck(keras.callbacks.Callback):
    """Ends `predict` with an error where a batch held bad values.

    The last output of the model is 1 for each good example, and 0 for each bad one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.good: list[Tensor] = []

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        self.good.append((logs or {})["outputs"][-1])

    def on_predict_end(self, logs: Logs = None) -> None:
        bad = [np.sum(ops.convert_to_numpy(good) == 0) for good in self.good]
        if any(bad):
            raise bad_batch("x", sum(bad), np.flatnonzero(bad)[0])


def bad_batch(argument: str, bad: int, batch: int) -> ValueError:
    """Returns the error for bad values in a pipeline.

    Args:
        argument: name of the pipeline in the message.
        bad: number of bad examples.
        batch: number of the first batch with one, from 0.

    Returns:
        The error, to be raised.
    """
    return ValueError(
        f"`{argument}` must be finite in every batch, and a target must lie in the support of the "
        f"likelihood; drop or scale such values. Received: {bad} examples with bad values, the "
        f"first in batch {batch} of the epoch (counted from 0)"
    )
