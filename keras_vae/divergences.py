"""KL(q(z|x) || p(z)): in closed form where there is one, else from the draws."""

from keras import ops

from keras_vae.posteriors import DiagonalNormal
from keras_vae.priors import LearnedNormal, StandardNormal

_CLOSED_FORMS = {}


def closed_form(posterior_class, prior_class):
    """Decorator: registers `function(q, prior) -> (B,)` as the KL of this pair of classes.

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
    """KL(q || p) per example in nats, (B,).

    Args:
        posterior, prior: the parts; their exact classes select the closed form.
        q: what the posterior returned for the batch.
        log_posterior, log_prior: (K, B) log-densities of the draws, used where there is no
            closed form: the mean of their difference is an unbiased estimate.
    """
    function = _CLOSED_FORMS.get((type(posterior), type(prior)))
    if function is not None:
        return function(q, prior)
    return ops.mean(log_posterior - log_prior, axis=0)


@closed_form(DiagonalNormal, StandardNormal)
def _normal_from_standard_normal(q, prior):
    mean, log_variance = q["mean"], q["log_variance"]
    return 0.5 * ops.sum(ops.exp(log_variance) + ops.square(mean) - 1.0 - log_variance, axis=-1)


@closed_form(DiagonalNormal, LearnedNormal)
def _normal_from_learned_normal(q, prior):
    difference = q["log_variance"] - prior.log_variance()
    square = ops.square(q["mean"] - prior.mean) * ops.exp(-prior.log_variance())
    return 0.5 * ops.sum(ops.exp(difference) + square - 1.0 - difference, axis=-1)
