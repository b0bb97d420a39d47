"""A penalty of reconstructed images: do their patches look like those of x?"""

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from keras_vae import replicas
from keras_vae.adversarial.base import Opponent, is_built
from keras_vae.objectives import LossTerms
from keras_vae.part import register
from keras_vae.typing import ScheduledNumber, Tensor

if TYPE_CHECKING:
    from keras_vae.model import VAE


@register
class PatchAdversary(Opponent):
    """How little the patches of reconstructions look like those of x, to a discriminator.

    The discriminator gives one logit for each patch, and learns to tell the target from the mean of
    p(x|z). With `kind="hinge"` the penalty is the mean of -logit over the patches, with
    `kind="non_saturating"` that of -log sigmoid(logit).

    With `adaptive=True` the penalty is multiplied by the ratio of two norms at the last layer of
    the decoder: that of the gradient of the reconstruction loss, with the penalty `Perceptual` if
    there is one, and that of the gradient of the penalty. The `weight` then is the share of the
    discriminator, whatever the units of the likelihood. This decodes each batch once more. The
    second time the decoder is not in training mode, so that Dropout is left out.

    Args:
        discriminator: `keras.Model`, images (B, H, W, C) to logits (B, h, w, 1), such as
            `networks.patch_discriminator((64, 64, 3))`: positive where it takes a patch for one of
            x.
        weight: a non-negative number or a schedule of the optimizer's steps.
        kind: `"hinge"` or `"non_saturating"`.
        adaptive: whether to multiply the penalty by the ratio of the gradients.
        start: int, the optimizer's step from which the penalty counts. The discriminator learns
            before, too.

    Example: `PatchAdversary(networks.patch_discriminator((64, 64, 3)), weight=0.5, start=2000)`, a
    penalty of an `AdversarialVAE`.

    References: Isola et al., Image-to-Image Translation with Conditional Adversarial Networks
    (arXiv:1611.07004), section 3.2.2; Esser et al., Taming Transformers (arXiv:2012.09841),
    equations 6 and 7. There the two networks take turns; here both step at once, on one batch.
    """

    kinds = ("hinge", "non_saturating")

    def __init__(
        self,
        discriminator: keras.Model,
        weight: ScheduledNumber = 1.0,
        kind: str = "hinge",
        adaptive: bool = True,
        start: int = 0,
        **kwargs: Any,
    ) -> None:
        if not (is_built(discriminator) and discriminator.output_shape[-1] == 1):
            raise ValueError(
                "`discriminator` must be a built keras.Model from images to one logit for each "
                "patch, (B, h, w, 1), such as `networks.patch_discriminator(shape)`. "
                f"Received: discriminator={discriminator!r}"
            )
        super().__init__(discriminator, weight, **{"name": "adversarial_loss", **kwargs})
        if kind not in self.kinds:
            raise ValueError(
                f"`kind` must be one of {self.kinds}, losses of a discriminator. "
                f"Received: kind={kind!r}"
            )
        if isinstance(start, bool) or not isinstance(start, int) or start < 0:
            raise ValueError(
                "`start` must be an integer that is not negative, because it counts the steps of "
                f"the optimizer. Received: start={start!r}"
            )
        self.kind, self.adaptive, self.start = kind, adaptive, start

    def check_model(self, vae: "VAE") -> None:
        super().check_model(vae)
        taken = self.discriminator.input_shape[1:]
        fits = len(taken) == len(vae.target_shape) and all(
            size in (None, n) for size, n in zip(taken, vae.target_shape, strict=True)
        )
        if not fits:
            raise ValueError(
                f"`discriminator` must take images of the shape {vae.target_shape}, which the "
                "model reconstructs. Received: discriminator with input_shape="
                f"{self.discriminator.input_shape}"
            )

    def loss(self, terms: LossTerms, step: Tensor) -> Tensor:
        has_started = ops.cast(ops.greater_equal(step, self.start), "float32")
        return has_started * super().loss(terms, step)

    def value(self, terms: LossTerms) -> Tensor:
        value = self.penalty_of_images(terms.reconstruction())
        if not self.adaptive or terms.gradient_ratio is None:
            return value
        return terms.gradient_ratio(self.penalty_of_images) * value

    def penalty_of_images(self, images: Tensor) -> Tensor:
        """Computes the penalty of reconstructions, without the ratio of the gradients.

        Args:
            images: (B, H, W, C).

        Returns:
            Tensor (B,).
        """
        logits = self.fixed_logits(images)
        return _over_patches(-logits if self.kind == "hinge" else ops.softplus(-logits))

    def discriminator_loss(self, terms: LossTerms, training: bool) -> Tensor:
        """Computes the mean loss of the discriminator over the patches, and updates the logs.

        The target counts as much as the reconstruction.

        Args:
            terms: what the step knows of the batch.
            training: whether this is a training step.

        Returns:
            This replica's share of the loss; the shares of all replicas add up to it.
        """
        both = ops.concatenate([ops.cast(terms.target, "float32"), terms.reconstruction()])
        logits = self.discriminator(ops.stop_gradient(both), training=training)
        real, made = ops.split(ops.cast(logits, "float32"), 2)
        bend = (lambda a: ops.relu(1.0 + a)) if self.kind == "hinge" else ops.softplus
        values = 0.5 * _over_patches(bend(-real) + bend(made))
        right = ops.cast(real > 0, "float32") + ops.cast(made < 0, "float32")
        self.means.update_state((values, 0.5 * _over_patches(right)), terms.weights)
        return replicas.replica_loss(values, terms.weights)


def _over_patches(values):
    """The mean of (B, …) over all axes but the first."""
    return ops.mean(values, axis=tuple(range(1, len(values.shape))))
