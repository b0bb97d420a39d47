"""A standard normal run through flows."""

from collections.abc import Sequence
from typing import Any

from keras_vae import flows as flow_chain
from keras_vae import normal
from keras_vae.part import build_once, register
from keras_vae.priors.base import Prior
from keras_vae.typing import Shape, Tensor


@register
class FlowPrior(Prior):
    """p(z) = N(f(z); 0, I) |det df/dz|, f a chain of flows learned with the network.

    With `flows.Coupling` it is a RealNVP, from which sampling is fast; with `flows.Autoregressive`
    it is a masked autoregressive flow. Its KL has no closed form and is estimated from the draws.

    Args:
        flows: Sequence of invertible `keras_vae.flows`, from code to noise; by default four
            `Coupling()`. The dimensions are reversed after each.
        name, dtype: As for `Prior`.

    Raises:
        ValueError: If a flow has no inverse.

    Example:

    ```python
    prior = keras_vae.priors.FlowPrior([keras_vae.flows.Coupling() for _ in range(4)])
    ```

    References:
        Dinh et al., Density Estimation Using Real NVP (arXiv:1605.08803); Chen et al., Variational
        Lossy Autoencoder (arXiv:1611.02731), section 3.2.
    """

    def __init__(self, flows: Sequence | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.flows = [flow_chain.Coupling() for _ in range(4)] if flows is None else list(flows)
        unfit = [type(flow).__name__ for flow in self.flows if not flow.invertible]
        if unfit:
            raise ValueError(
                "`flows` must be invertible, Coupling or Autoregressive, because draws run "
                f"through their inverse. Received: {', '.join(unfit)}"
            )

    def build(self, code_shape: Shape) -> None:
        """Builds the flows."""
        super().build(code_shape)
        for flow in self.flows:
            build_once(flow, code_shape)

    def log_prob(self, z: Tensor) -> Tensor:
        """Computes log p(z) in nats, (K, B) for z of (K, B, D)."""
        noise, log_determinant = flow_chain.forward(self.flows, z)
        return normal.log_prob(noise, 0.0, 0.0) + log_determinant

    def from_noise(self, noise: Tensor, temperature: Any = 1.0) -> Tensor:
        """Maps noise with the standard deviation `temperature` to samples (N, D)."""
        return flow_chain.inverse(self.flows, temperature * noise)[0]
