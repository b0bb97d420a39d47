import keras
import numpy as np
from scipy import integrate, stats

from keras_vae import divergences
from keras_vae.posteriors import DiagonalNormal
from keras_vae.priors import StandardNormal


def standard_normal(latent_dim, cls=StandardNormal):
    prior = cls()
    prior.build((None, latent_dim))
    return prior


def test_closed_form_agrees_with_quadrature():
    for mean, scale in [(0.0, 1.0), (1.5, 0.3), (-0.7, 2.0)]:
        q, p = stats.norm(mean, scale), stats.norm()

        def integrand(z, q=q, p=p):
            return q.pdf(z) * (q.logpdf(z) - p.logpdf(z))

        expected, _ = integrate.quad(integrand, mean - 12 * scale, mean + 12 * scale)
        params = {"mean": np.float32([[mean]]), "log_variance": np.float32([[2 * np.log(scale)]])}
        actual = divergences.kl(DiagonalNormal(1), params, standard_normal(1), None, None)
        np.testing.assert_allclose(actual, [expected], atol=1e-5)


def test_a_pair_without_a_closed_form_is_estimated_without_bias():
    class OtherNormal(StandardNormal):
        pass

    posterior, prior = DiagonalNormal(2), standard_normal(2, OtherNormal)
    q = {"mean": np.float32([[0.5, -1.0]]), "log_variance": np.float32([[0.3, -0.8]])}
    z = posterior.sample(q, 50_000, keras.random.SeedGenerator(0))
    log_q, log_p = posterior.log_prob(q, z), prior.log_prob(z)
    estimate = float(divergences.kl(posterior, q, prior, log_q, log_p)[0])
    exact = float(divergences.kl(posterior, q, standard_normal(2), log_q, log_p)[0])
    error = np.std(log_q - log_p) / np.sqrt(50_000)
    assert estimate != exact
    assert abs(estimate - exact) < 4 * error
