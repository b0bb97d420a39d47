"""Normalizing flows: invertible maps of codes, for posteriors and priors.

`forward` is the direction that training takes: from noise to code in a posterior, from code to
noise in a prior. Codes are (…, B, D), the context (B, F) or None, log-determinants (…, B).
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vae.part import Part, register, soft_clip
from keras_vae.typing import Shape, Tensor
from keras_vae.validation import positive_integer


def forward(
    flows: Sequence["Flow"], z: Tensor, context: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Runs z through all `flows`, reversing the dimensions after each.

    Args:
        flows: the flows, first to last.
        z: codes (…, B, D).
        context: Tensor (B, F) or None.

    Returns:
        Tuple of the codes (…, B, D) and log |det dz'/dz|, (…, B).
    """
    log_determinant = ops.zeros_like(z[..., 0])
    for flow in flows:
        z, change = flow.forward_and_log_det(z, context)
        z, log_determinant = ops.flip(z, axis=-1), log_determinant + change
    return z, log_determinant


def inverse(
    flows: Sequence["Flow"], z: Tensor, context: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Runs the inverse of `forward`.

    Args:
        flows: the flows, in the order of `forward`.
        z: what `forward` returns, (…, B, D).
        context: Tensor (B, F) or None.

    Returns:
        Tuple of the codes (…, B, D) and log |det| of the inverse, (…, B).
    """
    log_determinant = ops.zeros_like(z[..., 0])
    for flow in reversed(flows):
        z, change = flow.inverse_and_log_det(ops.flip(z, axis=-1), context)
        log_determinant = log_determinant + change
    return z, log_determinant


class Flow(Part):
    """Base of flows.

    A subclass gives `forward_and_log_det`, and, where it is `invertible`, `inverse_and_log_det`.

    `build(code_shape, context_shape)` is called by what holds the flow.
    """

    invertible = True

    def forward_and_log_det(
        self, z: Tensor, context: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Maps codes in the direction that training takes.

        Args:
            z: codes (…, B, D).
            context: Tensor (B, F) or None.

        Returns:
            Tuple of z', (…, B, D), and log |det dz'/dz|, (…, B).
        """
        raise NotImplementedError

    def inverse_and_log_det(
        self, z: Tensor, context: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Maps codes back.

        Args:
            z: what `forward_and_log_det` returns, (…, B, D).
            context: Tensor (B, F) or None.

        Returns:
            Tuple of the codes (…, B, D) and log |det| of the inverse, (…, B).
        """
        raise NotImplementedError

    def _layer(self, units, width, name, **options):
        layer = keras.layers.Dense(units, dtype=self.dtype_policy, name=name, **options)
        layer.build((None, width))
        return layer


@register
class Planar(Flow):
    """z + u tanh(wᵀz + b): pushes along one direction. u, w and b are linear in the context.

    It has no inverse in closed form: for posteriors only.

    Example: `keras_vae.flows.Planar()`.

    Reference: Rezende and Mohamed (arXiv:1505.05770), equations 10 to 12 and appendix A.1.
    """

    invertible = False

    def build(self, code_shape: Shape, context_shape: Shape | None = None) -> None:
        self.latent_dim = code_shape[-1]
        width = context_shape[-1] if context_shape else 1
        self.parameters_layer = self._layer(2 * self.latent_dim + 1, width, "parameters")

    def forward_and_log_det(
        self, z: Tensor, context: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        context = ops.ones((1, 1)) if context is None else context
        d = self.latent_dim
        u, w, b = ops.split(self.parameters_layer(context), [d, 2 * d], axis=-1)
        product = ops.sum(u * w, axis=-1, keepdims=True)
        wanted = ops.softplus(product) - 0.999  # invertible while uᵀw > -1
        u = u + (wanted - product) * w / (ops.sum(ops.square(w), axis=-1, keepdims=True) + 1e-8)
        h = ops.tanh(ops.sum(w * z, axis=-1, keepdims=True) + b)
        return z + u * h, ops.log1p(wanted * (1.0 - ops.square(h)))[..., 0]


class _Affine(Flow):
    """Base of flows z · exp(s) + m whose m and s depend on other dimensions and the context."""

    def __init__(self, units: int = 64, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = positive_integer(units, "units", "the width of the hidden layers")

    def _split(self, parameters):
        shift, log_scale = ops.split(parameters, 2, axis=-1)
        return shift, soft_clip(log_scale, 2.0, 2.0)


@register
class Coupling(_Affine):
    """RealNVP: the second half of the dimensions, scaled and shifted by a function of the first.

    Both directions take one pass.

    Args:
        units: width of its two hidden layers.

    Example: `keras_vae.flows.Coupling(units=64)`.

    Reference: Dinh et al., Density Estimation Using Real NVP (arXiv:1605.08803), section 3.
    """

    def build(self, code_shape: Shape, context_shape: Shape | None = None) -> None:
        self.kept = code_shape[-1] // 2
        changed = code_shape[-1] - self.kept
        width = self.kept + (context_shape[-1] if context_shape else 0)
        self.first = self._layer(self.units, width, "first", activation="relu")
        self.second = self._layer(self.units, self.units, "second", activation="relu")
        self.last = self._layer(2 * changed, self.units, "last", kernel_initializer="zeros")

    def forward_and_log_det(
        self, z: Tensor, context: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        kept, changed = z[..., : self.kept], z[..., self.kept :]
        shift, log_scale = self._affine(kept, context)
        changed = changed * ops.exp(log_scale) + shift
        return ops.concatenate([kept, changed], axis=-1), ops.sum(log_scale, axis=-1)

    def inverse_and_log_det(
        self, z: Tensor, context: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        kept, changed = z[..., : self.kept], z[..., self.kept :]
        shift, log_scale = self._affine(kept, context)
        changed = (changed - shift) * ops.exp(-log_scale)
        return ops.concatenate([kept, changed], axis=-1), -ops.sum(log_scale, axis=-1)

    def _affine(self, kept, context):
        if context is not None:
            shape = (*ops.shape(kept)[:-1], context.shape[-1])
            kept = ops.concatenate([kept, ops.broadcast_to(context, shape)], axis=-1)
        return self._split(self.last(self.second(self.first(kept))))


@register
class Autoregressive(_Affine):
    """Each dimension scaled and shifted by a function of those before it, by masked layers.

    Forward takes one pass and inverse D: an inverse autoregressive flow (IAF) in a posterior, a
    masked autoregressive flow (MAF) in a prior.

    Args:
        units: width of its two hidden layers.

    Example: `keras_vae.flows.Autoregressive(units=64)`.

    References: Kingma et al. (arXiv:1606.04934); Papamakarios et al., Masked Autoregressive Flow
    (arXiv:1705.07057); Germain et al., MADE (arXiv:1502.03509), section 4.
    """

    def build(self, code_shape: Shape, context_shape: Shape | None = None) -> None:
        d, units = code_shape[-1], self.units
        self.latent_dim = d
        inputs, hidden = np.arange(d), np.arange(units) % max(d - 1, 1)
        outputs = np.tile(inputs, 2)
        self.masks = tuple(
            mask.astype("float32")
            for mask in (
                inputs[:, None] <= hidden if d > 1 else np.zeros((1, units)),
                hidden[:, None] <= hidden,
                hidden[:, None] < outputs,
            )
        )
        self.kernels = [
            self.add_weight(name=f"kernel_{i}", shape=mask.shape, initializer=initializer)
            for i, (mask, initializer) in enumerate(
                zip(self.masks, ("glorot_uniform", "glorot_uniform", "zeros"), strict=True)
            )
        ]
        self.biases = [
            self.add_weight(name=f"bias_{i}", shape=(mask.shape[1],), initializer="zeros")
            for i, mask in enumerate(self.masks)
        ]
        if context_shape:
            self.context_layer = self._layer(units, context_shape[-1], "context", use_bias=False)
            self.direct_layer = self._layer(
                2 * d, context_shape[-1], "direct", use_bias=False, kernel_initializer="zeros"
            )

    def forward_and_log_det(
        self, z: Tensor, context: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        shift, log_scale = self(z, context)
        return z * ops.exp(log_scale) + shift, ops.sum(log_scale, axis=-1)

    def inverse_and_log_det(
        self, z: Tensor, context: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        x = z
        for _ in range(self.latent_dim):  # the i-th pass makes the i-th dimension right
            shift, log_scale = self(x, context)
            x = (z - shift) * ops.exp(-log_scale)
        return x, -ops.sum(log_scale, axis=-1)

    def call(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Computes by how much each dimension is shifted and scaled.

        This is a Keras call, in which weights stay float32 under a half-precision model.

        Args:
            z: codes (…, B, D).
            context: Tensor (B, F) or None.

        Returns:
            Tuple of the shift and the logarithm of the scale, (…, B, D) each.
        """
        first, second, last = (
            (kernel * ops.convert_to_tensor(mask), bias)
            for kernel, mask, bias in zip(self.kernels, self.masks, self.biases, strict=True)
        )
        hidden = ops.matmul(z, first[0]) + first[1]
        direct = 0.0
        if context is not None:
            hidden = hidden + self.context_layer(context)
            direct = self.direct_layer(context)
        hidden = ops.relu(ops.matmul(ops.relu(hidden), second[0]) + second[1])
        return self._split(ops.matmul(hidden, last[0]) + last[1] + direct)
