"""Log-likelihoods in units that compare."""

import math
from collections.abc import Sequence

import numpy as np
from keras import ops

from keras_vae.typing import Tensor


def bits_per_dim(log_prob: Tensor, example_shape: Sequence[int]) -> np.ndarray | np.floating:
    """Converts log-likelihoods in nats per example to bits per dimension, the lower the better.

    They are comparable between image sizes where the likelihood is that of discrete levels, as of
    `DiscretizedLogistic`.

    Args:
        log_prob: (N,) or a number, such as `vae.log_likelihood(x)`.
        example_shape: shape of an example, `x.shape[1:]`.

    Returns:
        NumPy array like `log_prob`, or a number.

    Example: `bits_per_dim(vae.log_likelihood(x), x.shape[1:]).mean()`.

    Reference: Theis et al., A Note on the Evaluation of Generative Models (arXiv:1511.01844).
    """
    return -ops.convert_to_numpy(log_prob) / (math.prod(example_shape) * math.log(2.0))
