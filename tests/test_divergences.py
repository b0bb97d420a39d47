import math

import keras
import numpy as np
import pytest
from checks import built
from scipy import integrate, stats

from keras_vae import divergences, priors
from keras_vae.posteriors import DiagonalNormal, FullNormal
from keras_vae.priors import StandardNormal


def standard_normal(latent_dim, cls=StandardNormal):
    return built(cls(), (None, latent_dim))


def given(mean, log_variance):
    """As a posterior gives them."""
    values = {"mean": mean, "log_variance": log_variance}
    return {name: keras.ops.convert_to_tensor(v, "float32") for name, v in values.items()}


class OtherPosterior(DiagonalNormal):
    """Its own density, by name, so no form of its parent applies."""

    def log_prob(self, q, z):
        return super().log_prob(q, z)


class OtherPrior(StandardNormal):
    """Its own density, by name, so no form of its parent applies."""

    def log_prob(self, z):
        return super().log_prob(z)


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


class Same(DiagonalNormal):
    """Feeds other noise, as a user may; the density of given parameters stays."""

    def sample(self, q, num_samples, seed):
        return super().sample(q, num_samples, 7)


class SamePrior(StandardNormal):
    """Draws differently; its density stays."""

    def from_noise(self, noise, temperature=1.0):
        return -temperature * noise


class OtherDraws(DiagonalNormal):
    """A posterior whose `sample_and_log_prob` says what the density is."""

    def sample_and_log_prob(self, q, num_samples, seed, step=None):
        z, log_prob = super().sample_and_log_prob(q, num_samples, seed, step)
        return 2.0 * z, log_prob - 2.0 * math.log(2.0)


class PerDim(DiagonalNormal):
    def log_prob_per_dim(self, q, z):
        return super().log_prob_per_dim(q, 0.5 * z) - math.log(2.0)


def is_closed(posterior_class, prior_class):
    """Whether the KL ignores the log densities of the draws."""
    q = given([[0.5, -1.0]], [[0.3, -0.8]])
    logs = np.full((1, 1), 1e6, "float32"), np.zeros((1, 1), "float32")
    kl = divergences.kl(posterior_class(2), q, standard_normal(2, prior_class), *logs)
    return float(kl[0]) < 100


@pytest.mark.parametrize("posterior_class", [DiagonalNormal, Same])
@pytest.mark.parametrize("prior_class", [StandardNormal, SamePrior])
def test_a_subclass_with_the_density_of_its_parent_keeps_the_closed_form(
    posterior_class, prior_class
):
    q = given([[0.5, -1.0]], [[0.3, -0.8]])
    found = divergences.kl_summands(
        posterior_class(2), q, standard_normal(2, prior_class), None, None
    )
    expected = [[quadrature(0.5, np.exp(0.15)), quadrature(-1.0, np.exp(-0.4))]]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("posterior_class", [OtherPosterior, OtherDraws, PerDim])
def test_a_posterior_with_another_density_is_estimated(posterior_class):
    assert is_closed(DiagonalNormal, StandardNormal)
    assert not is_closed(posterior_class, StandardNormal)
    assert not is_closed(type("Child", (posterior_class,), {}), StandardNormal)
    assert not is_closed(type("Mixed", (posterior_class, DiagonalNormal), {}), StandardNormal)


def test_a_prior_with_another_density_is_estimated():
    assert not is_closed(DiagonalNormal, OtherPrior)
    assert not is_closed(Same, type("Child", (OtherPrior,), {}))


def test_the_nearest_registered_classes_decide(monkeypatch):
    monkeypatch.setattr(divergences, "_CLOSED_FORMS", dict(divergences._CLOSED_FORMS))
    grandchild = type("Grandchild", (Same,), {})
    divergences.closed_form(Same, StandardNormal)(lambda q, prior: q["mean"] + 7.0)
    q = given([[0.0]], [[0.0]])
    for cls, expected in ((grandchild, 7.0), (Same, 7.0), (DiagonalNormal, 0.0)):
        found = divergences.kl(cls(1), q, standard_normal(1, SamePrior), None, None)
        np.testing.assert_allclose(found, [expected])


@pytest.mark.parametrize("cls", [DiagonalNormal, FullNormal])
def test_a_normal_with_given_parameters_has_the_closed_form_of_each_example(cls):
    rng = np.random.default_rng(0)
    mean, log_variance = rng.normal(size=(2, 4, 2)).astype("float32")
    parameters = (keras.ops.convert_to_tensor(a) for a in (mean, log_variance))
    prior = priors.DiagonalNormalDistribution(*parameters)
    posterior = cls(2)
    posterior.build((None, 3))
    posterior.set_weights([rng.normal(size=w.shape) for w in posterior.get_weights()])
    q = posterior(rng.normal(size=(4, 3)).astype("float32"))
    z, log_q = posterior.sample_and_log_prob(q, 20_000, keras.random.SeedGenerator(0))
    samples = keras.ops.convert_to_numpy(log_q - prior.log_prob(z))
    found = keras.ops.convert_to_numpy(divergences.kl(posterior, q, prior, None, None))
    error = samples.std(0) / np.sqrt(len(samples))
    assert np.all(np.abs(samples.mean(0) - found) < 5 * error)


def test_the_kl_from_a_learned_normal_agrees_with_quadrature():
    prior = built(priors.LearnedNormal(), (None, 1))
    prior.mean.assign([0.7])
    prior.raw_log_variance.assign([2 * np.log(1.8)])
    q, p = stats.norm(-0.5, 0.4), stats.norm(0.7, 1.8)
    expected, _ = integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), -6, 6)
    params = given([[-0.5]], [[2 * np.log(0.4)]])
    actual = divergences.kl(DiagonalNormal(1), params, prior, None, None)
    actual = keras.ops.convert_to_numpy(actual)
    np.testing.assert_allclose(actual, [expected], rtol=1e-5)
    z = keras.ops.convert_to_numpy(prior.sample(20_000, keras.random.SeedGenerator(0)))[:, 0]
    assert stats.kstest(z, p.cdf).pvalue > 1e-3
