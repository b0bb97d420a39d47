"""What all penalties with a discriminator share."""

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from keras_vae.metrics import WeightedMeans
from keras_vae.objectives import LossTerms
from keras_vae.penalties import Penalty
from keras_vae.typing import ScheduledNumber, Tensor

if TYPE_CHECKING:
    from keras_vae.model import VAE


class Opponent(Penalty):
    """Base of penalties with a discriminator. A subclass gives `value` and `discriminator_loss`.

    Args:
        discriminator: `keras.Model` to logits, which are positive where it takes what it sees for
            what a subclass says.
        weight: a non-negative number or a schedule of the optimizer's steps.
    """

    def __init__(
        self, discriminator: keras.Model, weight: ScheduledNumber = 1.0, **kwargs: Any
    ) -> None:
        super().__init__(weight, **kwargs)
        self.discriminator = discriminator
        for variable in discriminator.variables:
            variable.of_discriminator = True
        self.means = WeightedMeans(f"discriminator_{name}" for name in ("loss", "accuracy"))

    def check_model(self, vae: "VAE") -> None:
        """Refuses a model that does not train the discriminator.

        Args:
            vae: the built model.

        Raises:
            ValueError: if the model is no `AdversarialVAE`.
        """
        from keras_vae.adversarial.model import AdversarialVAE

        if not isinstance(vae, AdversarialVAE):
            raise ValueError(
                "`penalties` with a discriminator must be given to an `AdversarialVAE`, which "
                f"trains it. Received: {type(self).__name__} in a {type(vae).__name__}"
            )

    def fixed_logits(self, x: Tensor) -> Tensor:
        """Returns what the discriminator says, with its weights held fixed.

        Args:
            x: what it takes, (B, …).

        Returns:
            Tensor (B, …), float32.
        """
        network = self.discriminator
        fixed = [ops.stop_gradient(variable) for variable in network.trainable_variables]
        others = [ops.convert_to_tensor(v) for v in network.non_trainable_variables]
        logits, _ = network.stateless_call(fixed, others, x, training=False)
        return ops.cast(logits, "float32")

    def discriminator_loss(self, terms: LossTerms, training: bool) -> Tensor:
        """Computes the loss of the discriminator, and updates the logs.

        Args:
            terms: what the step knows of the batch.
            training: whether this is a training step.

        Returns:
            This replica's share of the loss; the shares of all replicas add up to it.
        """
        raise NotImplementedError


def is_built(network: Any) -> bool:
    """Returns whether an object is a network that knows the shapes of its input and output."""
    shapes = (getattr(network, key, None) for key in ("input_shape", "output_shape"))
    return bool(getattr(network, "built", False)) and all(isinstance(s, tuple) for s in shapes)
