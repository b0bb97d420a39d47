"""Watches for posterior collapse while a model trains."""

import warnings

import keras
import numpy as np

from keras_vae.typing import Data, Logs


class CollapseMonitor(keras.callbacks.Callback):
    """Logs how much of the code is in use after each epoch, and warns once if most of it is not.

    Adds `active_units` and, for `DiagonalNormal`, `mutual_information` (nats) to the logs: place it
    before CSVLogger or TensorBoard to have them there too.

    Args:
        x: examples to look at, as for `fit`; 1,000 are enough.
        patience: epochs to wait before the warning: a young model is not yet a collapsed one.
        dead: part of the dimensions from which on to warn.

    Attributes:
        kl_per_dimension: list of arrays (D,), one for each epoch; None for an epoch where the KL is
            no sum over the dimensions.

    Example: `vae.fit(x, callbacks=[keras_vae.callbacks.CollapseMonitor(x_test[:1000])])`.

    References: Burda et al., Importance Weighted Autoencoders (arXiv:1509.00519), section 5.2;
    Bowman et al., Generating Sentences from a Continuous Space (arXiv:1511.06349), section 3.1.
    """

    def __init__(self, x: Data, patience: int = 5, dead: float = 0.5) -> None:
        super().__init__()
        self.x, self.patience, self.dead = x, patience, dead
        self.kl_per_dimension: list[np.ndarray | None] = []

    def on_train_begin(self, logs: Logs = None) -> None:
        self.epochs, self.warned = 0, False

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        found = self.model.diagnose(self.x)
        self.kl_per_dimension.append(found.get("kl_per_dimension"))
        self.epochs += 1
        if logs is not None:
            names = ("active_units", "mutual_information")
            logs.update({name: float(found[name]) for name in names if name in found})
        size = self.model.posterior.latent_dim
        dead = size - found["active_units"]
        if self.warned or self.epochs < self.patience or dead < self.dead * size:
            return
        self.warned = True
        warnings.warn(
            f"{dead} of {size} latent dimensions are not in use: try a KL warm-up "
            "(`ELBO(beta=schedules.Linear(num_steps=…))`), a smaller beta, "
            "`ELBO(free_bits=…)`, or a smaller `latent_dim`.",
            stacklevel=2,
        )
