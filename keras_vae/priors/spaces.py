"""The default prior on a space of codes."""

from typing import Any

from keras_vae.latent_space import SPHERE
from keras_vae.posteriors import Categorical
from keras_vae.priors.normal import StandardNormal
from keras_vae.priors.uniform import UniformCategorical, UniformSphere


def default(posterior: Any) -> Any:
    """Returns the parameter-free prior on the space of a posterior's codes.

    Args:
        posterior: A `keras_vae.posteriors.Posterior`.

    Returns:
        The posterior's `default_prior()` if it has one, else the uniform prior for classes and for
        the sphere, and `StandardNormal` for real codes.
    """
    if isinstance(posterior, Categorical):
        return UniformCategorical(posterior.num_classes)
    own = posterior.default_prior()
    return own or (UniformSphere() if posterior.space == SPHERE else StandardNormal())
