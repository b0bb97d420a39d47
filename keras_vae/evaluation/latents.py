"""What the latent code carries: units in use, and the KL taken apart."""

import numpy as np
from keras import ops

from keras_vae import normal

_PAIRS = 4_000_000  # densities held at a time


def active_units(codes: np.ndarray, threshold: float = 0.01) -> int:
    """Counts the latent dimensions in use: those whose posterior means vary over the data.

    Args:
        codes: (N, D), posterior means, `vae.encode(x)`.
        threshold: the variance over the data from which on a dimension counts.

    Returns:
        The number of dimensions.

    Example: `active_units(vae.encode(x_test))`.

    Reference: Burda et al., Importance Weighted Autoencoders (arXiv:1509.00519), section 5.2.
    """
    return int(np.sum(np.var(np.asarray(codes, "float64"), axis=0) > threshold))


def decompose_kl(
    mean: np.ndarray, log_variance: np.ndarray, z: np.ndarray, log_prior: np.ndarray
) -> dict[str, float]:
    """Splits the mean KL(q(z|x) || p(z)) of N examples into a sum of three, in nats.

    These are the mutual information of x and z under q; the total correlation,
    KL(q(z) || Π_d q(z_d)); and the dimension-wise KL, Σ_d KL(q(z_d) || p(z_d)) where the prior is
    independent by dimension (else what the prior knows of the dependence counts there too). q(z) is
    the mean of the posteriors of these N examples, so that the mutual information cannot exceed
    log N.

    Args:
        mean, log_variance: (N, D), of the diagonal normal posteriors q(z|x).
        z: (N, D), one draw of each.
        log_prior: (N,), log p(z) at the draws.

    Returns:
        Dict of `mutual_information`, `total_correlation`, `dimension_wise_kl`.

    Example: `vae.diagnose(x)`, which calls it.

    Reference: Chen et al., Isolating Sources of Disentanglement (arXiv:1802.04942), equation 2.
    """
    mean, log_variance, z = (np.asarray(a, "float64") for a in (mean, log_variance, z))
    log_own = np.sum(_log_normal(z, mean, log_variance), axis=-1)
    step = max(1, _PAIRS // mean.size)
    chunks = [z[i : i + step] for i in range(0, len(z), step)]
    log_joint, log_marginals = np.concatenate(
        [_log_aggregate(chunk, mean, log_variance) for chunk in chunks], axis=1
    )
    return {
        "mutual_information": float(np.mean(log_own - log_joint)),
        "total_correlation": float(np.mean(log_joint - log_marginals)),
        "dimension_wise_kl": float(np.mean(log_marginals - np.asarray(log_prior, "float64"))),
    }


def _log_aggregate(z, mean, log_variance):
    """Returns log q(z) and Σ_d log q(z_d), (2, B), of the mixture of all posteriors."""
    densities = _log_normal(z[:, None], mean, log_variance)
    joint = np.logaddexp.reduce(np.sum(densities, axis=-1), axis=1)
    marginals = np.logaddexp.reduce(densities, axis=1)
    log_n, dims = np.log(len(mean)), z.shape[1]
    return np.stack([joint - log_n, np.sum(marginals, axis=-1) - dims * log_n])


def _log_normal(z, mean, log_variance):
    """Returns the log density of each dimension as a NumPy array, from NumPy arrays."""
    tensors = (ops.convert_to_tensor(values) for values in (z, mean, log_variance))
    return ops.convert_to_numpy(normal.log_density(*tensors))
