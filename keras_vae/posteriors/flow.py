"""A posterior run through flows."""

from keras import ops

from keras_vae import flows as flow_chain
from keras_vae.part import build_once, register
from keras_vae.posteriors.base import Posterior


@register
class NormalizingFlow(Posterior):
    """A simple posterior whose draws run through flows: q can take other shapes than a normal's.

    The KL has no closed form and is estimated from the draws.

    Args:
        base: the posterior to begin with, `DiagonalNormal(latent_dim)` or `FullNormal(…)`.
        flows: list of `keras_vae.flows`, run in order, the dimensions reversed after each. The
            encoder's features are their context.

    Returns a dict `q`: that of the base, and the `context`, (B, F).

    Example:

    ```python
    steps = [keras_vae.flows.Autoregressive() for _ in range(2)]
    posterior = keras_vae.posteriors.NormalizingFlow(
        keras_vae.posteriors.DiagonalNormal(8), steps
    )
    ```

    References: Rezende and Mohamed, Variational Inference with Normalizing Flows
    (arXiv:1505.05770); Kingma et al., Improved Variational Inference with Inverse Autoregressive
    Flow (arXiv:1606.04934).
    """

    def __init__(self, base, flows, **kwargs):
        super().__init__(**kwargs)
        self.base, self.flows = base, list(flows)
        self.latent_dim = base.latent_dim

    @property
    def invertible(self):
        """Whether log q(z|x) is known at any z, not only at draws."""
        return all(flow.invertible for flow in self.flows)

    def build(self, features_shape):
        build_once(self.base, features_shape)
        for flow in self.flows:
            build_once(flow, (None, self.latent_dim), features_shape)

    def call(self, features):
        return {**self.base(features), "context": ops.cast(features, "float32")}

    def mean(self, q):
        """The mean of the base, through the flows, (B, D)."""
        return flow_chain.forward(self.flows, self.base.mean(q), q["context"])[0]

    def sample(self, q, num_samples, seed):
        """`num_samples` reparameterised draws an example, (K, B, D)."""
        return self.draw(q, num_samples, seed)[0]

    def draw(self, q, num_samples, seed, step=None):
        """Draws (K, B, D) and their log q(z|x), (K, B)."""
        z, log_prob = self.base.draw(q, num_samples, seed, step)
        z, log_determinant = flow_chain.forward(self.flows, z, q["context"])
        return z, log_prob - log_determinant

    def log_prob(self, q, z):
        """log q(z|x) in nats, (K, B), by the inverse of the flows."""
        z, log_determinant = flow_chain.inverse(self.flows, z, q["context"])
        return self.base.log_prob(q, z) + log_determinant
