"""What is minimised, per example and in nats."""

import math
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_vae import validation
from keras_vae.part import Part, register


class Terms(NamedTuple):
    """What an objective or a penalty may use. K draws, B examples, D latent dimensions."""

    log_likelihood: Any
    """log p(x|z), (K, B)."""
    kl: Any
    """KL(q(z|x) || p(z)), (B,)."""
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


@register
class ELBO(Part):
    """-E_q[log p(x|z)] + beta · KL(q(z|x) || p(z)): the negative evidence lower bound, (B,).

    With `beta=1` it bounds -log p(x) from above. Other values give the beta-VAE; a schedule gives
    KL warm-up. It is the same in training and in validation.

    Args:
        beta: weight of the KL: a non-negative number, or a
            `keras.optimizers.schedules.LearningRateSchedule` of the optimizer's steps.
        num_samples: draws of z an example, averaged.

    Example:

    ```python
    objective = keras_vae.objectives.ELBO(beta=keras_vae.schedules.Linear(num_steps=5000))
    ```

    References: Kingma and Welling (arXiv:1312.6114), equation 3; Higgins et al., beta-VAE
    (ICLR 2017), equation 4.
    """

    def __init__(self, beta=1.0, num_samples=1, **kwargs):
        super().__init__(**kwargs)
        schedule = isinstance(beta, keras.optimizers.schedules.LearningRateSchedule)
        if not schedule and not (validation.is_number(beta) and beta >= 0):
            raise ValueError(
                "`beta` must be a non-negative number or a learning-rate schedule: it weights the "
                f"KL divergence. Received: beta={beta!r}"
            )
        self.beta = beta if schedule else float(beta)
        self.num_samples = validation.positive_integer(
            num_samples, "num_samples", "the number of draws of z for an example"
        )

    def loss(self, terms, step):
        """The loss of each example in nats, (B,), at an optimizer step."""
        beta = self.beta(step) if callable(self.beta) else self.beta
        return beta * terms.kl - ops.mean(terms.log_likelihood, axis=0)


@register
class IWAE(Part):
    """-log (1/K) Σ_k p(x|z_k) p(z_k) / q(z_k|x): the negative importance-weighted bound, (B,).

    Never looser than the ELBO in expectation, and tighter with more draws.

    Args:
        num_samples: int, K, draws of z for each example.
        stick_the_landing: whether to drop from the gradient the part that runs through the
            parameters of q at fixed z. Its mean is 0 for K = 1, where this only removes noise,
            all of it once q is exact; for larger K it is biased.

    Example: `keras_vae.objectives.IWAE(num_samples=5)`.

    References: Burda et al. (arXiv:1509.00519), equation 8; Roeder et al., Sticking the Landing
    (arXiv:1703.09194).
    """

    def __init__(self, num_samples=5, stick_the_landing=False, **kwargs):
        super().__init__(**kwargs)
        self.num_samples = validation.positive_integer(
            num_samples, "num_samples", "the number of draws of z for an example"
        )
        self.stick_the_landing = stick_the_landing

    def loss(self, terms, step):
        """The loss of each example in nats, (B,)."""
        log_posterior = terms.log_posterior
        if self.stick_the_landing:
            fixed = keras.tree.map_structure(ops.stop_gradient, terms.q)
            log_posterior = terms.posterior.log_prob(fixed, terms.z)
        log_weights = terms.log_likelihood + terms.log_prior - log_posterior
        return math.log(self.num_samples) - ops.logsumexp(log_weights, axis=0)
