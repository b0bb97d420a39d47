"""The temperature of each prior scales its spread, and nothing else."""

import keras
import numpy as np
import pytest
from checks import small_vae
from keras import ops
from scipy import stats

from keras_vae import flows, posteriors, priors, quantized
from keras_vae.batch import unpack

RNG = np.random.default_rng(0)
N, T = 20_000, 0.5


def built(prior, latent_dim=2):
    prior.build((None, latent_dim))
    prior.set_weights([RNG.normal(size=w.shape) for w in prior.get_weights()])
    return prior


def draws(prior, temperature=T, count=N):
    z = prior.sample(count, keras.random.SeedGenerator(0), temperature)
    return ops.convert_to_numpy(z).astype("float64")


def check_moments(z, mean, variance, weights=1.0):
    """The moments of draws from a mixture, by the law of total variance."""
    weights = np.broadcast_to(weights / np.sum(weights * np.ones(len(mean))), len(mean))
    centre = weights @ mean
    spread = weights @ (T**2 * variance + np.square(mean - centre))
    np.testing.assert_allclose(z.mean(0), centre, atol=5 * np.sqrt(spread.max() / N))
    np.testing.assert_allclose(z.std(0), np.sqrt(spread), rtol=5 / np.sqrt(N))


def test_a_standard_normal():
    check_moments(draws(built(priors.StandardNormal())), np.zeros((1, 2)), np.ones((1, 2)))


def test_a_learned_normal():
    prior = built(priors.LearnedNormal())
    mean, log_variance = (ops.convert_to_numpy(v) for v in (prior.mean, prior.log_variance()))
    check_moments(draws(prior), mean[None], np.exp(log_variance)[None])


def test_a_mixture_of_normals_keeps_its_means_and_weights():
    prior = built(priors.NormalMixture(3))
    prior.means.assign(3.0 * RNG.normal(size=(3, 2)))
    means, logits = ops.convert_to_numpy(prior.means), ops.convert_to_numpy(prior.logits)
    variances = np.exp(ops.convert_to_numpy(prior.log_variances()))
    check_moments(draws(prior), means, variances, np.exp(logits))


@pytest.mark.parametrize("cls", [posteriors.DiagonalNormal, posteriors.FullNormal])
def test_a_vamp_prior_keeps_the_means_of_its_posteriors(cls):
    vae = small_vae((6,), posterior=cls(2), prior=priors.VampPrior((6,), 3))
    shapes = [w.shape for w in vae.posterior.get_weights()]
    vae.posterior.set_weights([2.0 * RNG.normal(size=shape) for shape in shapes])
    prior = vae._prior_for()
    q = {name: ops.convert_to_numpy(values) for name, values in prior.q.items()}
    if cls is posteriors.DiagonalNormal:
        variances = np.exp(q["log_variance"])
    else:
        variances = np.square(q["scale"]).sum(-1)
    check_moments(draws(prior), q["mean"], variances)


@pytest.mark.parametrize("flow", [flows.Coupling, flows.Autoregressive])
def test_a_flow_prior_maps_noise_of_that_spread(flow):
    prior = built(priors.FlowPrior([flow(8), flow(8)]))
    prior.set_weights([0.3 * w for w in prior.get_weights()])
    z = ops.convert_to_tensor(draws(prior), "float32")
    noise, _ = flows.forward(prior.flows, z)
    noise = ops.convert_to_numpy(noise) / T
    for d in range(2):
        assert stats.kstest(noise[:, d], "norm").pvalue > 1e-3


def test_uniform_priors_are_the_same_at_every_temperature():
    for prior in (built(priors.UniformSphere(), 3), built(priors.UniformCategorical(4), 8)):
        np.testing.assert_array_equal(draws(prior, T, 50), draws(prior, 1.0, 50))


def test_autoregressive_codes_are_sharper_below_one():
    prior = quantized.AutoregressiveCodes(1, 4, units=3)
    prior.build((None, 2))
    prior.logits.bias.assign([1.0, 0.3, -0.5, 0.0])
    log_p = ops.convert_to_numpy(prior.log_prob_of(ops.arange(4)[:, None])).astype("float64")
    codes = ops.convert_to_numpy(prior.sample_codes(N, keras.random.SeedGenerator(0), T))
    p = np.exp(log_p / T) / np.exp(log_p / T).sum()
    assert stats.chisquare(np.bincount(codes[:, 0], minlength=4), N * p).pvalue > 1e-3


def conditional():
    """A prior, the condition of 5 rows, and the mean and standard deviation of each."""
    prior = built(priors.ConditionalNormal(3))
    layers = prior.mean_layer, prior.log_variance_layer
    for layer in layers:
        layer.set_weights([RNG.normal(size=w.shape) for w in layer.get_weights()])
    condition = RNG.normal(size=(5, 3)).astype("float32")
    mean, log_variance = (ops.convert_to_numpy(layer(condition)) for layer in layers)
    return prior, condition, mean, np.exp(0.5 * log_variance)


def test_each_draw_of_each_row_has_the_density_of_the_condition_of_its_row():
    prior, condition, mean, scale = conditional()
    z = RNG.normal(size=(4, 5, 2)).astype("float32")
    found = prior.condition_on(condition).log_prob(ops.convert_to_tensor(z))
    expected = stats.norm(mean, scale).logpdf(z).sum(-1)
    assert tuple(found.shape) == (4, 5)
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, rtol=1e-4, atol=1e-4)


def test_each_row_is_drawn_from_the_normal_of_its_condition():
    prior, condition, mean, scale = conditional()
    rows = np.repeat(np.arange(5), N // 5)
    z = draws(prior.condition_on(condition[rows]))
    standard = (z - mean[rows]) / scale[rows] / T
    for row in range(5):
        for d in range(2):
            assert stats.kstest(standard[rows == row, d], "norm").pvalue > 1e-3


def test_a_model_scores_draws_under_the_prior_of_each_row():
    vae = small_vae((6,), prior=priors.ConditionalNormal(3))
    for layer in (vae.prior.mean_layer, vae.prior.log_variance_layer):
        layer.set_weights([RNG.normal(size=w.shape) for w in layer.get_weights()])
    condition = np.arange(5) % 3
    x = {"x": RNG.random((5, 6)).astype("float32"), "condition": condition}
    batch, one_hot = unpack(x, vae.likelihood, 3), np.eye(3, dtype="float32")[condition]
    terms = vae._terms(batch, vae._draw(batch, 4), vae.likelihood.log_prob)
    mean = ops.convert_to_numpy(vae.prior.mean_layer(one_hot))
    scale = np.exp(0.5 * ops.convert_to_numpy(vae.prior.log_variance_layer(one_hot)))
    expected = stats.norm(mean, scale).logpdf(ops.convert_to_numpy(terms.z)).sum(-1)
    np.testing.assert_allclose(ops.convert_to_numpy(terms.log_prior), expected, 1e-4, 1e-4)
