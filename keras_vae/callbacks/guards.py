"""Callbacks that end training in time, or that count what was skipped."""

import pathlib
import signal

import keras
import numpy as np

from keras_vae import keras_compat
from keras_vae.typing import FilePath, Logs


class Interrupted(Exception):
    """Training was ended by a signal.

    Attributes:
        signal: number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.signal = number


class StopOnSignal(keras.callbacks.Callback):
    """On Ctrl-C or SIGTERM, raises `Interrupted` when the step at hand is done, not in the midst.

    A second signal is not held up.

    Example:

    ```python
    try:
        vae.fit(x, callbacks=[keras_vae.callbacks.StopOnSignal()])
    except keras_vae.callbacks.Interrupted:
        vae.save("interrupted.keras")
    ```
    """

    def on_train_begin(self, logs: Logs = None) -> None:
        self.received = None
        handled = (signal.SIGINT, signal.SIGTERM)
        self.handlers = {number: signal.signal(number, self._receive) for number in handled}

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._stop()

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._stop()

    def on_train_end(self, logs: Logs = None) -> None:
        self._restore()
        self._stop()

    def _receive(self, number, frame):
        self.received = number
        self._restore()

    def _stop(self):
        if self.received is not None:
            raise Interrupted(self.received)

    def _restore(self):
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        self.handlers = {}


class StopOnNonFinite(keras.callbacks.Callback):
    """Ends training with a FloatingPointError where the loss is NaN or infinite.

    To skip a step whose gradients are not finite instead, and go on, compile with
    `keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=1.0)`: its `iterations` count the
    steps that were made.

    Args:
        checkpoint: path of the last good model, to be named in the error.

    Example: `vae.fit(x, callbacks=[keras_vae.callbacks.StopOnNonFinite("vae.keras")])`.
    """

    def __init__(self, checkpoint: FilePath | None = None) -> None:
        super().__init__()
        self.checkpoint = checkpoint

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        logs = logs or {}
        bad = [name for name, value in logs.items() if not np.all(np.isfinite(value))]
        if "loss" not in bad:
            return
        keras_compat.synchronize_state(self.model)
        terms = ", ".join(name for name in bad if name != "loss") or "their sum"
        found = np.flatnonzero(self.model.non_finite_kl())
        if len(found):
            terms += f" (of latent dimension {', '.join(map(str, found[:10]))})"
        step = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))
        good = pathlib.Path(self.checkpoint) if self.checkpoint else None
        where = f"The last good model is {good}. " if good and good.exists() else ""
        raise FloatingPointError(
            f"The loss must be finite; at step {step} of the optimizer, batch {batch} of its "
            f"epoch, it is not, and neither is {terms}. {where}Try a smaller learning rate, "
            "`clipnorm=` in the optimizer, or a bounded likelihood, and look for extreme values "
            f"in the data. Received: loss={float(logs['loss'])}"
        )


class SkippedSteps(keras.callbacks.Callback):
    """Logs `skipped_steps`, those that an `optimizers.GradientNormGuard` has skipped so far."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        skipped = getattr(self.model.optimizer, "skipped", 0)
        if logs is not None:
            logs["skipped_steps"] = int(keras.ops.convert_to_numpy(skipped))
