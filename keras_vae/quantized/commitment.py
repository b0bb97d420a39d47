"""The penalty that binds features to their codes."""

from typing import TYPE_CHECKING, Any

from keras import ops

from keras_vae.objectives import LossTerms
from keras_vae.part import register
from keras_vae.penalties import Penalty
from keras_vae.quantized.scalar import BinaryQuantizer
from keras_vae.quantized.vector import VectorQuantizer
from keras_vae.typing import ScheduledNumber, Tensor

if TYPE_CHECKING:
    from keras_vae.model import VAE


@register
class Commitment(Penalty):
    """The squared distance of the features from their codes, summed over an example.

    Pulls the encoder to the codes it uses. Where the codebook is learned (`decay=None`), the same
    distance with weight 1 pulls the codes to the features.

    Args:
        weight: a non-negative number or a schedule; 0.25 in the paper.

    Example:

    ```python
    vae = keras_vae.VAE(
        keras_vae.networks.grid_encoder((28, 28, 1), 16),
        keras_vae.networks.grid_decoder(16, (28, 28, 1)),
        posterior=keras_vae.quantized.VectorQuantizer(49),
        penalties=[keras_vae.quantized.Commitment()],
    )
    ```

    Reference: van den Oord et al. (arXiv:1711.00937), equation 3.
    """

    def __init__(self, weight: ScheduledNumber = 0.25, **kwargs: Any) -> None:
        super().__init__(weight, **{"name": "commitment", **kwargs})

    def check_model(self, vae: "VAE") -> None:
        if not isinstance(vae.posterior, VectorQuantizer | BinaryQuantizer):
            raise ValueError(
                "`penalties` with a Commitment must go with the posterior VectorQuantizer or "
                "BinaryQuantizer, because it binds their features to codes. "
                f"Received: posterior={type(vae.posterior).__name__}"
            )

    def loss(self, terms: LossTerms, step: Tensor) -> Tensor:
        learning = 0.0
        if terms.posterior.learns_by_gradient:
            features = ops.stop_gradient(terms.q["features"])
            learning = self._distance(features, self._codes(terms))
        return super().loss(terms, step) + learning

    def value(self, terms: LossTerms) -> Tensor:
        return self._distance(terms.q["features"], ops.stop_gradient(self._codes(terms)))

    def _codes(self, terms):
        posterior, features = terms.posterior, terms.q["features"]
        if posterior.learns_by_gradient:  # with a gradient to the codebook
            return posterior.vectors(posterior.nearest(features))
        return ops.reshape(terms.z[0], ops.shape(features))

    def _distance(self, a, b):
        return ops.sum(ops.square(a - b), axis=(1, 2))
