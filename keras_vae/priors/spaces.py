"""Which prior is the default on a space of codes."""

from keras_vae.posteriors import Categorical
from keras_vae.priors.normal import StandardNormal
from keras_vae.priors.uniform import UniformCategorical, UniformSphere


def default(posterior):
    """The parameter-free prior on the space of a posterior's codes."""
    if isinstance(posterior, Categorical):
        return UniformCategorical(posterior.num_classes)
    own = posterior.default_prior()
    return own or (UniformSphere() if posterior.space == "sphere" else StandardNormal())
