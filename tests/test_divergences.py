import keras
import numpy as np
import pytest
from scipy import integrate, stats

from keras_vae import divergences
from keras_vae.posteriors import DiagonalNormal
from keras_vae.priors import StandardNormal


def standard_normal(latent_dim, cls=StandardNormal):
    prior = cls()
    prior.build((None, latent_dim))
    return prior


def given(mean, log_variance):
    """As a posterior gives them."""
    values = {"mean": mean, "log_variance": log_variance}
    return {name: keras.ops.convert_to_tensor(v, "float32") for name, v in values.items()}


class OtherPosterior(DiagonalNormal):
    """Of no registered pair."""


class OtherPrior(StandardNormal):
    """Of no registered pair."""


def quadrature(mean, scale):
    """KL(N(mean, scale²) || N(0, 1)) by its definition."""
    q, p = stats.norm(mean, scale), stats.norm()
    ends = mean - 12 * scale, mean + 12 * scale
    return integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), *ends)[0]


def test_closed_form_agrees_with_quadrature_summed_over_latents():
    means, scales = np.array([[0.0, 1.5], [-0.7, 3.0]]), np.array([[1.0, 0.3], [2.0, 0.05]])
    expected = np.vectorize(quadrature)(means, scales).sum(1)
    q = given(means, 2 * np.log(scales))
    actual = divergences.kl(DiagonalNormal(2), q, standard_normal(2), None, None)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_the_kl_is_zero_only_where_the_posterior_is_the_prior():
    q = given([[0.0], [0.1], [0.0]], [[0.0], [0.0], [0.1]])
    actual = np.asarray(divergences.kl(DiagonalNormal(1), q, standard_normal(1), None, None))
    assert actual[0] == 0
    assert (actual[1:] > 1e-3).all()


@pytest.mark.parametrize(
    ("posterior_class", "prior_class"),
    [(DiagonalNormal, OtherPrior), (OtherPosterior, StandardNormal)],
)
def test_a_pair_without_a_closed_form_is_estimated_without_bias(posterior_class, prior_class):
    posterior, prior = posterior_class(2), standard_normal(2, prior_class)
    q = given([[0.5, -1.0]], [[0.3, -0.8]])
    z = posterior.sample(q, 50_000, keras.random.SeedGenerator(0))
    log_q, log_p = posterior.log_prob(q, z), prior.log_prob(z)
    estimate = float(divergences.kl(posterior, q, prior, log_q, log_p)[0])
    exact = quadrature(0.5, np.exp(0.15)) + quadrature(-1.0, np.exp(-0.4))
    error = np.std(np.asarray(log_q - log_p)) / np.sqrt(50_000)
    assert 0 < abs(estimate - exact) < 4 * error


def test_a_registered_closed_form_is_used_for_its_own_pair_only(monkeypatch):
    monkeypatch.setattr(divergences, "_CLOSED_FORMS", dict(divergences._CLOSED_FORMS))

    @divergences.closed_form(OtherPosterior, OtherPrior)
    def my_kl(q, prior):
        return q["marker"]

    logs = np.ones((1, 3), "float32"), np.zeros((1, 3), "float32")
    q = {"marker": np.full(3, 7.0)}
    actual = divergences.kl(OtherPosterior(1), q, OtherPrior(), *logs)
    np.testing.assert_array_equal(actual, [7.0] * 3)
    actual = divergences.kl(OtherPosterior(1), q, StandardNormal(), *logs)
    np.testing.assert_array_equal(actual, [1.0] * 3)
