"""Callbacks that show what a model learns while it trains."""

import pathlib
import warnings

import keras

from keras_vae import plotting


class Pictures(keras.callbacks.Callback):
    """Draws reconstructions and samples, and the latent map of two latents, as training goes on.

    Writes `reconstructions.png`, `samples.png` and `latent_map.png`, over those of the epoch
    before. The samples are of the same codes each time, so that they can be compared. Training is
    not changed by it.

    Args:
        images: (N, H, W, C), the originals to reconstruct, as for `fit`.
        directory: folder to write to; made if need be.
        every: int, epochs between pictures.
        num_samples: int, number of samples.

    Example: `vae.fit(x, callbacks=[keras_vae.callbacks.Pictures(x_test[:10], "pictures")])`.
    """

    def __init__(self, images, directory, every=1, num_samples=64):
        super().__init__()
        self.images, self.directory = images, pathlib.Path(directory)
        self.every, self.num_samples = every, num_samples

    def on_train_begin(self, logs=None):
        self.directory.mkdir(parents=True, exist_ok=True)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every:
            return
        vae = self.model
        reconstructed = vae.predict(self.images, verbose=0)
        plotting.reconstructions(self.images, reconstructed, self.path("reconstructions"))
        plotting.image_grid(vae.generate(self.num_samples, seed=0), self.path("samples"))
        if vae.posterior.latent_dim == 2:
            plotting.latent_map(vae.decode, self.path("latent_map"))

    def path(self, name):
        """Where a picture goes; None on a worker that is not the chief."""
        return self.directory / f"{name}.png" if self.model.is_chief else None


class CollapseMonitor(keras.callbacks.Callback):
    """Logs how much of the code is in use after each epoch, and warns once if most of it is not.

    Adds `active_units` and, for `DiagonalNormal`, `mutual_information` (nats) to the logs: place it
    before CSVLogger or TensorBoard to have them there too.

    Args:
        x: examples to look at, as for `fit`; 1,000 are enough.
        patience: epochs to wait before the warning, or until training ends.
        dead: part of the dimensions from which on to warn.

    Attributes: `kl_per_dimension`, a list of (D,) arrays, one an epoch.

    Example: `vae.fit(x, callbacks=[keras_vae.callbacks.CollapseMonitor(x_test[:1000])])`.

    References: Burda et al., Importance Weighted Autoencoders (arXiv:1509.00519), section 5.2;
    Bowman et al., Generating Sentences from a Continuous Space (arXiv:1511.06349), section 3.1.
    """

    def __init__(self, x, patience=5, dead=0.5):
        super().__init__()
        self.x, self.patience, self.dead = x, patience, dead
        self.kl_per_dimension = []

    def on_train_begin(self, logs=None):
        self.active, self.epochs, self.warned = None, 0, False

    def on_epoch_end(self, epoch, logs=None):
        found = self.model.diagnose(self.x)
        self.kl_per_dimension.append(found.get("kl_per_dimension"))
        self.active, self.epochs = found["active_units"], self.epochs + 1
        if logs is not None:
            names = ("active_units", "mutual_information")
            logs.update({name: float(found[name]) for name in names if name in found})
        if self.epochs >= self.patience:
            self._warn()

    def on_train_end(self, logs=None):
        if self.active is not None:
            self._warn()

    def _warn(self):
        size = self.model.posterior.latent_dim
        dead = size - self.active
        if self.warned or dead < self.dead * size:
            return
        self.warned = True
        warnings.warn(
            f"{dead} of {size} latent dimensions are not in use: try a KL warm-up "
            "(`ELBO(beta=schedules.Linear(num_steps=…))`), a smaller beta, "
            "`ELBO(free_bits=…)`, or a smaller `latent_dim`.",
            stacklevel=2,
        )
