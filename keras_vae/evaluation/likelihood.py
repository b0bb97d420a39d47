"""Log-likelihoods in units that compare."""

import math

from keras import ops


def bits_per_dim(log_prob, example_shape):
    """Log-likelihoods in nats an example as bits per dimension, the lower the better.

    Comparable between image sizes where the likelihood is that of discrete levels, as of
    `DiscretizedLogistic`.

    Args:
        log_prob: (N,) or a number, such as `vae.log_likelihood(x)`.
        example_shape: shape of an example, `x.shape[1:]`.

    Example: `bits_per_dim(vae.log_likelihood(x), x.shape[1:]).mean()`.

    Reference: Theis et al., A Note on the Evaluation of Generative Models (arXiv:1511.01844).
    """
    return -ops.convert_to_numpy(log_prob) / (math.prod(example_shape) * math.log(2.0))
