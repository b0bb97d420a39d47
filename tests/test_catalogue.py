"""Likelihoods, priors and objectives beside the first ones, each against an independent truth."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, special, stats

from keras_vae import VAE, divergences, likelihoods, networks, objectives, posteriors, priors
from keras_vae.likelihoods.stirling import log_gamma

RNG = np.random.default_rng(0)
RAW = RNG.normal(scale=2.0, size=(2, 3, 4, 5)).astype("float32")  # 2 draws, 3 examples of 4 x 5


def built(part, shape=(3, 4, 5)):
    part.build(shape)
    return part


def density(likelihood, params):
    """x -> p(x) of one feature."""
    params = np.float32(params).reshape(1, 1, -1)
    return lambda x: float(np.exp(likelihood.log_prob(np.float32([[x]]), params)[0, 0]))


def test_laplace_is_that_of_scipy():
    x = RNG.normal(size=(3, 4, 5))
    expected = stats.laplace.logpdf(x, RAW, 0.7).sum((2, 3))
    np.testing.assert_allclose(
        built(likelihoods.Laplace(0.7)).log_prob(x, RAW), expected, rtol=1e-4
    )


def test_poisson_is_that_of_scipy():
    x = RNG.poisson(3.0, (3, 4, 5))
    expected = stats.poisson.logpmf(x, np.exp(RAW)).sum((2, 3))
    np.testing.assert_allclose(likelihoods.Poisson().log_prob(x, RAW), expected, rtol=1e-4)


def test_negative_binomial_is_that_of_scipy():
    x = RNG.poisson(3.0, (3, 4, 5))
    likelihood = built(likelihoods.NegativeBinomial())
    dispersion = np.exp(RNG.normal(size=(4, 5)))
    likelihood.log_dispersion.assign(np.log(dispersion))
    success = dispersion / (dispersion + np.exp(RAW.astype("float64")))
    expected = stats.nbinom.logpmf(x, dispersion, success).sum((2, 3))
    np.testing.assert_allclose(likelihood.log_prob(x, RAW), expected, rtol=1e-3)


def test_categorical_is_the_log_softmax_of_the_class():
    params = RNG.normal(size=(2, 3, 4, 15)).astype("float32")  # 4 x 5 features of 3 classes
    x = RNG.integers(0, 3, (3, 4, 5))
    log_probs = special.log_softmax(params.reshape(2, 3, 4, 5, 3), axis=-1)
    expected = np.take_along_axis(log_probs, x[None, ..., None], -1).sum((2, 3, 4))
    likelihood = likelihoods.Categorical(3)
    np.testing.assert_allclose(likelihood.log_prob(x, params), expected, rtol=1e-5)
    np.testing.assert_array_equal(likelihood.mean(params), log_probs.argmax(-1))
    assert likelihood.example_shape((4, 15)) == (4, 5)


@pytest.mark.parametrize("params", [-20.0, -3.0, -0.06, -0.04, 0.0, 0.01, 0.05, 1.0, 8.0])
def test_continuous_bernoulli_is_a_density_with_its_mean(params):
    likelihood = likelihoods.ContinuousBernoulli()
    p = density(likelihood, params)
    assert integrate.quad(p, 0, 1, epsabs=1e-5, epsrel=1e-5)[0] == pytest.approx(1.0, abs=1e-4)
    mean = integrate.quad(lambda x: x * p(x), 0, 1, epsabs=1e-5, epsrel=1e-5)[0]
    assert float(likelihood.mean(tf.constant(params))) == pytest.approx(mean, abs=1e-4)


@pytest.mark.parametrize("scale", [0.3, "shared"])
def test_laplace_integrates_to_one(scale):
    p = density(built(likelihoods.Laplace(scale), (1, 1)), 0.4)
    assert integrate.quad(p, -20, 20, points=[0.4], epsabs=1e-4, epsrel=1e-4)[0] == pytest.approx(
        1, abs=1e-3
    )


@pytest.mark.parametrize(
    ("likelihood", "params", "support"),
    [
        (likelihoods.Categorical(4), [0.3, -1.0, 2.0, 0.0], np.arange(4)),
        (likelihoods.Poisson(), 2.0, np.arange(80)),
        (built(likelihoods.NegativeBinomial(), (1, 1)), 1.0, np.arange(400)),
        (likelihoods.DiscretizedLogistic(256), [0.2, -1.0], np.arange(256) / 255),
        (likelihoods.DiscretizedLogistic(4), [2.0, 3.0], np.arange(4) / 3),
    ],
    ids=lambda v: type(v).__name__,
)
def test_probabilities_sum_to_one(likelihood, params, support):
    p = density(likelihood, params)
    assert sum(p(x) for x in support) == pytest.approx(1.0, abs=1e-3)


def test_discretised_logistic_is_the_mass_of_the_bins():
    x = RNG.integers(0, 256, (3, 4, 5)) / 255
    params = RNG.normal(scale=0.3, size=(2, 3, 4, 10)).astype("float32")
    logistic = stats.logistic(0.5 + params[..., :5], np.exp(params[..., 5:] - 3.0))
    upper = np.where(x == 1, 1.0, logistic.cdf(x + 0.5 / 255))
    lower = np.where(x == 0, 0.0, logistic.cdf(x - 0.5 / 255))
    actual = likelihoods.DiscretizedLogistic().log_prob(x.astype("float32"), params)
    np.testing.assert_allclose(actual, np.log(upper - lower).sum((2, 3)), rtol=1e-3)


@pytest.mark.parametrize(
    ("likelihood", "mean"),
    [
        (likelihoods.ContinuousBernoulli(), None),
        (built(likelihoods.Laplace(0.5), (1, 4)), None),
        (likelihoods.Categorical(2), special.expit([2.0, -1.2])),
    ],
)
def test_samples_have_the_mean_of_the_distribution(likelihood, mean):
    params = np.tile(np.float32([-1.0, 1.0, 0.6, -0.6]), (40_000, 1))
    draws = np.asarray(likelihood.sample(params, seed=3))
    expected = np.asarray(likelihood.mean(params[0])) if mean is None else mean
    error = 5 * draws.std(0) / np.sqrt(len(draws))
    assert np.all(np.abs(draws.mean(0) - expected) < error)


def test_log_gamma_is_that_of_scipy():
    x = np.concatenate([np.geomspace(1e-3, 1e4, 500), np.arange(1, 50)]).astype("float32")
    np.testing.assert_allclose(log_gamma(x), special.gammaln(x), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
    ("likelihood", "x"),
    [
        (likelihoods.Poisson(), [0.5]),
        (likelihoods.Poisson(), [-1.0]),
        (likelihoods.Categorical(3), [3]),
        (likelihoods.ContinuousBernoulli(), [1.5]),
    ],
)
def test_values_outside_the_support_are_refused(likelihood, x):
    with pytest.raises(ValueError, match=r"`x` must .*Received: x"):
        likelihood.check_support(np.array(x))


@pytest.mark.parametrize(
    "make",
    [
        lambda: likelihoods.DiscretizedLogistic(1),
        lambda: likelihoods.Categorical(0),
        lambda: likelihoods.Laplace("best"),
        lambda: priors.NormalMixture(0),
        lambda: objectives.IWAE(0),
    ],
)
def test_bad_arguments_are_refused(make):
    with pytest.raises(ValueError, match=r"`\w+` must be .*Received: "):
        make()


def mixture():
    prior = built(priors.NormalMixture(2), (None, 1))
    prior.logits.assign(np.log([0.3, 0.7]))
    prior.means.assign([[-2.0], [1.0]])
    prior.raw_log_variances.assign(np.log([[0.25], [1.0]]))
    return prior


def test_a_mixture_is_that_of_scipy():
    z = np.linspace(-5, 5, 21)
    expected = np.log(0.3 * stats.norm.pdf(z, -2, 0.5) + 0.7 * stats.norm.pdf(z, 1, 1))
    actual = mixture().log_prob(z[None, :, None].astype("float32"))[0]
    np.testing.assert_allclose(actual, expected, rtol=1e-4)


def test_draws_of_a_mixture_follow_it():
    z = np.asarray(mixture().sample(20_000, keras.random.SeedGenerator(0)))[:, 0]

    def cdf(z):
        return 0.3 * stats.norm.cdf(z, -2, 0.5) + 0.7 * stats.norm.cdf(z, 1, 1)

    assert stats.kstest(z, cdf).pvalue > 1e-3


def test_the_kl_from_a_learned_normal_agrees_with_quadrature():
    prior = built(priors.LearnedNormal(), (None, 1))
    prior.mean.assign([0.7])
    prior.raw_log_variance.assign([2 * np.log(1.8)])
    q, p = stats.norm(-0.5, 0.4), stats.norm(0.7, 1.8)
    expected, _ = integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), -6, 6)
    params = {"mean": np.float32([[-0.5]]), "log_variance": np.float32([[2 * np.log(0.4)]])}
    actual = divergences.kl(posteriors.DiagonalNormal(1), params, prior, None, None)
    np.testing.assert_allclose(actual, [expected], rtol=1e-5)
    z = np.asarray(prior.sample(20_000, keras.random.SeedGenerator(0)))[:, 0]
    assert stats.kstest(z, p.cdf).pvalue > 1e-3


def one_gaussian(num_samples, shift, **options):
    """z ~ N(0, 1), x ~ N(z, 1): the posterior is N(x / 2, 1 / 2); `shift` moves q away from it."""
    networks_ = (networks.dense_encoder((1,), ()), networks.dense_decoder(1, (1,), ()))
    objective = objectives.IWAE(num_samples, **options)
    vae = VAE(*networks_, likelihood=likelihoods.Normal(1.0), objective=objective, seed=0)
    vae.compile("sgd")
    vae.decoder.set_weights([np.ones((1, 1)), np.zeros(1)])
    vae.posterior.mean_layer.set_weights([np.full((1, 1), 0.5), np.full(1, shift)])
    vae.posterior.log_variance_layer.set_weights([np.zeros((1, 1)), np.full(1, np.log(0.5))])
    return vae


def loss_and_gradients(vae, x):
    with tf.GradientTape() as tape:
        loss = vae.compute_loss(x, y_pred=vae(x, training=True))
    layers = (vae.posterior.mean_layer, vae.posterior.log_variance_layer)
    return float(loss), tape.gradient(loss, [w for layer in layers for w in layer.weights])


def test_iwae_is_exact_with_the_exact_posterior_and_tightens_with_draws_without():
    x = RNG.normal(scale=np.sqrt(2), size=(20_000, 1)).astype("float32")
    truth = -stats.norm(0, np.sqrt(2)).logpdf(x).mean()
    for vae in (one_gaussian(1, 0.0), one_gaussian(7, 0.0)):
        assert loss_and_gradients(vae, x)[0] == pytest.approx(truth, abs=1e-4)
    losses = []
    for num_samples in (1, 5, 50):
        vae = one_gaussian(num_samples, 0.8)
        losses.append(loss_and_gradients(vae, x)[0])
    elbo = truth + 0.8**2  # KL of two normals of variance 1/2 whose means are 0.8 apart
    assert losses[0] == pytest.approx(elbo, abs=0.03)
    assert losses[0] > losses[1] > losses[2] > truth
    assert losses[2] - truth < 0.1 * (elbo - truth)


def test_sticking_the_landing_has_no_noise_at_the_exact_posterior():
    x = RNG.normal(size=(8, 1)).astype("float32")
    noisy = one_gaussian(1, 0.0)
    still = one_gaussian(1, 0.0, gradient="sticking_the_landing")
    assert max(np.abs(g).max() for g in loss_and_gradients(noisy, x)[1]) > 0.01
    assert max(np.abs(g).max() for g in loss_and_gradients(still, x)[1]) < 1e-5
