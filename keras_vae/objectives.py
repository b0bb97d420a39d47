"""What is minimised, per example and in nats."""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
from keras import ops

from keras_vae import replicas, validation
from keras_vae.networks.checks import batch_normalizations
from keras_vae.part import Coefficient, Part, register
from keras_vae.typing import ScheduledNumber, Tensor
from keras_vae.validation import positive_integer

if TYPE_CHECKING:
    from keras_vae.model import VAE


class LossTerms(NamedTuple):
    """What an objective or a penalty may use. K draws, B examples, D latent dimensions."""

    log_likelihood: Any
    """log p(x|z), (K, B)."""
    kl_summands: Any
    """KL(q(z|x) || p(z)), by dimension (B, D) where it is a sum over them, else (B, 1)."""
    log_posterior: Any
    """log q(z|x), (K, B)."""
    log_prior: Any
    """log p(z), (K, B)."""
    z: Any
    """The draws, (K, B, D)."""
    q: Any
    """What the posterior returned for the batch."""
    posterior: Any
    prior: Any
    """The prior, given the condition where there is one."""
    weights: Any
    """Sample weights, (B,)."""
    log_joint: Any
    """Function of z (K, B, D): log p(x, z), (K, B); runs the decoder."""
    seed: Any
    """The generator of this step's noise."""
    target: Any = None
    """What is to be reconstructed, (B, …)."""
    reconstruction: Any = None
    """Function without arguments: the mean of p(x|z) of the first draw, (B, …)."""
    gradient_ratio: Any = None
    """Function of a penalty of the reconstruction, as `adversarial.balance.gradient_ratio` makes it
    for an `AdversarialVAE`."""

    @property
    def kl(self) -> Tensor:
        """Returns KL(q(z|x) || p(z)), (B,)."""
        return ops.sum(self.kl_summands, axis=-1)


@register
class ELBO(Part):
    """-E_q[log p(x|z)] + beta · KL(q(z|x) || p(z)): the negative evidence lower bound, (B,).

    With `beta=1` it bounds -log p(x) from above. Other values give the beta-VAE; a schedule gives
    KL warm-up. It is the same in training and in validation.

    Args:
        beta: weight of the KL: a non-negative number, a schedule of the optimizer's steps or a
            `keras.Variable`. Setting the attribute, for instance in a callback, takes effect from
            the next step on; so it does for `free_bits` and `capacity`.
        num_samples: draws of z an example, averaged.
        free_bits: nats that each latent dimension may hold at no cost: where the batch's mean KL
            of a dimension is below, that counts instead and has no gradient. Against collapse.
            The KL of posteriors that it does not split by dimension counts as one.
        capacity: None, or nats, a number or a schedule: the KL term is then
            beta · |mean KL of the batch - capacity|, with a large beta.
        balanced: whether, while beta is below 1, each latent dimension (of a ladder, each group)
            is weighted by its share of the batch's mean KL, so that warm-up empties none: those
            that hold little cost little.

    Example:

    ```python
    objective = keras_vae.objectives.ELBO(beta=keras_vae.schedules.Linear(num_steps=5000))
    ```

    References: Kingma and Welling (arXiv:1312.6114), equation 3; Higgins et al., beta-VAE
    (ICLR 2017), equation 4; free bits: Kingma et al. (arXiv:1606.04934), equation 15; capacity:
    Burgess et al., Understanding Disentangling in beta-VAE (arXiv:1804.03599), equation 8;
    balance: Vahdat and Kautz, NVAE (arXiv:2007.03898), appendix A, without the factor for the size
    of a group.
    """

    beta = Coefficient("it weights the KL divergence")
    free_bits = Coefficient("the nats that a latent dimension may hold at no cost")
    capacity = Coefficient("the nats of KL for each example", optional=True)

    def __init__(
        self,
        beta: ScheduledNumber = 1.0,
        num_samples: int = 1,
        free_bits: ScheduledNumber = 0.0,
        capacity: ScheduledNumber | None = None,
        balanced: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.beta = beta
        self.num_samples = positive_integer(
            num_samples, "num_samples", "the number of draws of z for an example"
        )
        self.free_bits, self.capacity, self.balanced = free_bits, capacity, balanced

    def loss(self, terms: LossTerms, step: Tensor) -> Tensor:
        """Computes the loss of each example in nats.

        Args:
            terms: what the step knows of the batch.
            step: the optimizer's step, for the schedules.

        Returns:
            Tensor (B,).
        """
        reconstruction = -ops.mean(terms.log_likelihood, axis=0)
        return ELBO.beta.at(self, step) * self._kl_term(terms, step) + reconstruction

    def _kl_term(self, terms, step):
        """(B,), of which the batch's weighted mean is the KL term."""
        summands = self._with_free_bits(terms, ELBO.free_bits.at(self, step))
        if self.balanced:
            summands = self._balance(terms, step) * summands
        kl, capacity = ops.sum(summands, axis=-1), ELBO.capacity.at(self, step)
        if capacity is None:
            return kl
        distance = kl - capacity
        return ops.sign(replicas.mean(distance, terms.weights)) * distance

    def _with_free_bits(self, terms, least):
        """The summands of the KL, (B, D), with `least` where the mean of the batch is below it."""
        mean = replicas.mean(terms.kl_summands, terms.weights)
        enough = ops.logical_or(least <= 0.0, mean > least)
        return ops.where(enough, terms.kl_summands, least)

    def _balance(self, terms, step):
        """Weights of the summands, (D,), whose mean is 1."""
        means = ops.stop_gradient(replicas.mean(terms.kl_summands, terms.weights))
        shares = ops.divide_no_nan(means, ops.mean(means))
        return ops.where(ELBO.beta.at(self, step) < 1.0, shares, ops.ones_like(shares))


@register
class IWAE(Part):
    """-log (1/K) Σ_k p(x|z_k) p(z_k) / q(z_k|x): the negative importance-weighted bound, (B,).

    Never looser than the ELBO in expectation, and tighter with more draws. The gradient for the
    encoder, though, drowns in noise with more draws; the options are the known remedies.

    Args:
        num_samples: int, K, draws of z for each example.
        gradient: how the encoder gets its gradient; the loss is the same.
            `"standard"`: by differentiating it.
            `"sticking_the_landing"`: without the part that runs through the parameters of q at
            fixed z. Its mean is 0 for K = 1, where this only removes noise, all of it once q is
            exact; for larger K it is biased.
            `"doubly_reparameterized"` (DReG): without bias for any K, and better with more draws.
            Runs the decoder twice, which must be without BatchNormalization.
            `"partial"` (PIWAE): that of `num_groups` averaged bounds, while decoder and prior get
            that of one bound of all draws. Runs the decoder twice.
        num_groups: int that divides K: the average of so many bounds of K / num_groups draws
            each (MIWAE); 1 is the IWAE, K is the ELBO.
        elbo_weight: in [0, 1]: mixes the ELBO in (CIWAE).

    Example: `keras_vae.objectives.IWAE(num_samples=8, gradient="doubly_reparameterized")`.

    References: Burda et al. (arXiv:1509.00519), equation 8; Roeder et al., Sticking the Landing
    (arXiv:1703.09194); Tucker et al., Doubly Reparameterized Gradient Estimators
    (arXiv:1810.04152), equation 8; Rainforth et al., Tighter Variational Bounds are Not
    Necessarily Better (arXiv:1802.04537), section 4.
    """

    gradients = ("standard", "sticking_the_landing", "doubly_reparameterized", "partial")

    def __init__(
        self,
        num_samples: int = 5,
        gradient: str = "standard",
        num_groups: int = 1,
        elbo_weight: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_samples = positive_integer(
            num_samples, "num_samples", "the number of draws of z for an example"
        )
        if gradient not in self.gradients:
            raise ValueError(
                f"`gradient` must be one of {self.gradients}: how the encoder gets its gradient. "
                f"Received: gradient={gradient!r}"
            )
        self.gradient = gradient
        self.num_groups = positive_integer(num_groups, "num_groups", "how many bounds to average")
        if self.num_samples % self.num_groups:
            raise ValueError(
                "`num_groups` must divide `num_samples`, because every bound has as many draws. "
                f"Received: num_groups={num_groups}, num_samples={num_samples}"
            )
        if not (validation.is_number(elbo_weight) and 0 <= elbo_weight <= 1):
            raise ValueError(
                "`elbo_weight` must be a number in [0, 1]: the share of the ELBO in the loss. "
                f"Received: elbo_weight={elbo_weight!r}"
            )
        self.elbo_weight = float(elbo_weight)

    @property
    def decodes_twice(self) -> bool:
        """Returns whether the loss calls the decoder again, with draws that are held fixed."""
        return self.gradient in ("doubly_reparameterized", "partial")

    def check_model(self, vae: "VAE") -> None:
        """Refuses a posterior or a decoder with which the gradient would be wrong.

        Args:
            vae: the built model.

        Raises:
            ValueError: if they do not go with `gradient`.
        """
        if self.gradient != "standard" and getattr(vae.posterior, "shares_decoder", False):
            raise ValueError(
                '`gradient` must be "standard" for a ladder, because the others hold q fixed under '
                "the draws, and here q depends on the draws above. "
                f"Received: gradient={self.gradient!r}"
            )
        needed = self.gradient in ("sticking_the_landing", "doubly_reparameterized")
        if needed and not getattr(vae.posterior, "invertible", True):
            raise ValueError(
                f'`gradient="{self.gradient}"` must have a posterior with a density at any z, '
                "because it holds q fixed under the draws; flows.Planar has no inverse. "
                f"Received: posterior={type(vae.posterior).__name__}"
            )
        self._check_decoder(vae.decoder)

    def _check_decoder(self, decoder):
        mixing = batch_normalizations(decoder)
        if self.gradient == "doubly_reparameterized" and mixing:
            raise ValueError(
                '`gradient` must be "standard" or "partial" for a decoder with BatchNormalization, '
                "because there the code of one example changes the likelihood of the others, of "
                "which the doubly reparameterized gradient knows nothing; or use "
                f"LayerNormalization. Received: gradient={self.gradient!r}, decoder with {mixing}"
            )

    def loss(self, terms: LossTerms, step: Tensor) -> Tensor:
        """Computes the loss of each example in nats.

        Args:
            terms: what the step knows of the batch.
            step: not used, because nothing here follows a schedule.

        Returns:
            Tensor (B,).
        """
        log_posterior = terms.log_posterior
        if self.gradient in ("sticking_the_landing", "doubly_reparameterized"):
            fixed = keras.tree.map_structure(ops.stop_gradient, terms.q)
            log_posterior = terms.posterior.log_prob(fixed, terms.z)
        log_weights = terms.log_likelihood + terms.log_prior - log_posterior
        if self.gradient == "doubly_reparameterized":
            return -self._doubly_reparameterized(log_weights, terms)
        if self.gradient == "partial":
            return -self._partial(log_weights, terms)
        return -self._bound(log_weights, self.num_groups)

    def _bound(self, log_weights, num_groups):
        """The bound of log-weights (K, B): (B,)."""
        grouped = self._grouped(log_weights, num_groups)
        draws = self.num_samples // num_groups
        tight = ops.mean(ops.logsumexp(grouped, axis=1), axis=0) - math.log(draws)
        if self.elbo_weight == 0:
            return tight
        return self.elbo_weight * ops.mean(log_weights, axis=0) + (1 - self.elbo_weight) * tight

    def _grouped(self, log_weights, num_groups):
        shape = (num_groups, self.num_samples // num_groups, *ops.shape(log_weights)[1:])
        return ops.reshape(log_weights, shape)

    def _doubly_reparameterized(self, log_weights, terms):
        """The bound, with the gradient a ∂/∂z for the encoder and w ∂/∂θ for all else.

        w is the derivative of the bound by a log-weight, a the same with the square of the
        normalised weight. Through the draws as they are, both encoder and decoder get a; the
        decoder gets the missing w - a from draws that are held fixed.
        """
        grouped = self._grouped(log_weights, self.num_groups)
        normalised = ops.exp(grouped - ops.logsumexp(grouped, axis=1, keepdims=True))
        tight, elbo = (1 - self.elbo_weight) / self.num_groups, self.elbo_weight / self.num_samples
        w, a = (
            ops.stop_gradient(ops.reshape(tight * normalised**power, ops.shape(log_weights)) + elbo)
            for power in (1, 2)
        )
        fixed = self._fixed_log_joint(terms)
        surrogate = ops.sum(a * log_weights + (w - a) * fixed, axis=0)
        value = self._bound(log_weights, self.num_groups)
        return ops.stop_gradient(value - surrogate) + surrogate

    def _partial(self, log_weights, terms):
        """The averaged bounds, with the gradient of the one bound for all but the encoder."""
        fixed = self._fixed_log_joint(terms) - ops.stop_gradient(terms.log_posterior)
        one, several = self._bound(fixed, 1), self._bound(fixed, self.num_groups)
        correction = one - several
        value = self._bound(log_weights, self.num_groups)
        return value + correction - ops.stop_gradient(correction)

    def _fixed_log_joint(self, terms):
        return terms.log_joint(ops.stop_gradient(terms.z))
