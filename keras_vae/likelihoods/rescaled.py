"""A likelihood of standardised values whose density is that of the original ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_vae.likelihoods.base import Likelihood
from keras_vae.part import build_once, register
from keras_vae.typing import Seed, Shape, Tensor


@register
class Rescaled(Likelihood):
    """Another likelihood, whose x was divided by a scale: its density in the original units.

    Values, means and samples stay as the other likelihood has them. Only log-densities change, by
    the logarithm of the Jacobian, -log(scale) for each observed value, so that they are in nats of
    the data before it was scaled.

    Args:
        likelihood: of the scaled values.
        scale: one positive number for each feature of the last axis: how many units of the data
            make one of x; 1 for classes and counts.

    Example: `keras_vae.likelihoods.Rescaled(keras_vae.likelihoods.Normal(), scale=[9.5, 120.0])`.

    Reference: Bishop, Pattern Recognition and Machine Learning, equation 1.27.
    """

    def __init__(self, likelihood: Likelihood, scale: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.likelihood = likelihood
        self.scale = [float(number) for number in np.ravel(scale)]
        if np.ndim(scale) != 1 or not all(0 < number < np.inf for number in self.scale):
            raise ValueError(
                "`scale` must be one positive number for each feature: how many units of the data "
                f"make one of x. Received: scale={scale!r:.100}"
            )
        self.log_scale = np.log(np.array(self.scale)).astype("float32")
        self.independent = likelihood.independent
        self.params_per_feature = likelihood.params_per_feature

    def build(self, params_shape: Shape) -> None:
        build_once(self.likelihood, params_shape)

    def feature_log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        return self.likelihood.feature_log_prob(x, params) - ops.convert_to_tensor(self.log_scale)

    def log_prob(self, x: Tensor, params: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.likelihood.log_prob(x, params, mask) - self._log_volume(x, mask)

    def training_log_prob(
        self, x: Tensor, params: Tensor, weights: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        density = self.likelihood.training_log_prob(x, params, weights, mask)
        return density - self._log_volume(x, mask)

    def _log_volume(self, x, mask):
        """The sum of log(scale) over what is observed of each example, (B,)."""
        seen = ops.ones_like(x, "float32") if mask is None else ops.cast(mask, "float32")
        return ops.sum(
            seen * ops.convert_to_tensor(self.log_scale), axis=tuple(range(1, len(x.shape)))
        )

    def filled(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.likelihood.filled(x, mask)

    def as_input(self, x: Tensor) -> Tensor:
        return self.likelihood.as_input(x)

    def mean(self, params: Tensor) -> Tensor:
        return self.likelihood.mean(params)

    def mixture_mean(self, params: Tensor, shares: Tensor) -> Tensor:
        return self.likelihood.mixture_mean(params, shares)

    def sample(self, params: Tensor, seed: Seed) -> Tensor:
        return self.likelihood.sample(params, seed)

    def example_shape(self, params_shape: tuple[int, ...]) -> tuple[int, ...]:
        shape = self.likelihood.example_shape(params_shape)
        if shape[-1] != len(self.scale):
            raise ValueError(
                f"`scale` must have {shape[-1]} numbers, one for each feature that the decoder "
                f"emits parameters for. Received: {len(self.scale)} numbers"
            )
        return shape

    def params_shape(self, example_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.likelihood.params_shape(example_shape)

    def in_support(self, x: Tensor) -> Tensor:
        return self.likelihood.in_support(x)

    def to_edge(self, x: Tensor, reach: float = 0.1) -> Tensor:
        return self.likelihood.to_edge(x, reach)

    def check_support(self, x: np.ndarray, argument: str = "x") -> None:
        self.likelihood.check_support(x, argument)
