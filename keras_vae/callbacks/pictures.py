"""Pictures of what a model learns, drawn while it trains."""

import pathlib

import keras

from keras_vae import plotting
from keras_vae.typing import FilePath, Logs, Tensor


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

    def __init__(
        self, images: Tensor, directory: FilePath, every: int = 1, num_samples: int = 64
    ) -> None:
        super().__init__()
        self.images, self.directory = images, pathlib.Path(directory)
        self.every, self.num_samples = every, num_samples

    def on_train_begin(self, logs: Logs = None) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.current = False

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self.current = False

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if (epoch + 1) % self.every == 0:
            self.draw()

    def on_train_end(self, logs: Logs = None) -> None:
        if not self.current:  # as of a run killed while it drew, and continued
            self.draw()

    def draw(self) -> None:
        """Draws what the model makes of the images now."""
        self.current, vae = True, self.model
        reconstructed = vae.predict(self.images, verbose=0)
        plotting.reconstructions(self.images, reconstructed, self.path("reconstructions"))
        samples = vae.generate(self.num_samples, seed=0)
        plotting.image_grid(samples, self.path("samples"), title="Samples from the model")
        if vae.posterior.latent_dim == 2:
            plotting.latent_map(vae.decode, self.path("latent_map"))

    def path(self, name: str) -> pathlib.Path | None:
        """Returns where a picture goes; None on a worker that is not the chief."""
        return self.directory / f"{name}.png" if self.model.is_chief else None
