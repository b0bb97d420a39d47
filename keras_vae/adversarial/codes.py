"""Penalties of codes: FactorVAE, adversarial autoencoders, WAE-GAN.

The discriminator learns to tell the codes of a batch from a reference; what it says of the codes
is a penalty of the VAE.
"""

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from keras_vae import replicas
from keras_vae.adversarial.base import Opponent, is_built
from keras_vae.objectives import LossTerms
from keras_vae.part import register
from keras_vae.penalties import check_one_prior
from keras_vae.typing import ScheduledNumber, Tensor

if TYPE_CHECKING:
    from keras_vae.model import VAE


class Adversary(Opponent):
    """Base of penalties of codes. A subclass gives `reference` and `penalty_of_logits`.

    Args:
        discriminator: `keras.Model`, codes (B, D) to a logit (B, 1), such as
            `networks.discriminator(D)`: positive where it takes them for codes of the model.
        weight: a non-negative number or a schedule of the optimizer's steps.
    """

    def __init__(
        self, discriminator: keras.Model, weight: ScheduledNumber = 1.0, **kwargs: Any
    ) -> None:
        if not (is_built(discriminator) and _is_logit(discriminator)):
            raise ValueError(
                "`discriminator` must be a built keras.Model from codes (B, D) to one logit (B, 1),"
                " such as `networks.discriminator(latent_dim)`. "
                f"Received: discriminator={discriminator!r}"
            )
        super().__init__(discriminator, weight, **kwargs)

    def check_model(self, vae: "VAE") -> None:
        """Refuses a model that does not train the discriminator, or has other codes.

        Args:
            vae: the built model.

        Raises:
            ValueError: if the model is no `AdversarialVAE`, or its codes have another length.
        """
        super().check_model(vae)
        if self.discriminator.input_shape[-1] != vae.posterior.latent_dim:
            raise ValueError(
                f"`discriminator` must take codes of the posterior's latent_dim, "
                f"(B, {vae.posterior.latent_dim}). Received: discriminator with input_shape="
                f"{self.discriminator.input_shape}"
            )

    def value(self, terms: LossTerms) -> Tensor:
        return self.penalty_of_logits(self.fixed_logits(terms.z[0])[:, 0])

    def penalty_of_logits(self, logits: Tensor) -> Tensor:
        """Computes the penalty of codes.

        Args:
            logits: what the discriminator says of the codes, (B,).

        Returns:
            Tensor (B,).
        """
        raise NotImplementedError

    def reference(self, codes: Tensor, weights: Tensor, terms: LossTerms) -> Tensor:
        """Returns what the codes are compared with.

        Args:
            codes: the codes of all replicas, (N, D).
            weights: their sample weights, (N,).
            terms: what the step knows of the batch.

        Returns:
            Tensor (N, D).
        """
        raise NotImplementedError

    def discriminator_loss(self, terms: LossTerms, training: bool) -> Tensor:
        """Computes the mean cross-entropy of the discriminator, and updates the logs.

        The codes, with their sample weights, count as much as the reference.

        Args:
            terms: what the step knows of the batch.
            training: whether this is a training step.

        Returns:
            This replica's share of the loss; the shares of all replicas add up to it.
        """
        codes, weights = terms.z[0], terms.weights
        everyone = replicas.all_gather(codes), replicas.all_gather(weights)
        first, ones = replicas.first_row(codes), ops.ones_like(weights)
        own = first + ops.arange(ops.shape(codes)[0])
        reference = ops.take(self.reference(*everyone, terms), own, axis=0)
        both = ops.stop_gradient(ops.concatenate([codes, reference]))
        labels = ops.concatenate([ones, ops.zeros_like(ones)])
        weights = ops.concatenate([weights, ones * replicas.mean(weights, ones)])
        logits = ops.cast(self.discriminator(both, training=training)[:, 0], "float32")
        values = ops.softplus(logits) - labels * logits
        right = ops.cast((logits > 0) == (labels > 0), "float32")
        self.means.update_state((values, right), weights)
        return replicas.replica_loss(values, weights)


@register
class TotalCorrelationAdversary(Adversary):
    """KL(q(z) || Π_d q(z_d)) as the mean log density ratio that a discriminator finds.

    It tells the codes of the batch from the same codes with each dimension in an order of its own.
    Needs no data-set size and no density of the posterior. With sample weights, dimensions are
    first resampled by them.

    Args:
        discriminator: as of `Adversary`.
        weight: as of `Adversary`; the gamma of the paper.

    Example: `TotalCorrelationAdversary(networks.discriminator(10), weight=10.0)`, a penalty of an
    `AdversarialVAE` with ten latents.

    Reference: Kim and Mnih, Disentangling by Factorising (arXiv:1802.05983), algorithm 2. There
    the two networks take turns and the permuted codes are those of a second batch; here both step
    at once, on one.
    """

    def __init__(
        self, discriminator: keras.Model, weight: ScheduledNumber = 1.0, **kwargs: Any
    ) -> None:
        super().__init__(discriminator, weight, **{"name": "total_correlation", **kwargs})

    def penalty_of_logits(self, logits: Tensor) -> Tensor:
        return logits

    def reference(self, codes: Tensor, weights: Tensor, terms: LossTerms) -> Tensor:
        noise = keras.random.uniform(ops.shape(codes), seed=terms.seed)  # the same on all replicas
        offset = keras.random.uniform((), seed=terms.seed)
        rows = ops.take(codes, _resampled(weights, offset), axis=0)
        return ops.take_along_axis(rows, ops.argsort(noise, axis=0), axis=0)


@register
class PriorAdversary(Adversary):
    """-log D(z): how little the codes of the batch look like draws from the prior.

    With `ELBO(beta=0.0)` this is the adversarial autoencoder, or WAE-GAN. Where the discriminator
    cannot tell, the penalty is log 2 nats.

    Args:
        discriminator, weight: as of `Adversary`.

    Example: `PriorAdversary(networks.discriminator(8), weight=10.0)`, a penalty of an
    `AdversarialVAE` with eight latents.

    References: Makhzani et al., Adversarial Autoencoders (arXiv:1511.05644), section 2;
    Tolstikhin et al., Wasserstein Auto-Encoders (arXiv:1711.01558), algorithm 1. There the
    networks take turns; here both step at once.
    """

    def __init__(
        self, discriminator: keras.Model, weight: ScheduledNumber = 1.0, **kwargs: Any
    ) -> None:
        super().__init__(discriminator, weight, **{"name": "adversarial_loss", **kwargs})

    def check_model(self, vae: "VAE") -> None:
        super().check_model(vae)
        check_one_prior(self, vae.prior)

    def penalty_of_logits(self, logits: Tensor) -> Tensor:
        return ops.softplus(logits)

    def reference(self, codes: Tensor, weights: Tensor, terms: LossTerms) -> Tensor:
        return terms.prior.sample(ops.shape(codes)[0], terms.seed)


def _is_logit(network):
    ranks = [len(shape) for shape in (network.input_shape, network.output_shape)]
    return ranks == [2, 2] and network.output_shape[-1] == 1


def _resampled(weights, offset):
    """Indices (N,) that hold each row in proportion to its weight: once each for equal weights."""
    size = ops.shape(weights)[0]
    heights = ops.cumsum(ops.divide_no_nan(weights, ops.sum(weights)) * ops.cast(size, "float32"))
    places = ops.cast(ops.arange(size), "float32") + 1e-3 + 0.998 * offset  # off the edges
    return ops.clip(ops.cast(ops.searchsorted(heights, places, "right"), "int32"), 0, size - 1)
