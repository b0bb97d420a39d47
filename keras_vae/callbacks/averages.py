"""Evaluates and saves a model with the moving averages of its weights while it trains."""

import keras
import numpy as np
from keras import ops

from keras_vae import saving
from keras_vae.optimizers import innermost
from keras_vae.typing import FilePath, Logs


class AveragedWeights(keras.callbacks.Callback):
    """Evaluates, and saves after each epoch, with the moving averages that the optimizer keeps.

    The optimizer computes the averages: `Adam(use_ema=True, ema_momentum=0.999)`. They start with
    the weights after the first step, and Keras puts them in the place of the weights at the end of
    `fit`. With this callback the validation logs are theirs as well. Training goes on with the
    weights themselves, bit for bit as it would without the callback. `Backup` saves both, and the
    averages are the same on any number of devices.

    Keras' own `SwapEMAWeights` swaps weights by adding and subtracting on TensorFlow, which rounds
    them, and does not find the averages of an `AdversarialVAE`. With either, leave
    `restore_best_weights` of `EarlyStopping` out: Keras replaces what it restores by the averages.

    Args:
        filepath: name of a `.keras` file that holds the model with its averages after each epoch,
            or None.

    Raises:
        ValueError: by `fit`, if no optimizer keeps averages; or if `filepath` is no name for a
            model.

    Example:

    ```python
    vae.compile(keras.optimizers.Adam(1e-3, use_ema=True, ema_momentum=0.999))
    averages = keras_vae.callbacks.AveragedWeights("averaged.keras")
    vae.fit(x, validation_data=x_test, epochs=10, callbacks=[averages])
    ```

    Reference: Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging (1992).
    """

    def __init__(self, filepath: FilePath | None = None) -> None:
        super().__init__()
        if filepath is not None:
            saving.check_name(filepath)
        self.filepath = filepath
        self.held: list[np.ndarray] = []

    def on_train_begin(self, logs: Logs = None) -> None:
        if not any(optimizer.use_ema for optimizer in innermost(self.model.optimizer)):
            raise ValueError(
                "`callbacks` with an AveragedWeights must go with an optimizer that keeps moving "
                "averages: `Adam(use_ema=True, ema_momentum=0.999)`. "
                f"Received: optimizer={self.model.optimizer!r}"
            )

    def on_test_begin(self, logs: Logs = None) -> None:
        self._use_averages()

    def on_test_end(self, logs: Logs = None) -> None:
        self._use_weights()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.filepath is not None:
            self._use_averages()
            self.model.save(self.filepath)
            self._use_weights()

    def _use_averages(self):
        """Puts the averages into the model, in memory of their own, which JAX may give away."""
        self.held = self._values()
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        self._assign(self._values())

    def _use_weights(self):
        self._assign(self.held)

    def _values(self):
        return [np.array(ops.convert_to_numpy(v)) for v in self.model.trainable_variables]

    def _assign(self, values):
        for variable, value in zip(self.model.trainable_variables, values, strict=True):
            variable.assign(value)
