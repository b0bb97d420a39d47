"""A posterior run through flows."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from keras_vae import flows as flow_chain
from keras_vae.part import build_once, register
from keras_vae.posteriors.base import Posterior, float32, is_several
from keras_vae.typing import Params, Seed, Shape, Tensor


@register
class NormalizingFlow(Posterior):
    """A simple posterior whose samples run through flows, so q need not be a normal.

    The KL has no closed form and is estimated from the draws.

    Args:
        base: The posterior to begin with, `DiagonalNormal(latent_dim)` or `FullNormal(…)`.
        flows: Sequence of `keras_vae.flows`, run in order, with the dimensions reversed after each.
            The encoder's features are their context. If the encoder returns a mean and a
            log-variance, the two together are the context.
        name, dtype: As for `Posterior`.

    Call arguments:
        features: What `base` takes.

    Returns:
        A dict `q` with the parameters of the base and the `context`, (B, F), float32.

    Raises:
        ValueError: If the base does not take what the encoder returns.

    Example:

    ```python
    steps = [keras_vae.flows.Autoregressive() for _ in range(2)]
    posterior = keras_vae.posteriors.NormalizingFlow(
        keras_vae.posteriors.DiagonalNormal(8), steps
    )
    ```

    References:
        Rezende and Mohamed, Variational Inference with Normalizing Flows (arXiv:1505.05770);
        Kingma et al., Improved Variational Inference with Inverse Autoregressive Flow
        (arXiv:1606.04934).
    """

    def __init__(self, base: Posterior, flows: Sequence, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.base, self.flows = base, list(flows)
        self.latent_dim = base.latent_dim

    @property
    def invertible(self) -> bool:
        """Returns whether log q(z|x) is known at any z, not only at samples."""
        return all(flow.invertible for flow in self.flows)

    def build(self, features_shape: Shape) -> None:
        """Builds the base and the flows."""
        build_once(self.base, features_shape)
        several = is_several(features_shape)
        context_shape = (None, 2 * self.latent_dim) if several else features_shape
        for flow in self.flows:
            build_once(flow, (None, self.latent_dim), context_shape)

    def call(self, features: Tensor) -> Params:
        several = is_several(features)
        context = ops.concatenate(list(features[:2]), axis=-1) if several else features
        return {**self.base(features), "context": float32(context)}

    def mean(self, q: Params) -> Tensor:
        """Returns the mean of the base, mapped through the flows, (B, D)."""
        return flow_chain.forward(self.flows, self.base.mean(q), q["context"])[0]

    def sample(self, q: Params, num_samples: int, seed: Seed) -> Tensor:
        """Draws reparameterised samples (K, B, D)."""
        return self.sample_and_log_prob(q, num_samples, seed)[0]

    def sample_and_log_prob(
        self, q: Params, num_samples: int, seed: Seed, step: Tensor = None
    ) -> tuple[Tensor, Tensor]:
        """Draws samples (K, B, D) and computes their log q(z|x), (K, B)."""
        return self._through(q, *self.base.sample_and_log_prob(q, num_samples, seed, step))

    def score_draws(self, q: Params, num_samples: int) -> tuple[Tensor, Tensor]:
        """Maps the base's fixed draws through the flows; returns them and their log density."""
        return self._through(q, *self.base.score_draws(q, num_samples))

    def _through(self, q: Params, z: Tensor, log_prob: Tensor) -> tuple[Tensor, Tensor]:
        z, log_determinant = flow_chain.forward(self.flows, z, q["context"])
        return z, log_prob - log_determinant

    def log_prob(self, q: Params, z: Tensor) -> Tensor:
        """Computes log q(z|x) in nats, (K, B), through the inverse of the flows."""
        z, log_determinant = flow_chain.inverse(self.flows, z, q["context"])
        return self.base.log_prob(q, z) + log_determinant
