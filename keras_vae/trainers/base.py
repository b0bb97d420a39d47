"""What a model asks of its trainer, with the answers of Keras' own: enough for torch and NumPy."""

import contextlib
from typing import Any

import keras

from keras_vae.typing import Tensor

TRAINING_BACKENDS = ("tensorflow", "jax", "torch")
"""The backends of Keras that compute gradients; the others serve models."""


class BaseTrainer(keras.Model):
    """A `keras.Model` whose `compute_loss` returns this replica's share of the loss.

    The shares of all replicas add up to the loss (see `replicas.replica_loss`), and so do their
    gradients, which is what an optimizer does with them. Another class that uses a trainer has
    `iteration_snapshot`, a metric of the optimizer's step as the epoch began.
    """

    freezes_noise = False
    """Whether a compiled model repeats the noise of its first call, and must not draw any."""

    slow_eagerly = False
    """Whether a call that is not compiled takes longer than one that is, even for a few rows."""

    @property
    def strategy(self) -> Any:
        """Returns the `tf.distribute` strategy in whose scope the model was made, or None."""
        return None

    @property
    def is_chief(self) -> bool:
        """Returns whether this process writes files: it is the only one, or the chief worker."""
        return True

    def batch_shapes(self) -> tuple[Any, ...] | None:
        """Returns what a built model takes, for building its metrics.

        Returns:
            Tuple of symbolic x, y and sample_weight, or None where no metrics need them.
        """
        return None

    def strategy_scope(self) -> contextlib.AbstractContextManager[Any]:
        """Returns the scope in which the model was made, for models that are made later."""
        return contextlib.nullcontext()

    def check_backend(self) -> None:
        """Refuses to train on a backend without gradients.

        Raises:
            ValueError: if Keras' backend is none of `TRAINING_BACKENDS`.
        """
        backend = keras.backend.backend()
        if backend not in TRAINING_BACKENDS:
            raise ValueError(
                "`KERAS_BACKEND` must be one of 'tensorflow', 'jax' and 'torch' for training, "
                "because the others compute no gradients; train there, and serve the saved "
                f"`.keras` file here. Received: KERAS_BACKEND={backend!r}"
            )

    def check_strategy(self) -> None:
        """Refuses what cannot be exact on several replicas."""

    def check_jit(self, jit_compile: bool | str) -> None:
        """Refuses compilation that the backend cannot do.

        Args:
            jit_compile: as for `compile`.

        Raises:
            ValueError: if it is True on torch.
        """
        if keras.backend.backend() == "torch" and jit_compile is True:
            raise ValueError(
                "`jit_compile` must be left out of `compile` on torch, because torch.compile "
                "cannot trace the likelihoods. Received: jit_compile=True"
            )

    def prepare_fit(
        self, callbacks: list[keras.callbacks.Callback]
    ) -> list[keras.callbacks.Callback]:
        """Prepares the model for `fit`.

        Args:
            callbacks: the callbacks of `fit`.

        Returns:
            The callbacks that Keras gets.
        """
        return callbacks

    def optimizer_step(self) -> Tensor:
        """Returns the optimizer's step as a tensor or a variable; 0 before `compile`."""
        optimizer = getattr(self, "optimizer", None)
        return 0 if optimizer is None else optimizer.iterations
