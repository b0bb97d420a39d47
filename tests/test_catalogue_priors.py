"""Priors beside the standard normal."""

import keras
import numpy as np
import pytest
from checks import small_vae
from scipy import special, stats

from keras_vae import flows, posteriors, priors

RNG = np.random.default_rng(0)


def built(prior, latent_dim):
    prior.build((None, latent_dim))
    return prior


def vamp():
    vae = small_vae((6,), latent_dim=1, prior=priors.VampPrior((6,), 3))
    vae.prior.pseudo_inputs.assign(RNG.normal(0.5, 2.0, (3, 6)))  # some outside [0, 1]
    vae.posterior.set_weights([RNG.normal(size=w.shape) for w in vae.posterior.get_weights()])
    q = vae.posterior(vae.encoder(np.clip(vae.prior.pseudo_inputs, 0, 1)))
    normals = stats.norm(q["mean"][:, 0], np.exp(0.5 * np.asarray(q["log_variance"][:, 0])))
    return vae._prior_for(), normals


def test_a_vamp_prior_is_the_mixture_of_the_posteriors_of_its_inputs():
    prior, normals = vamp()
    z = RNG.normal(size=(4, 5, 1)).astype("float32")
    expected = special.logsumexp(normals.logpdf(z), axis=-1) - np.log(3)
    np.testing.assert_allclose(
        prior.log_prob(keras.ops.convert_to_tensor(z)), expected, rtol=1e-3, atol=1e-3
    )


def test_draws_of_a_vamp_prior_follow_it():
    prior, normals = vamp()
    z = np.asarray(prior.sample(20_000, keras.random.SeedGenerator(0)))[:, 0]
    assert stats.kstest(z, lambda z: normals.cdf(z[:, None]).mean(-1)).pvalue > 1e-3


@pytest.mark.parametrize("flow", [flows.Coupling, flows.Autoregressive])
def test_a_flow_prior_is_a_density_that_its_draws_follow(flow):
    prior = built(priors.FlowPrior([flow(8), flow(8)]), 2)
    prior.set_weights([0.4 * RNG.normal(size=w.shape) for w in prior.get_weights()])
    z = np.asarray(prior.sample(50_000, keras.random.SeedGenerator(0)))
    low, high = z.min(0) - 2, z.max(0) + 2
    axes = [np.linspace(a, b, 400, dtype="float32") for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    cell = np.prod([axis[1] - axis[0] for axis in axes])
    mass = np.exp(np.asarray(prior.log_prob(keras.ops.convert_to_tensor(grid)))) * cell
    assert mass.sum() == pytest.approx(1.0, abs=0.01)
    mean = (mass[..., None] * grid).sum((0, 1))
    second = np.einsum("ij,ijk,ijl->kl", mass, grid, grid)
    error = 6 * z.std(0).max() / np.sqrt(50_000) + 0.01
    np.testing.assert_allclose(z.mean(0), mean, atol=error)
    np.testing.assert_allclose(z.T @ z / len(z), second, atol=3 * error * (1 + z.std(0).max()))


def test_a_flow_prior_refuses_a_flow_without_an_inverse():
    with pytest.raises(ValueError, match=r"`flows` must .*because.*Received: Planar"):
        priors.FlowPrior([flows.Planar()])


def test_the_uniform_priors_are_uniform():
    sphere = built(priors.UniformSphere(), 3)
    z = np.asarray(sphere.sample(20_000, keras.random.SeedGenerator(0)))
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1.0, rtol=1e-5)
    assert stats.kstest(z[:, 2], stats.uniform(-1, 2).cdf).pvalue > 1e-3  # Archimedes
    np.testing.assert_allclose(sphere.log_prob(z[None]), -np.log(4 * np.pi), rtol=1e-6)
    classes = built(priors.UniformCategorical(4), 8)
    z = np.asarray(classes.sample(20_000, keras.random.SeedGenerator(0)))
    np.testing.assert_array_equal(z.reshape(-1, 2, 4).sum(-1), 1.0)
    assert stats.chisquare(z.sum(0)[:4]).pvalue > 1e-3
    np.testing.assert_allclose(classes.log_prob(z[None]), -2 * np.log(4), rtol=1e-6)


@pytest.mark.parametrize(
    ("posterior", "prior"),
    [
        (posteriors.DiagonalNormal(2), priors.StandardNormal),
        (posteriors.FullNormal(2), priors.StandardNormal),
        (posteriors.VonMisesFisher(3), priors.UniformSphere),
        (posteriors.Categorical(2, 5), priors.UniformCategorical),
    ],
)
def test_the_default_prior_is_one_for_the_posterior(posterior, prior):
    vae = small_vae((6,), posterior=posterior)
    assert type(vae.prior) is prior
    assert vae.prior.space == posterior.space


def test_categorical_priors_of_another_number_of_classes_are_refused():
    with pytest.raises(ValueError, match=r"`prior` must be one for.*Received: "):
        small_vae((6,), posterior=posteriors.Categorical(2, 6), prior=priors.UniformCategorical(4))


def test_a_vamp_prior_for_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"`input_shape` must .*Received: "):
        small_vae((6,), prior=priors.VampPrior((5,), 3))
    with pytest.raises(ValueError, match=r"`low` must .*Received: "):
        priors.VampPrior((5,), 3, low=1.0, high=0.0)


def test_a_conditional_prior_for_another_condition_is_refused():
    vae = small_vae((6,), prior=priors.ConditionalNormal(4))
    with pytest.raises(ValueError, match=r"`condition_dim` must .*Received: "):
        priors.ConditionalNormal(5).check_model(vae)


def test_a_mixture_starts_from_codes():
    prior, codes = built(priors.NormalMixture(4), 2), RNG.normal(3.0, 2.0, (500, 2))
    prior.start_from(codes.astype("float32"), seed=0)
    assert set(map(tuple, np.round(prior.means, 4))) <= set(
        map(tuple, np.round(codes.astype("float32"), 4))
    )
    np.testing.assert_allclose(prior.log_variances(), [np.log(codes.var(0))] * 4, rtol=1e-3)
