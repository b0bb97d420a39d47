"""Each row of the table in docs/units.md: the other loop's loss, by hand, and ours."""

import numpy as np
import pytest
from keras import ops

from keras_vae import divergences, likelihoods, objectives, posteriors, priors

RNG = np.random.default_rng(0)
B, P, D, W = 64, 12, 3, 0.7
X = RNG.random((B, P)).astype("float32")
RAW = RNG.normal(size=(B, P)).astype("float32")
MEAN, LOG_VARIANCE = RNG.normal(size=(2, B, D)).astype("float32")
KL = 0.5 * (np.exp(LOG_VARIANCE) + MEAN**2 - 1 - LOG_VARIANCE)
BCE = np.logaddexp(0, RAW) - X * RAW
SQUARE = (X - RAW) ** 2

ROWS = {
    "mean BCE, mean KL": (BCE.mean(1) + KL.mean(1), likelihoods.Bernoulli(), P / D),
    "mean BCE, sum KL": (BCE.mean(1) + KL.sum(1), likelihoods.Bernoulli(), P),
    "sum BCE, w sum KL": (BCE.sum(1) + W * KL.sum(1), likelihoods.Bernoulli(), W),
    "mean square, w sum KL": (SQUARE.mean(1) + W * KL.sum(1), likelihoods.Normal(1.0), W * P / 2),
    "mean square, the scale": (
        SQUARE.mean(1) + W * KL.sum(1),
        likelihoods.Normal((P / 2) ** 0.5),
        W,
    ),
    "sum square, w sum KL": (SQUARE.sum(1) + W * KL.sum(1), likelihoods.Normal(1.0), W / 2),
    "sum square, the scale": (SQUARE.sum(1) + W * KL.sum(1), likelihoods.Normal(0.5**0.5), W),
    "half sum square": (SQUARE.sum(1) / 2 + W * KL.sum(1), likelihoods.Normal(1.0), W),
    "normalised beta": (BCE.mean(1) + W * KL.mean(1), likelihoods.Bernoulli(), W * P / D),
}


@pytest.mark.parametrize("row", ROWS)
def test_the_other_loss_is_ours_up_to_a_factor_and_a_constant(row):
    theirs, likelihood, beta = ROWS[row]
    posterior, prior = posteriors.DiagonalNormal(D), priors.StandardNormal()
    q = {"mean": MEAN, "log_variance": LOG_VARIANCE}
    q = {name: ops.convert_to_tensor(values) for name, values in q.items()}
    likelihood.build((None, P))
    terms = objectives.LossTerms(
        likelihood.log_prob(X, RAW[None]),
        divergences.kl_summands(posterior, q, prior, None, None),
        *[None] * 9,
    )._replace(weights=ops.ones(B))
    ours = np.asarray(objectives.ELBO(beta).loss(terms, 0))
    slope, constant = np.polyfit(ours, theirs, 1)
    assert slope > 0
    np.testing.assert_allclose(slope * ours + constant, theirs, atol=1e-5 * np.abs(theirs).max())
