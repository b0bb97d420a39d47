"""The penalty that makes codes of signs certain for each example and diverse over all."""

from typing import TYPE_CHECKING, Any

from keras import ops

from keras_vae import replicas
from keras_vae.objectives import LossTerms
from keras_vae.part import register
from keras_vae.penalties import Penalty
from keras_vae.quantized.scalar import BinaryQuantizer
from keras_vae.typing import ScheduledNumber, Tensor
from keras_vae.validation import is_number, positive_integer

if TYPE_CHECKING:
    from keras_vae.model import VAE


@register
class CodeEntropy(Penalty):
    """The entropy of the codes of each place, minus that of the codes of all places, in nats.

    A place counts as uncertain between codes c in proportion to exp(-|x - c|² / temperature), its
    features being x. The first entropy, summed over the places of an example, pulls features away
    from the border between two codes. The second is that of the mean over the places and examples
    of all replicas, times the number of places; it keeps all codes in use.

    Args:
        weight: a non-negative number or a schedule.
        diversity: non-negative number, the weight of the second entropy within the difference.
        temperature: positive number.
        group_bits: int. The second entropy is exact within groups of so many bits, and the sum
            over the groups: at least the entropy of all bits.

    Example:

    ```python
    vae = keras_vae.VAE(
        keras_vae.networks.grid_encoder((28, 28, 1), 9),
        keras_vae.networks.grid_decoder(9, (28, 28, 1)),
        posterior=keras_vae.quantized.BinaryQuantizer(49, 9, spherical=True),
        penalties=[keras_vae.quantized.CodeEntropy()],
    )
    ```

    References: Yu et al. (arXiv:2310.05737), equation 5; Zhao et al. (arXiv:2406.07548), section
    4.2.
    """

    def __init__(
        self,
        weight: ScheduledNumber = 0.1,
        diversity: float = 1.0,
        temperature: float = 0.1,
        group_bits: int = 8,
        **kwargs: Any,
    ) -> None:
        super().__init__(weight, **{"name": "code_entropy", **kwargs})
        if not is_number(diversity) or diversity < 0:
            raise ValueError(
                "`diversity` must be a non-negative number, because it weights the entropy of all "
                f"codes. Received: diversity={diversity!r}"
            )
        if not is_number(temperature) or temperature <= 0:
            raise ValueError(
                "`temperature` must be a positive number, because squared distances are divided "
                f"by it. Received: temperature={temperature!r}"
            )
        self.diversity, self.temperature = float(diversity), float(temperature)
        self.group_bits = positive_integer(group_bits, "group_bits", "the bits of a group")

    def check_model(self, vae: "VAE") -> None:
        if not isinstance(vae.posterior, BinaryQuantizer):
            raise ValueError(
                "`penalties` with a CodeEntropy must go with the posterior BinaryQuantizer, "
                "because it takes the probabilities of codes bit by bit. "
                f"Received: posterior={type(vae.posterior).__name__}"
            )

    def value(self, terms: LossTerms) -> Tensor:
        posterior, features = terms.posterior, terms.q["features"]
        logits = 4.0 * posterior.size / self.temperature * features
        certain = ops.sum(_binary_entropy(logits), axis=(1, 2))
        together = sum(self._entropy_of_all(group, terms.weights) for group in self._groups(logits))
        return certain - self.diversity * posterior.num_latents * together

    def _groups(self, logits):
        """The logits of the bits, (B, N, bits), in groups."""
        size = self.group_bits
        return [logits[..., i : i + size] for i in range(0, logits.shape[-1], size)]

    def _entropy_of_all(self, logits, weights):
        """The entropy of the mean distribution over the codes of a group of bits."""
        p = _code_probabilities(logits)
        mean = replicas.mean(ops.mean(p, axis=1), weights)
        return -ops.sum(mean * ops.log(ops.maximum(mean, 1e-30)))


def _binary_entropy(logits):
    size = ops.abs(logits)
    return ops.log1p(ops.exp(-size)) + size * ops.sigmoid(-size)


def _code_probabilities(logits):
    """The probabilities of all 2^n codes, (…, 2^n), of n independent bits, (…, n)."""
    p = ops.ones_like(logits[..., :1])
    for bit in range(logits.shape[-1]):
        one = ops.sigmoid(logits[..., bit : bit + 1])
        p = ops.concatenate([p * (1.0 - one), p * one], axis=-1)
    return p
