"""What is minimised, per example and in nats."""

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
