"""KL(q(z|x) || p(z)): in closed form where there is one, otherwise estimated from the draws."""

import itertools
import math
from collections.abc import Callable
from typing import Any

from keras import ops

from keras_vae import normal, sphere
from keras_vae.posteriors import Categorical, DiagonalNormal, FullNormal, VonMisesFisher
from keras_vae.priors import (
    DiagonalNormalDistribution,
    LearnedNormal,
    StandardNormal,
    UniformCategorical,
    UniformSphere,
)
from keras_vae.typing import Params, Tensor

_CLOSED_FORMS: dict[tuple[type, type], Callable] = {}

_DENSITY = {"log_prob", "log_prob_per_dim", "sample_and_log_prob"}
"""Methods that say what the density is: with one of them overridden, a closed form may be wrong."""


def closed_form(posterior_class: type, prior_class: type) -> Callable:
    """Registers `function(q, prior)` as the KL of a pair of classes; used as a decorator.

    The function returns (B,), or (B, D) where the KL is a sum over the dimensions of the code. Free
    bits then apply to each dimension.

    Subclasses keep the form of their parents. Of several forms the one with the nearest classes
    is used. A subclass that overrides `log_prob`, `log_prob_per_dim` or `sample_and_log_prob` has
    another density, so its KL is estimated from the draws, unless a form is registered for the
    subclass itself. Overriding `call`, `mean`, `sample` or `from_noise` does not matter: they
    change the parameters, or how a code is drawn, but not the density of given parameters.

    Args:
        posterior_class: Class of the posterior.
        prior_class: Class of the prior, or of what its `condition_on` returns.

    Returns:
        A decorator that returns the function unchanged.

    Example:

    ```python
    class MyPosterior(keras_vae.posteriors.Posterior): ...

    @keras_vae.divergences.closed_form(MyPosterior, keras_vae.priors.StandardNormal)
    def my_kl(q, prior):
        return ...   # (B,), nats
    ```
    """

    def decorate(function):
        _CLOSED_FORMS[posterior_class, prior_class] = function
        return function

    return decorate


def kl(posterior: Any, q: Params, prior: Any, log_posterior: Tensor, log_prior: Tensor) -> Tensor:
    """Computes KL(q || p) for each example in nats.

    Args:
        posterior, q, prior, log_posterior, log_prior: As for `kl_summands`.

    Returns:
        Tensor (B,).
    """
    return ops.sum(kl_summands(posterior, q, prior, log_posterior, log_prior), axis=-1)


def kl_summands(
    posterior: Any, q: Params, prior: Any, log_posterior: Tensor, log_prior: Tensor
) -> Tensor:
    """Computes KL(q || p) for each example in nats, by dimension where it is a sum over these.

    Args:
        posterior: The posterior; its class selects the closed form.
        q: What the posterior returned for the batch.
        prior: The prior; its class selects the closed form.
        log_posterior: log q(z|x) of the draws, (K, B), used where there is no closed form: the
            mean of its difference to `log_prior` is an unbiased estimate.
        log_prior: log p(z) of the draws, (K, B).

    Returns:
        Tensor (B, D), or (B, 1) where the KL is no sum over dimensions.
    """
    function = _find(type(posterior), type(prior))
    values = function(q, prior) if function else ops.mean(log_posterior - log_prior, axis=0)
    return values if len(values.shape) == 2 else values[:, None]


def _find(posterior_class: type, prior_class: type) -> Callable | None:
    """Returns the closed form of the nearest pair of classes, or None."""
    pairs = itertools.product(_same_density(posterior_class), _same_density(prior_class))
    steps = {(q, p): i + j for (i, q), (j, p) in pairs if (q, p) in _CLOSED_FORMS}
    return _CLOSED_FORMS[min(steps, key=steps.__getitem__)] if steps else None


def _same_density(cls: type) -> list[tuple[int, type]]:
    """Returns (steps up, class) for `cls` and those ancestors whose density it inherits."""
    found = []
    for steps, ancestor in enumerate(cls.__mro__):
        found.append((steps, ancestor))
        if _DENSITY & vars(ancestor).keys():
            break
    return found


@closed_form(DiagonalNormal, StandardNormal)
def _normal_from_standard_normal(q, prior):
    return normal.kl(q["mean"], q["log_variance"])


@closed_form(DiagonalNormal, LearnedNormal)
@closed_form(DiagonalNormal, DiagonalNormalDistribution)
def _normal_from_normal(q, prior):
    return normal.kl(q["mean"], q["log_variance"], prior.mean, prior.log_variance())


@closed_form(FullNormal, StandardNormal)
def _full_from_standard_normal(q, prior):
    return _full_kl(q, 0.0, ops.zeros_like(q["mean"]))


@closed_form(FullNormal, LearnedNormal)
@closed_form(FullNormal, DiagonalNormalDistribution)
def _full_from_normal(q, prior):
    return _full_kl(q, prior.mean, prior.log_variance())


def _full_kl(q, mean, log_variance):
    """Computes the KL of N(q.mean, L Lᵀ) from a diagonal normal."""
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
