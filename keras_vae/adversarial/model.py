"""The model that is trained together with a discriminator."""

import functools
from typing import Any

import keras

from keras_vae.adversarial.balance import gradient_ratio
from keras_vae.adversarial.base import Opponent
from keras_vae.adversarial.optimizers import paired
from keras_vae.model import VAE
from keras_vae.part import register


@register
class AdversarialVAE(VAE):
    """A `VAE` one of whose penalties is an `Opponent`, with an optimizer for its discriminator.

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
    def adversary(self) -> Opponent:
        """Returns the one penalty with a discriminator."""
        return _only_opponent(self.penalties)

    def _check_parts(self):
        _only_opponent(self.penalties)
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

    def _terms(self, batch, y_pred, density, weights=None, training=False):
        terms = super()._terms(batch, y_pred, density, weights, training)
        ratio = functools.partial(gradient_ratio, self, batch, density, terms)
        return terms._replace(gradient_ratio=ratio)

    def _opponents_share(self, terms, training):
        return self.adversary.discriminator_loss(terms, training)


def _only_opponent(penalties):
    found = [part for part in penalties if isinstance(part, Opponent)]
    if len(found) != 1:
        raise ValueError(
            "`penalties` must have exactly one with a discriminator, which the second "
            f"optimizer trains; without one, use `VAE`. Received: penalties={penalties}"
        )
    return found[0]
