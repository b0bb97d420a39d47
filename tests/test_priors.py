import keras
import numpy as np
import pytest
from checks import built, small_vae
from keras import ops
from keras.ops import convert_to_numpy
from scipy import integrate, special, stats

from keras_vae import flows, posteriors, priors
from keras_vae.priors import StandardNormal

pytestmark = pytest.mark.backends

RNG = np.random.default_rng(0)


def standard_normal(latent_dim=3):
    return built(StandardNormal(), (None, latent_dim))


def drawn(prior, rows, seed=0, **options):
    return convert_to_numpy(prior.sample(rows, keras.random.SeedGenerator(seed), **options))


def log_prob(prior, z):
    return convert_to_numpy(prior.log_prob(ops.convert_to_tensor(z, "float32")))


def test_log_prob_is_that_of_scipy():
    z = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")
    expected = stats.multivariate_normal(np.zeros(3)).logpdf(z)
    np.testing.assert_allclose(log_prob(standard_normal(), z), expected, rtol=1e-5)


def test_density_integrates_to_one():
    part = standard_normal(1)
    z = np.linspace(-10, 10, 2001, dtype="float32")
    density = np.exp(log_prob(part, z[None, :, None])[0])
    np.testing.assert_allclose(integrate.simpson(density, x=z), 1.0, atol=1e-5)


def test_draws_are_standard_normal_and_scaled_by_temperature():
    z = convert_to_numpy(
        standard_normal().sample(50_000, keras.random.SeedGenerator(1), temperature=0.5)
    )
    assert z.shape == (50_000, 3)
    assert stats.kstest(z.ravel() / 0.5, "norm").pvalue > 1e-3


def test_the_dimensions_of_a_draw_are_independent():
    z = drawn(standard_normal(), 50_000, 2)
    assert np.abs(np.corrcoef(z.T) - np.eye(3)).max() < 5 / np.sqrt(50_000)


def test_a_seed_repeats_its_draws():
    one, same, other = (drawn(standard_normal(), 4, s) for s in (5, 5, 6))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def mixture():
    prior = built(priors.NormalMixture(2), (None, 1))
    prior.logits.assign(np.log([0.3, 0.7]))
    prior.means.assign([[-2.0], [1.0]])
    prior.raw_log_variances.assign(np.log([[0.25], [1.0]]))
    return prior


def test_a_mixture_is_that_of_scipy():
    z = np.linspace(-5, 5, 21)
    expected = np.log(0.3 * stats.norm.pdf(z, -2, 0.5) + 0.7 * stats.norm.pdf(z, 1, 1))
    actual = log_prob(mixture(), z[None, :, None])
    np.testing.assert_allclose(actual[0], expected, rtol=1e-4)


def test_draws_of_a_mixture_follow_it():
    z = drawn(mixture(), 20_000)[:, 0]

    def cdf(z):
        return 0.3 * stats.norm.cdf(z, -2, 0.5) + 0.7 * stats.norm.cdf(z, 1, 1)

    assert stats.kstest(z, cdf).pvalue > 1e-3


def vamp():
    vae = small_vae((6,), latent_dim=1, prior=priors.VampPrior((6,), 3))
    vae.prior.pseudo_inputs.assign(RNG.normal(0.5, 2.0, (3, 6)))  # some outside [0, 1]
    vae.posterior.set_weights([RNG.normal(size=w.shape) for w in vae.posterior.get_weights()])
    q = vae.posterior(vae.encoder(ops.clip(vae.prior.pseudo_inputs, 0, 1)))
    q = {name: convert_to_numpy(value)[:, 0] for name, value in q.items()}
    normals = stats.norm(q["mean"], np.exp(0.5 * q["log_variance"]))
    return vae._prior_for(), normals


def test_a_vamp_prior_is_the_mixture_of_the_posteriors_of_its_inputs():
    prior, normals = vamp()
    z = RNG.normal(size=(4, 5, 1)).astype("float32")
    expected = special.logsumexp(normals.logpdf(z), axis=-1) - np.log(3)
    actual = log_prob(prior, z)
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-3)


def test_draws_of_a_vamp_prior_follow_it():
    prior, normals = vamp()
    z = drawn(prior, 20_000)[:, 0]
    assert stats.kstest(z, lambda z: normals.cdf(z[:, None]).mean(-1)).pvalue > 1e-3


@pytest.mark.parametrize("flow", [flows.Coupling, flows.Autoregressive])
def test_a_flow_prior_is_a_density_that_its_draws_follow(flow):
    prior = built(priors.FlowPrior([flow(8), flow(8)]), (None, 2))
    prior.set_weights([0.4 * RNG.normal(size=w.shape) for w in prior.get_weights()])
    z = drawn(prior, 50_000)
    low, high = z.min(0) - 2, z.max(0) + 2
    axes = [np.linspace(a, b, 400, dtype="float32") for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    cell = np.prod([axis[1] - axis[0] for axis in axes])
    mass = np.exp(log_prob(prior, grid)) * cell
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
    sphere = built(priors.UniformSphere(), (None, 3))
    z = drawn(sphere, 20_000)
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1.0, rtol=1e-5)
    assert stats.kstest(z[:, 2], stats.uniform(-1, 2).cdf).pvalue > 1e-3  # Archimedes
    np.testing.assert_allclose(log_prob(sphere, z[None]), -np.log(4 * np.pi), rtol=1e-6)
    classes = built(priors.UniformCategorical(4), (None, 8))
    z = drawn(classes, 20_000)
    np.testing.assert_array_equal(z.reshape(-1, 2, 4).sum(-1), 1.0)
    assert stats.chisquare(z.sum(0)[:4]).pvalue > 1e-3
    np.testing.assert_allclose(log_prob(classes, z[None]), -2 * np.log(4), rtol=1e-6)


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
    prior, codes = built(priors.NormalMixture(4), (None, 2)), RNG.normal(3.0, 2.0, (500, 2))
    prior.start_from(codes.astype("float32"), seed=0)
    means = convert_to_numpy(prior.means)
    assert set(map(tuple, np.round(means, 4))) <= set(
        map(tuple, np.round(codes.astype("float32"), 4))
    )
    np.testing.assert_allclose(
        convert_to_numpy(prior.log_variances()), [np.log(codes.var(0))] * 4, rtol=1e-3
    )


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"`\w+` must be .*Received: "):
        priors.NormalMixture(0)
