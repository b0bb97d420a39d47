"""What a trained model is for, as functions of (vae, batch): codes, reconstructions, scores.

Traced and backend-free; the methods of `VAE` run them over data in batches. Shapes: K draws, B
examples, D latent dimensions.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from keras_vae import random
from keras_vae.batch import Batch
from keras_vae.part import argmax
from keras_vae.posteriors import DiagonalNormal
from keras_vae.typing import Params, Tensor

if TYPE_CHECKING:
    from keras_vae.model import VAE


def with_noise(function: Callable) -> Callable:
    """Marks a function that draws noise, which goes on from batch to batch."""
    function.draws_noise = True  # type: ignore[attr-defined]
    return function


def posterior(vae: "VAE", batch: Batch) -> Params:
    """Returns the parameters of q(z|x), a dict of tensors."""
    return vae._infer(batch)


def finite_input(vae: "VAE", batch: Batch) -> Tensor:
    """Returns whether the input and the condition of each example are finite, (B,)."""
    good = _finite(batch.x)
    return good if batch.condition is None else good & _finite(batch.condition)


def _finite(values):
    is_float = "float" in keras.backend.standardize_dtype(values.dtype)
    return all_of_each(ops.isfinite(values) if is_float else ops.equal(values, values))


def all_of_each(values: Tensor) -> Tensor:
    """Returns whether all booleans of each example, (B, …), are True: (B,)."""
    return ops.all(values, axis=tuple(range(1, len(values.shape))))


def encoded(vae: "VAE", batch: Batch) -> dict[str, Any]:
    """Returns what fitting a prior needs of a batch: `q`, and `condition` and `weights` if any."""
    found = {"q": vae._infer(batch), "condition": batch.condition, "weights": batch.weights}
    return {name: value for name, value in found.items() if value is not None}


def mean_code(vae: "VAE", batch: Batch) -> Tensor:
    """Returns one code for each example that stands for q(z|x), (B, D)."""
    return vae.posterior.mean(vae._infer(batch))


def tokens(vae: "VAE", batch: Batch) -> Tensor:
    """Returns the codes of each example, int32 (B, L), of a quantised posterior."""
    return ops.cast(vae.posterior.codes_of(vae._infer(batch)), "int32")


@with_noise
def sample_code(vae: "VAE", batch: Batch) -> Tensor:
    """Returns one draw from q(z|x) for each example, (B, D)."""
    return vae._draw(batch, 1)["z"][0]


def decode(vae: "VAE", batch: Batch) -> Tensor:
    """Returns the mean of p(x|z), (B, …), for codes, which are the batch's x."""
    return vae.likelihood.mean(decoded(vae, batch))


@with_noise
def decode_sample(vae: "VAE", batch: Batch) -> Tensor:
    """Returns a draw from p(x|z), (B, …), for codes, which are the batch's x."""
    return vae.likelihood.sample(decoded(vae, batch), vae._eval_noise)


def decoded(vae: "VAE", batch: Batch) -> Tensor:
    """Returns what the decoder emits for codes, (B, …)."""
    return vae._decode_draws(batch.x[None], batch.condition)[0]


def generate(vae: "VAE", batch: Batch) -> Tensor:
    """Returns the mean of p(x|z), (B, …), at the draws from the prior that noise stands for."""
    z = vae._prior_for(batch.condition).from_noise(batch.x)
    return decode(vae, batch._replace(x=z))


def reconstruct(vae: "VAE", batch: Batch) -> Tensor:
    """Returns the mean of p(x|z) at the mean code of each example, (B, …)."""
    return decode(vae, batch._replace(x=mean_code(vae, batch)))


def elbo(vae: "VAE", batch: Batch, num_samples: int) -> Tensor:
    """Computes the evidence lower bound of each example in nats, (B,), at draws that rows share."""
    terms = _scored(vae, batch, num_samples)
    return ops.mean(terms.log_likelihood, axis=0) - terms.kl


@with_noise
def diagnosis(vae: "VAE", batch: Batch, num_samples: int) -> dict[str, Tensor]:
    """Returns what `diagnose` needs of each example: scores, and one draw of its own."""
    terms = _scored(vae, batch, num_samples)
    found = {
        "log_likelihood": ops.mean(terms.log_likelihood, axis=0),
        "kl": terms.kl_summands,
        "mean": mean_code(vae, batch),
    }
    if isinstance(vae.posterior, DiagonalNormal):
        one, _ = _evaluate(vae, batch, 1)
        found |= {"log_variance": one.q["log_variance"]}
        found |= {"z": one.z[0], "log_prior": one.log_prior[0]}
    return found


def _scored(vae, batch, num_samples):
    """The `LossTerms` of a batch at draws that depend on nothing but each row's own q(z|x)."""
    draws = vae._score_draws(batch, num_samples)
    batch = batch._replace(target=vae.likelihood.to_edge(batch.target))
    return vae._terms(batch, draws, vae.likelihood.log_prob)


@with_noise
def log_weight(vae: "VAE", batch: Batch, num_samples: int) -> Tensor:
    """Computes log Σ_k p(x, z_k) / q(z_k|x), (B,)."""
    return ops.logsumexp(_log_weights(vae, batch, num_samples)[0], axis=0)


@with_noise
def impute(vae: "VAE", batch: Batch, num_samples: int) -> Tensor:
    """Returns the mean of x given its observed entries, (B, …), from weighted draws of z."""
    log_weights, params = _log_weights(vae, batch, num_samples)
    shares = ops.exp(log_weights - ops.logsumexp(log_weights, axis=0))  # of one draw too
    return vae.likelihood.mixture_mean(params, shares)


@with_noise
def impute_draws(
    vae: "VAE", batch: Batch, num_samples: int, num_imputations: int
) -> dict[str, Tensor]:
    """Draws x given its observed entries: z by importance resampling, then x from p(x|z).

    Returns:
        A dict of `x`, (B, M, …), and the effective number of the draws of z,
            `effective_sample_size`, (B,).
    """
    log_weights, params = _log_weights(vae, batch, num_samples)
    log_shares = ops.transpose(ops.log_softmax(log_weights, axis=0))  # (B, K)
    shape = (ops.shape(log_shares)[0], num_imputations, num_samples)
    noise = random.gumbel(random.uniform(shape, vae._eval_noise))
    chosen = ops.one_hot(argmax(log_shares[:, None] + noise), num_samples)  # (B, M, K)
    flat = ops.reshape(params, (num_samples, shape[0], -1))
    picked = ops.matmul(chosen, ops.transpose(flat, (1, 0, 2)))
    picked = ops.reshape(picked, (-1, *params.shape[2:]))
    x = vae.likelihood.sample(picked, vae._eval_noise)
    return {
        "x": ops.reshape(x, (shape[0], num_imputations, *x.shape[1:])),
        "effective_sample_size": 1.0 / ops.sum(ops.exp(2.0 * log_shares), axis=-1),
    }


def feature_loss(vae: "VAE", batch: Batch, num_samples: int) -> Tensor:
    """Returns -log p(x|z) of each entry in nats, (B, …), averaged over draws from q(z|x).

    It is 0 where the target mask is False, so that entries add up to the reconstruction loss.
    """
    draws = vae._score_draws(batch, num_samples)
    target = vae.likelihood.to_edge(batch.target)
    found = -ops.mean(vae.likelihood.feature_log_prob(target, draws["params"]), axis=0)
    return found if batch.target_mask is None else ops.where(batch.target_mask, found, 0.0)


def _log_weights(vae, batch, num_samples):
    """Returns log p(x, z) - log q(z|x) of draws of z, (K, B), and the decoder's outputs."""
    terms, params = _evaluate(vae, batch, num_samples)
    return terms.log_likelihood + terms.log_prior - terms.log_posterior, params


def _evaluate(vae, batch, num_samples):
    """The `LossTerms` of a batch, and the decoder's output for the draws."""
    draws = vae._draw(batch, num_samples)
    return vae._terms(batch, draws, vae.likelihood.log_prob), draws["params"]
