"""KL(q(z|x) || p(z)): in closed form where there is one, else from the draws."""

import math

from keras import ops

from keras_vae import sphere
from keras_vae.posteriors import Categorical, DiagonalNormal, FullNormal, VonMisesFisher
from keras_vae.priors import (
    LearnedNormal,
    NormalGiven,
    StandardNormal,
    UniformCategorical,
    UniformSphere,
)

_CLOSED_FORMS = {}


def closed_form(posterior_class, prior_class):
    """Decorator: registers `function(q, prior)` as the KL of this pair of classes.

    The function returns (B,), or (B, D) where the KL is a sum over the dimensions of the code:
    then free bits count each of them.

    Example:

    ```python
    @keras_vae.divergences.closed_form(MyPosterior, keras_vae.priors.StandardNormal)
    def my_kl(q, prior):
        return ...   # (B,), nats
    ```
    """

    def decorate(function):
        _CLOSED_FORMS[posterior_class, prior_class] = function
        return function

    return decorate


def kl(posterior, q, prior, log_posterior, log_prior):
    """KL(q || p) per example in nats, (B,). Args as in `kl_summands`."""
    return ops.sum(kl_summands(posterior, q, prior, log_posterior, log_prior), axis=-1)


def kl_summands(posterior, q, prior, log_posterior, log_prior):
    """KL(q || p) per example in nats, split by dimension where it is a sum: (B, D), else (B, 1).

    Args:
        posterior, prior: the parts; their exact classes select the closed form.
        q: what the posterior returned for the batch.
        log_posterior, log_prior: (K, B) log-densities of the draws, used where there is no
            closed form: the mean of their difference is an unbiased estimate.
    """
    function = _CLOSED_FORMS.get((type(posterior), type(prior)))
    function = function or (lambda q, prior: ops.mean(log_posterior - log_prior, axis=0))
    values = function(q, prior)
    return values if len(values.shape) == 2 else values[:, None]


@closed_form(DiagonalNormal, StandardNormal)
def _normal_from_standard_normal(q, prior):
    mean, log_variance = q["mean"], q["log_variance"]
    return 0.5 * (ops.exp(log_variance) + ops.square(mean) - 1.0 - log_variance)


@closed_form(DiagonalNormal, LearnedNormal)
@closed_form(DiagonalNormal, NormalGiven)
def _normal_from_normal(q, prior):
    difference = q["log_variance"] - prior.log_variance()
    square = ops.square(q["mean"] - prior.mean) * ops.exp(-prior.log_variance())
    return 0.5 * (ops.exp(difference) + square - 1.0 - difference)


@closed_form(FullNormal, StandardNormal)
def _full_from_standard_normal(q, prior):
    return _full_kl(q, 0.0, 0.0 * q["mean"])


@closed_form(FullNormal, LearnedNormal)
@closed_form(FullNormal, NormalGiven)
def _full_from_normal(q, prior):
    return _full_kl(q, prior.mean, prior.log_variance())


def _full_kl(q, mean, log_variance):
    """Of N(q.mean, L Lᵀ) from a diagonal normal."""
    log_diagonal = ops.log(ops.diagonal(q["scale"], axis1=1, axis2=2))
    spread = ops.sum(ops.square(q["scale"]), axis=-1) + ops.square(q["mean"] - mean)
    terms = spread * ops.exp(-log_variance) - 1.0 + log_variance - 2.0 * log_diagonal
    return 0.5 * ops.sum(terms, axis=-1)


@closed_form(Categorical, UniformCategorical)
def _categorical_from_uniform(q, prior):
    entropy = -ops.sum(ops.exp(q["log_probs"]) * q["log_probs"], axis=-1)
    return math.log(prior.num_classes) - entropy


@closed_form(VonMisesFisher, UniformSphere)
def _von_mises_fisher_from_uniform(q, prior):
    log_concentration, dim = q["log_concentration"], prior.latent_dim
    apart = ops.exp(log_concentration) * sphere.mean_versine(log_concentration, dim)
    return sphere.log_surface(dim) - sphere.log_normaliser(log_concentration, dim) - apart
