"""How much larger one gradient is than another at the last layer of a decoder."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import keras
from keras import ops

from keras_vae import autodiff, replicas
from keras_vae.batch import Batch
from keras_vae.objectives import LossTerms
from keras_vae.penalties import Perceptual
from keras_vae.typing import Tensor

if TYPE_CHECKING:
    from keras_vae.model import VAE

_LARGEST = 1e4
_SMALLEST_NORM = 1e-4


def gradient_ratio(
    vae: "VAE",
    batch: Batch,
    density: Callable[..., Tensor],
    terms: LossTerms,
    penalty: Callable[[Tensor], Tensor],
) -> Tensor:
    """Computes the adaptive weight of an adversarial penalty.

    It is the norm of the gradient of the reconstruction loss over that of the penalty, both by the
    weights of the decoder's last layer, and has no gradient itself. Over replicas it is that of the
    whole batch.

    Args:
        vae: the model.
        batch: the batch of the step.
        density: log p(target|params), as `VAE._terms` takes it.
        terms: what the step knows of the batch.
        penalty: function of reconstructions (B, …) to values (B,).

    Returns:
        A scalar tensor between 0 and 10,000; 0 where a gradient overflows in half precision.

    Reference: Esser et al., Taming Transformers (arXiv:2012.09841), equation 7.
    """
    kernel, step = last_kernel(vae.decoder), vae.optimizer_step()
    perceptual = [part for part in vae.penalties if isinstance(part, Perceptual)]

    def both(value):
        params = _decoded(vae, kernel, value, ops.stop_gradient(terms.z), batch.condition)
        image = vae._reconstruction(batch, params[0])
        log_likelihood = density(batch.target, params, mask=batch.target_mask)
        seen = terms._replace(reconstruction=lambda: image)
        losses = [part.loss(seen, step) for part in perceptual]
        reconstruction = sum(losses, -ops.mean(log_likelihood, axis=0))
        values = (reconstruction, penalty(image))
        return [replicas.replica_loss(value, terms.weights) for value in values]

    gradients = replicas.all_sum(autodiff.gradients(both, ops.convert_to_tensor(kernel)))
    first, second = (ops.sqrt(ops.sum(ops.square(ops.cast(g, "float32")))) for g in gradients)
    ratio = ops.clip(first / (second + _SMALLEST_NORM), 0.0, _LARGEST)
    is_finite = ops.logical_and(ops.isfinite(first), ops.isfinite(second))
    return ops.stop_gradient(ops.where(is_finite, ratio, 0.0))


def last_kernel(decoder: keras.Layer) -> keras.Variable:
    """Returns the weights of a decoder's last layer, without its bias."""
    return [variable for variable in decoder.variables if len(variable.shape) > 1][-1]


def _decoded(vae, kernel, value, z, condition):
    """What the decoder emits for draws (K, B, D), with another value of one of its weights."""
    fixed = [(v, ops.stop_gradient(v)) for v in vae.decoder.variables if v is not kernel]
    with keras.StatelessScope([(kernel, value), *fixed]):
        return vae._decode_draws(z, condition, training=False)
