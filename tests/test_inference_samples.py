"""Draws of x and of z by the methods of a model: their seeds and their moments."""

import keras
import numpy as np
import pytest
from checks import binary, small_vae
from keras import ops
from scipy import special, stats

from keras_vae import VAE, likelihoods, networks, posteriors, priors
from keras_vae.hierarchical import HierarchicalVAE, TopDown, bottom_up

RNG = np.random.default_rng(0)
N = 6000
F = 4


def table():
    parts = [likelihoods.Normal(0.5), likelihoods.Poisson(), likelihoods.Categorical(3)]
    return likelihoods.Mixed(parts, [2, 1, 1])


LIKELIHOODS = {
    "Bernoulli": likelihoods.Bernoulli,
    "ContinuousBernoulli": likelihoods.ContinuousBernoulli,
    "Normal": lambda: likelihoods.Normal(0.5),
    "Poisson": likelihoods.Poisson,
    "NegativeBinomial": likelihoods.NegativeBinomial,
    "Beta": likelihoods.Beta,
    "Mixed": table,
}


def with_likelihood(name):
    vae = small_vae((F,), likelihood=LIKELIHOODS[name]())
    for weight in vae.decoder.weights:
        weight.assign(0.5 * RNG.normal(size=weight.shape))
    return vae


def ladder(condition_dim=None):
    keras.utils.set_random_seed(0)
    groups, options = [(2,), (3,)], {"width": 4, "depth": 1}
    down = TopDown(groups, (F,), **options, condition_dim=condition_dim)
    vae = HierarchicalVAE(bottom_up((F,), groups, **options), down, seed=0)
    for weight in vae.trainable_weights:
        weight.assign(0.5 * RNG.normal(size=weight.shape))
    return vae


def tokens():
    keras.utils.set_random_seed(0)
    likelihood = likelihoods.AutoregressiveSequence(likelihoods.Categorical(3), (4, 1), units=5)
    encoder = networks.recurrent_encoder((4, 1), 4, num_classes=3)
    decoder = networks.dense_decoder(2, (3,), units=())
    return VAE(encoder, decoder, likelihood=likelihood, seed=0)


def conditional():
    vae = small_vae((F,), prior=priors.ConditionalNormal(3))
    for weight in vae.trainable_weights:
        weight.assign(0.5 * RNG.normal(size=weight.shape))
    return vae


MODELS = {name: lambda name=name: with_likelihood(name) for name in LIKELIHOODS}
MODELS |= {"ladder": ladder, "conditional ladder": lambda: ladder(3), "tokens": tokens}
MODELS["conditional"] = conditional


def condition_of(vae, rows):
    return {"condition": np.arange(rows) % 3} if vae.condition_dim else {}


def check_seed(draw):
    """`draw(seed)` is the same for one seed, and another for others, also those next to it."""
    found = [draw(seed) for seed in (1, 1, 2, 3)]
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
    assert not np.array_equal(found[2][1:], found[3][:-1])
    assert not np.array_equal(found[2], found[3])


@pytest.mark.parametrize("name", MODELS)
def test_draws_of_x_repeat_with_their_seed_alone(name):
    vae = MODELS[name]()
    more, z = condition_of(vae, 30), RNG.normal(size=(30, vae.latent_dim)).astype("float32")
    check_seed(lambda seed: vae.generate(30, sample=True, seed=seed, **more))
    check_seed(lambda seed: vae.decode(z, sample=True, seed=seed, **more))
    for drawn in (vae.generate(30, sample=True, **more), vae.decode(z, sample=True, **more)):
        assert drawn.shape == (30, *vae.target_shape)
        assert ops.convert_to_numpy(vae.likelihood.in_support(drawn)).all()


@pytest.mark.parametrize("name", MODELS)
def test_equal_codes_have_different_draws(name):
    vae = MODELS[name]()
    z = np.repeat(RNG.normal(size=(1, vae.latent_dim)), 200, axis=0).astype("float32")
    more = {"condition": 1} if vae.condition_dim else {}
    for batch_size in (None, 50):
        drawn = vae.decode(z, sample=True, seed=0, batch_size=batch_size, **more)
        first, last = drawn[:50], drawn[-50:]
        assert len(np.unique(drawn.reshape(200, -1), axis=0)) > 2
        assert not np.array_equal(first, last)  # each batch has noise of its own


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_draws_of_one_code_have_the_mean_of_its_density(name):
    vae, z = with_likelihood(name), RNG.normal(size=(1, 2)).astype("float32")
    drawn = vae.decode(np.repeat(z, N, axis=0), sample=True, seed=0).astype("float64")
    params, expected = ops.convert_to_numpy(vae.decoder(z))[0], vae.decode(z)[0]
    if name == "Mixed":  # the mean of a class is the most probable one
        expected[3] = special.softmax(params[3:]) @ np.arange(3)
    error = 5 * drawn.std(0) / np.sqrt(N)
    assert np.all(np.abs(drawn.mean(0) - expected) < error + 1e-4)
    variance = {
        "Bernoulli": expected * (1 - expected),
        "Normal": np.full(F, 0.25),
        "Poisson": expected,
        "NegativeBinomial": expected + expected**2,
    }
    if name in variance:
        np.testing.assert_allclose(drawn.var(0), variance[name], rtol=0.15)


@pytest.mark.parametrize("make", [ladder, conditional, lambda: ladder(3)])
def test_generated_draws_have_the_mean_of_the_generated_means(make):
    vae = make()
    more = condition_of(vae, N)
    means = vae.generate(N, seed=1, batch_size=500, **more)
    drawn = vae.generate(N, sample=True, seed=1, batch_size=500, **more)
    rows = [np.arange(N) % 3 == c for c in range(3)] if more else [np.ones(N, "bool")]
    for own in rows:
        error = 5 * np.sqrt(0.25 / own.sum())
        assert np.abs(drawn[own].mean(0) - means[own].mean(0)).max() < error
    # the same codes: each draw goes with its own mean
    assert np.mean((drawn - means) ** 2) == pytest.approx(np.mean(means * (1 - means)), rel=0.1)


def test_the_draws_of_a_condition_are_those_of_its_class():
    vae = conditional()
    means = np.float32([[6, 0], [0, 6], [-6, 0]])
    vae.prior.mean_layer.set_weights([means, np.zeros(2, "float32")])
    for condition in range(3):
        of_class = vae.generate(2000, sample=True, seed=0, condition=condition).mean(0)
        z = RNG.normal(size=(2000, 2)) + means[condition]
        expected = vae.decode(z.astype("float32"), condition=condition).mean(0)
        np.testing.assert_allclose(of_class, expected, atol=0.08)


POSTERIORS = {
    "diagonal": lambda: posteriors.DiagonalNormal(2),
    "full": lambda: posteriors.FullNormal(2),
    "sphere": lambda: posteriors.VonMisesFisher(3),
    "classes": lambda: posteriors.Categorical(2, 3),
}


@pytest.mark.parametrize("name", [*POSTERIORS, "ladder", "conditional"])
def test_draws_of_z_repeat_with_their_seed_alone(name):
    vae = small_vae((F,), posterior=POSTERIORS[name]()) if name in POSTERIORS else MODELS[name]()
    x = {"x": binary(30, (F,)), **condition_of(vae, 30)}
    check_seed(lambda seed: vae.encode(x, sample=True, seed=seed))
    same = {key: np.repeat(values[:1], 30, axis=0) for key, values in x.items()}
    assert len(np.unique(vae.encode(same, sample=True, seed=0), axis=0)) > 2
    np.testing.assert_allclose(vae.encode(same), np.repeat(vae.encode(same)[:1], 30, axis=0), 1e-5)


def test_draws_of_z_have_the_moments_of_the_posterior():
    vae = small_vae((F,), posterior=posteriors.FullNormal(2))
    for weight in vae.posterior.weights:
        weight.assign(0.4 * RNG.normal(size=weight.shape))
    x = binary(1, (F,))
    q = {key: values[0].astype("float64") for key, values in vae.infer(x).items()}
    z = vae.encode(np.repeat(x, N, axis=0), sample=True, seed=0, batch_size=1000)
    white = np.linalg.solve(q["scale"], (z - q["mean"]).T)
    for row in white:
        assert stats.kstest(row, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(white)[0, 1]) < 5 / np.sqrt(N)
