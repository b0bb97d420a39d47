"""Penalties that a second network estimates: FactorVAE, adversarial autoencoders, WAE-GAN.

The discriminator learns to tell the codes of a batch from a reference; what it says of the codes
is a penalty of the VAE. One backward pass serves both: the penalty holds the discriminator's
weights fixed, the discriminator's loss the codes, and `TwoOptimizers` gives each network its own.
"""

from collections.abc import Sequence
from typing import Any, Self

import keras
from keras import ops

from keras_vae import replicas
from keras_vae.metrics import WeightedMeans
from keras_vae.model import VAE
from keras_vae.objectives import LossTerms
from keras_vae.part import register
from keras_vae.penalties import Penalty, check_one_prior
from keras_vae.typing import ScheduledNumber, Tensor


class Adversary(Penalty):
    """Base of penalties with a discriminator. A subclass gives `reference` and `penalty_of_logits`.

    Args:
        discriminator: `keras.Model`, codes (B, D) to a logit (B, 1), such as
            `networks.discriminator(D)`: positive where it takes them for codes of the model.
        weight: a non-negative number or a schedule of the optimizer's steps.
    """

    def __init__(
        self, discriminator: keras.Model, weight: ScheduledNumber = 1.0, **kwargs: Any
    ) -> None:
        super().__init__(weight, **kwargs)
        if not (getattr(discriminator, "built", False) and _is_logit(discriminator)):
            raise ValueError(
                "`discriminator` must be a built keras.Model from codes (B, D) to one logit (B, 1),"
                " such as `networks.discriminator(latent_dim)`. "
                f"Received: discriminator={discriminator!r}"
            )
        self.discriminator = discriminator
        for variable in discriminator.variables:
            variable.of_discriminator = True
        self.means = WeightedMeans(f"discriminator_{name}" for name in ("loss", "accuracy"))

    def check_model(self, vae: "VAE") -> None:
        """Refuses a model that does not train the discriminator, or has other codes.

        Args:
            vae: the built model.

        Raises:
            ValueError: if the model is no `AdversarialVAE`, or its codes have another length.
        """
        if not isinstance(vae, AdversarialVAE):
            raise ValueError(
                "`penalties` with a discriminator must be given to an `AdversarialVAE`, which "
                f"trains it. Received: {type(self).__name__} in a {type(vae).__name__}"
            )
        if self.discriminator.input_shape[-1] != vae.posterior.latent_dim:
            raise ValueError(
                f"`discriminator` must take codes of the posterior's latent_dim, "
                f"(B, {vae.posterior.latent_dim}). Received: discriminator with input_shape="
                f"{self.discriminator.input_shape}"
            )

    def value(self, terms: LossTerms) -> Tensor:
        network = self.discriminator
        fixed = [ops.stop_gradient(variable) for variable in network.trainable_variables]
        others = [ops.convert_to_tensor(v) for v in network.non_trainable_variables]
        logits, _ = network.stateless_call(fixed, others, terms.z[0], training=False)
        return self.penalty_of_logits(ops.cast(logits[:, 0], "float32"))

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


@register
class AdversarialVAE(VAE):
    """A `VAE` one of whose penalties is an `Adversary`, with an optimizer for its discriminator.

    All else is as of `VAE`. The logs also have `discriminator_loss`, the cross-entropy in nats a
    code (log 2 where it cannot tell), and `discriminator_accuracy`.

    Example:

    ```python
    encoder, decoder = recipes.fitting_networks((28, 28, 1), latent_dim=10)
    adversary = adversarial.TotalCorrelationAdversary(networks.discriminator(10), weight=10.0)
    vae = keras_vae.adversarial.AdversarialVAE(encoder, decoder, penalties=[adversary])
    vae.compile(keras.optimizers.Adam(1e-3), discriminator_optimizer=keras.optimizers.Adam(1e-4))
    ```

    References: those of the adversaries.
    """

    @property
    def adversary(self) -> Adversary:
        """Returns the one penalty with a discriminator."""
        return _only_adversary(self.penalties)

    def _check_parts(self):
        _only_adversary(self.penalties)
        super()._check_parts()

    def compile(  # type: ignore[override]  # the second optimizer takes the place of the loss
        self,
        optimizer: keras.optimizers.Optimizer | str = "rmsprop",
        discriminator_optimizer: keras.optimizers.Optimizer | str | None = None,
        **kwargs: Any,
    ) -> None:
        """Configures training, as `VAE.compile` does.

        Args:
            optimizer: the optimizer of the VAE, or its name.
            discriminator_optimizer: the optimizer of the discriminator, by default
                Adam(1e-4, beta_1=0.5, beta_2=0.9). A loss scale, as in mixed precision, is that of
                `optimizer` for both.
            kwargs: the other arguments of `VAE.compile`.
        """
        pair = paired(keras.optimizers.get(optimizer), discriminator_optimizer)
        super().compile(pair, **kwargs)

    def _opponents_share(self, terms, training):
        return self.adversary.discriminator_loss(terms, training)


def _only_adversary(penalties):
    found = [part for part in penalties if isinstance(part, Adversary)]
    if len(found) != 1:
        raise ValueError(
            "`penalties` must have exactly one Adversary, whose discriminator the second "
            f"optimizer trains; without one, use `VAE`. Received: penalties={penalties}"
        )
    return found[0]


@register
class TwoOptimizers(keras.optimizers.Optimizer):
    """One optimizer for all weights but a discriminator's, another for those.

    `AdversarialVAE.compile` makes it. Learning rate and iterations are those of the first.
    """

    def __init__(
        self,
        optimizer: keras.optimizers.Optimizer,
        discriminator_optimizer: keras.optimizers.Optimizer,
        name: str = "two_optimizers",
    ) -> None:
        super().__init__(learning_rate=0.0, name=name)
        self.optimizer = optimizer
        self.discriminator_optimizer = discriminator_optimizer

    def split(
        self, gradients: Sequence[Any], variables: Sequence[Any]
    ) -> list[tuple[keras.optimizers.Optimizer, list[Any], list[Any]]]:
        """Splits gradients between the two optimizers.

        Args:
            gradients: one for each variable.
            variables: weights of the model.

        Returns:
            A list of tuples (optimizer, its gradients, their variables), for those that have any.
        """
        pairs = list(zip(gradients, variables, strict=True))
        groups = []
        for optimizer, wanted in ((self.optimizer, False), (self.discriminator_optimizer, True)):
            own = [p for p in pairs if getattr(p[1], "of_discriminator", False) == wanted]
            if own:
                groups.append((optimizer, *map(list, zip(*own, strict=True))))
        return groups

    def build(self, variables: Sequence[keras.Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self.trained = list(variables)
        for optimizer, _, own in self.split(variables, variables):
            optimizer.build(own)

    @property
    def variables(self) -> list[keras.Variable]:
        parts = (self.optimizer, self.discriminator_optimizer)
        return [*super().variables, *(v for part in parts for v in part.variables)]

    def apply(
        self, grads: Sequence[Tensor], trainable_variables: Sequence[keras.Variable] | None = None
    ) -> None:
        variables = trainable_variables or self.trained
        self.build(list(variables))
        for optimizer, gradients, own in self.split(grads, variables):
            optimizer.apply(gradients, own)

    @property
    def learning_rate(self) -> Any:
        return self.optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        self.optimizer.learning_rate = learning_rate

    @property
    def iterations(self) -> keras.Variable:
        return self.optimizer.iterations

    def finalize_variable_values(self, var_list: Sequence[keras.Variable]) -> None:
        for optimizer, _, own in self.split(var_list, var_list):
            optimizer.finalize_variable_values(own)

    def get_config(self) -> dict[str, Any]:
        parts = (self.optimizer, self.discriminator_optimizer)
        first, second = map(keras.saving.serialize_keras_object, parts)
        return {"optimizer": first, "discriminator_optimizer": second, "name": self.name}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        keys = ("optimizer", "discriminator_optimizer")
        parts = {key: keras.saving.deserialize_keras_object(config[key]) for key in keys}
        return cls(**{**config, **parts})


def paired(
    optimizer: keras.optimizers.Optimizer,
    discriminator_optimizer: keras.optimizers.Optimizer | str | None = None,
) -> keras.optimizers.Optimizer:
    """Returns `TwoOptimizers` of the two, inside the loss scaling of the first where it has one.

    Args:
        optimizer: the optimizer of the VAE.
        discriminator_optimizer: that of the discriminator, or its name; by default
            Adam(1e-4, beta_1=0.5, beta_2=0.9).

    Returns:
        An optimizer; `optimizer` itself if it is such a pair already.

    Raises:
        ValueError: if `discriminator_optimizer` is `optimizer`, or one of them scales the loss in a
            way that the pair cannot follow.
    """
    scaling = keras.optimizers.LossScaleOptimizer
    if isinstance(getattr(optimizer, "inner_optimizer", optimizer), TwoOptimizers):
        return optimizer  # as loaded
    second = discriminator_optimizer or keras.optimizers.Adam(1e-4, beta_1=0.5, beta_2=0.9)
    second = keras.optimizers.get(second)
    first = getattr(optimizer, "inner_optimizer", optimizer)
    scales = [isinstance(second, scaling), first.loss_scale_factor, second.loss_scale_factor]
    if second is first or any(scales):
        raise ValueError(
            "`discriminator_optimizer` must be an optimizer of its own without loss scaling, and "
            "neither may have a `loss_scale_factor`; wrap `optimizer` in a LossScaleOptimizer, "
            f"which scales for both. Received: discriminator_optimizer={second!r}"
        )
    if not isinstance(optimizer, scaling):
        return TwoOptimizers(first, second)
    steps = optimizer.dynamic_growth_steps
    return scaling(TwoOptimizers(first, second), optimizer.initial_scale, steps)


def _is_logit(network):
    shapes = (getattr(network, key, None) for key in ("input_shape", "output_shape"))
    ranks = [isinstance(shape, tuple) and len(shape) == 2 for shape in shapes]
    return all(ranks) and network.output_shape[-1] == 1


def _resampled(weights, offset):
    """Indices (N,) that hold each row in proportion to its weight: once each for equal weights."""
    size = ops.shape(weights)[0]
    heights = ops.cumsum(ops.divide_no_nan(weights, ops.sum(weights)) * ops.cast(size, "float32"))
    places = ops.cast(ops.arange(size), "float32") + 1e-3 + 0.998 * offset  # off the edges
    return ops.clip(ops.cast(ops.searchsorted(heights, places, "right"), "int32"), 0, size - 1)
