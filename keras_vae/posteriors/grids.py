"""Normal posteriors of codes with a place in a grid."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_vae.networks.shapes import image_shape
from keras_vae.part import register
from keras_vae.posteriors.normal import DiagonalNormal
from keras_vae.typing import Shape


@register
class GridNormal(DiagonalNormal):
    """A `DiagonalNormal` whose code is a grid of vectors, (h, w, channels), flattened.

    It also keeps a shift and a scale for each channel, which the densities do not use. They
    standardise the latents that another model is trained on, and are saved with the model.
    `latent_grids.GridVAE.fit_latents` sets them.

    Args:
        latent_shape: (h, w, channels).
        name, dtype: As for `Posterior`.

    Call arguments:
        features: Tensor (B, 2D), in which means and log-variances alternate.

    Returns:
        A dict `q` with `mean` and `log_variance`, each (B, D) and float32.

    Raises:
        ValueError: If `latent_shape` is not (h, w, channels), or the encoder's output does not have
            two features for each latent.

    Example:

    ```python
    posterior = keras_vae.posteriors.GridNormal((16, 16, 4))
    ```

    Reference:
        Rombach et al., Latent Diffusion Models (arXiv:2112.10752), appendix G, which rescales
        latents to a standard deviation of 1.
    """

    def __init__(self, latent_shape: Sequence[int], **kwargs: Any) -> None:
        shape = image_shape(latent_shape, "latent_shape")
        super().__init__(math.prod(shape), linear=False, **kwargs)
        self.latent_shape = shape

    def build(self, features_shape: Shape) -> None:
        """Makes the shift and the scale of each channel."""
        super().build(features_shape)
        options = {"shape": self.latent_shape[-1:], "trainable": False, "autocast": False}
        self.shift = self.add_weight(initializer="zeros", name="shift", **options)
        self.scale = self.add_weight(initializer="ones", name="scale", **options)

    def standardized(self, latents: np.ndarray) -> np.ndarray:
        """Returns latents (…, channels) without their shift and scale.

        Args:
            latents: NumPy array (…, channels), in the units of the codes.

        Returns:
            NumPy array like `latents`.
        """
        return (latents - ops.convert_to_numpy(self.shift)) / ops.convert_to_numpy(self.scale)

    def restored(self, latents: np.ndarray) -> np.ndarray:
        """Returns what `standardized` made `latents` of.

        Args:
            latents: NumPy array (…, channels), standardised.

        Returns:
            NumPy array like `latents`, in the units of the codes.
        """
        return latents * ops.convert_to_numpy(self.scale) + ops.convert_to_numpy(self.shift)
