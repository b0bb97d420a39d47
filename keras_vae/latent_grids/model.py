"""The model whose codes are grids, with the latents that a diffusion model is trained on."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vae import data_adapters, random
from keras_vae.adversarial import AdversarialVAE
from keras_vae.batch import Batch
from keras_vae.data_adapters import checks
from keras_vae.latent_grids.tiles import cell_of, in_tiles, margin_of
from keras_vae.model import VAE
from keras_vae.networks.any_size import body_of
from keras_vae.part import register
from keras_vae.posteriors import GridNormal
from keras_vae.typing import Data, Tensor
from keras_vae.validation import positive_integer


@register
class GridVAE(VAE):
    """A `VAE` whose codes are grids: it also gives latents of the shape (N, h, w, channels).

    `fit_latents` measures the mean and the standard deviation of each channel. `encode_latents`
    then returns latents with mean 0 and standard deviation 1, and `decode_latents` takes them. Both
    take images and grids of any size, in one piece or tile by tile, if the networks come from
    `networks.latent_encoder` and `networks.latent_decoder`, or from `networks.encoder_of` and
    `networks.decoder_of`. All other methods are those of `VAE`, with codes (N, D) in the units of
    the prior.

    Args:
        encoder, decoder, prior, likelihood, objective, penalties, seed: as for `VAE`.
        posterior: a `posteriors.GridNormal`.

    Raises:
        ValueError: if the posterior is another one, or as for `VAE`.

    Example:

    ```python
    vae = keras_vae.latent_grids.GridVAE(
        keras_vae.networks.latent_encoder((64, 64, 3), 8),
        keras_vae.networks.latent_decoder(4, (64, 64, 3)),
        keras_vae.posteriors.GridNormal((16, 16, 4)),
        likelihood=keras_vae.likelihoods.Laplace(scale="shared"),
    )
    ```

    Reference: Rombach et al., Latent Diffusion Models (arXiv:2112.10752), section 3.1.
    """

    def _check_parts(self):
        if not isinstance(self.posterior, GridNormal):
            raise ValueError(
                f"`posterior` of a {type(self).__name__} must be a posteriors.GridNormal, because "
                "it knows the shape of the grid and keeps the scale of its channels. "
                f"Received: posterior={type(self.posterior).__name__}"
            )
        super()._check_parts()

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Returns the shape (h, w, channels) of the latents of an example."""
        return self.posterior.latent_shape

    def fit_latents(self, x: Data, *, batch_size: int | None = None, verbose: int = 0) -> "GridVAE":
        """Measures the mean and the standard deviation of each channel of the latents of x.

        Call it again after further training. The result is saved with the model.

        Args:
            x: the examples, in any container that `fit` takes.
            batch_size: int, 128 by default.
            verbose: 1 shows a progress bar.

        Returns:
            The model itself.

        Raises:
            ValueError: if a channel has the same value everywhere, or x does not fit the encoder.

        Example: `latents = vae.fit_latents(x).encode_latents(x)`.
        """
        codes = self.encode(x, batch_size=batch_size, verbose=verbose)
        codes = codes.reshape(-1, self.latent_shape[-1])
        scale = codes.std(axis=0, dtype="float64")
        if not np.all(scale > 0):
            raise ValueError(
                "`x` must have latents that vary in each channel, because they are divided by "
                "their standard deviation; train the model first, or take fewer channels. "
                f"Received: standard deviations {scale.tolist()}"
            )
        self.posterior.shift.assign(codes.mean(axis=0, dtype="float64").astype("float32"))
        self.posterior.scale.assign(scale.astype("float32"))
        return self

    def encode_latents(
        self,
        x: Data,
        *,
        sample: bool = False,
        seed: int | None = None,
        tile: int | None = None,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> np.ndarray:
        """Encodes images of any size to grids, standardised as `fit_latents` has measured.

        The height and width of a grid are those of the image divided by the stride, rounded up.

        Args:
            x: one image or many. Images of the size that the model is trained on may be in any
                container that `fit` takes, others in an array (N, H, W, C).
            sample: whether to draw from q(z|x) instead of taking its mean.
            seed: int; the same seed gives the same draws.
            tile: height and width of the tiles, in pixels, or None for images in one piece. Each
                is computed with a margin as wide as the network sees, so that the result is the
                same up to rounding, in less memory.
            batch_size: int, how many images at a time: 128 by default, 8 for other sizes and tiles.
            verbose: 1 shows a progress bar, for images of the model's size.

        Returns:
            NumPy array (N, h, w, channels).

        Raises:
            ValueError: if x is no image for the encoder, or the encoder does not take other sizes.

        Example: `latents = vae.encode_latents(photo, tile=256)`.
        """
        if tile is None and not _is_of_another_size(x, self.x_shape):
            codes = self.encode(x, sample=sample, seed=seed, batch_size=batch_size, verbose=verbose)
            grids = codes.reshape(-1, *self.latent_shape)
        else:
            x = _images(x, self.x_shape[-1], "x")
            grids = self._draw_grids(self._grids(x, tile, batch_size), sample, seed)
        return self.posterior.standardized(grids).astype("float32")

    def decode_latents(
        self,
        latents: Data,
        *,
        size: Sequence[int] | None = None,
        tile: int | None = None,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> np.ndarray:
        """Decodes standardised grids of any size to images, the means of p(x|z).

        Args:
            latents: grids (N, h, w, channels), as `encode_latents` returns them.
            size: (H, W) of the images; by default that of the model's images for grids of its
                size, else h and w times the stride.
            tile: height and width of the tiles, in pixels of the image, or None; as for
                `encode_latents`.
            batch_size, verbose: as for `encode_latents`.

        Returns:
            NumPy array (N, H, W, C).

        Raises:
            ValueError: if `latents` are no grids of the model's channels, or the decoder does not
                take other sizes.

        Example: `images = vae.decode_latents(latents)`.
        """
        z = self.posterior.restored(_images(latents, self.latent_shape[-1], "latents"))
        z = z.astype("float32", copy=False)
        if tile is None and z.shape[1:] == self.latent_shape:
            flat = z.reshape(len(z), -1)
            return _cropped(self.decode(flat, batch_size=batch_size, verbose=verbose), size)
        body = _body(self.decoder, "decoder")
        return _cropped(self._run(body, "decoder", mean_of_grid, z, tile, batch_size), size)

    def _grids(self, x, tile, batch_size):
        """The encoder's features for images of any size, (N, h, w, 2 channels)."""
        body = _body(self.encoder, "encoder")
        extra = [(0, -n % cell_of(body).input) for n in x.shape[1:3]]
        x = np.pad(x, [(0, 0), *extra, (0, 0)]) if np.any(extra) else x
        return self._run(body, "encoder", features_of_image, x, tile, batch_size)

    def _run(self, body, argument, function, x, tile, batch_size):
        runner = self._runners.get(function)
        run = functools.partial(runner.run, batch_size=batch_size or 8, compiled=True, verbose=0)
        if tile is None:
            return run(x)
        cell = cell_of(body)
        tile = positive_integer(tile, "tile", "the height and width of the tiles in pixels")
        cells = math.ceil(tile / max(cell))
        return in_tiles(run, x, cell, cells, margin_of(body, argument))

    def _draw_grids(self, features, sample, seed):
        """Means of q(z|x), or draws, for features that are grids."""
        q = self.posterior(ops.convert_to_tensor(features.reshape(len(features), -1)))
        z = self.posterior.mean(q)
        if sample:
            seed = random.new_seed() if seed is None else seed
            z = self.posterior.sample(q, 1, keras.random.SeedGenerator(seed))[0]
        return ops.convert_to_numpy(z).reshape(*features.shape[:3], self.latent_shape[-1])


@register
class AdversarialGridVAE(GridVAE, AdversarialVAE):
    """A `GridVAE` that is trained with a discriminator, as `AdversarialVAE` is.

    Example:

    ```python
    vae = keras_vae.recipes.kl_autoencoder((64, 64, 3), discriminator=True)
    ```

    References: those of `GridVAE` and of its adversary.
    """


def features_of_image(vae: GridVAE, batch: Batch) -> Tensor:
    """Returns the encoder's features of images of any size, (B, h, w, 2 channels), in float32."""
    return ops.cast(_body(vae.encoder, "encoder")(batch.x, training=False), "float32")


def mean_of_grid(vae: GridVAE, batch: Batch) -> Tensor:
    """Returns the mean of p(x|z) for grids of any size, (B, H, W, C)."""
    params = _body(vae.decoder, "decoder")(batch.x, training=False)
    return vae.likelihood.mean(ops.cast(params, "float32"))


def _body(network, argument):
    body = body_of(network)
    if body is None:
        raise ValueError(
            f"`{argument}` must be made by networks.latent_{argument} or networks.{argument}_of for"
            " images of other sizes and for tiles, because layers such as Flatten and Dense take "
            f"one size only. Received: {argument}={network.name!r}"
        )
    return body


def _is_of_another_size(x: Any, x_shape: tuple[int, ...]) -> bool:
    """Whether x is one array of images with the right channels and another height or width."""
    shape = tuple(getattr(x, "shape", None) or ())
    fits = len(shape) in (3, 4) and shape[-1] == x_shape[-1]
    return fits and shape[-3:] != x_shape


def _images(x, channels, argument):
    """Images or grids as a NumPy array (N, H, W, channels), float32."""
    x = ops.convert_to_numpy(data_adapters.whole(data_adapters.as_array(x, argument)))
    x = x[None] if x.ndim == 3 else x
    if x.ndim != 4 or x.shape[-1] != channels or 0 in x.shape:
        raise ValueError(
            f"`{argument}` must have the shape (N, height, width, {channels}), because its "
            f"channels are those of the model. Received: {argument} with shape={x.shape}"
        )
    checks.check_finite(x, argument)
    return x.astype("float32", copy=False)


def _cropped(images, size):
    if size is None:
        return images
    height, width = (positive_integer(n, "size", "the height or width of an image") for n in size)
    if height > images.shape[1] or width > images.shape[2]:
        raise ValueError(
            f"`size` must be at most {images.shape[1:3]}, because images are cropped to it. "
            f"Received: size={tuple(size)}"
        )
    return images[:, :height, :width]
