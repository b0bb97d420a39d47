"""Priors that are fitted to the codes of a model."""

import keras
import numpy as np
import pytest
from checks import binary, small_vae

from keras_vae import posteriors, priors, quantized

RNG = np.random.default_rng(0)
ROWS, CLASSES, STEPS = 24, 3, 300
FIT = {"batch_size": ROWS, "shuffle": False, "verbose": 0}  # all rows in each step


def rate():
    return keras.optimizers.schedules.CosineDecay(0.05, STEPS)


def repeated(values):
    """The rows once for each step: an epoch of many steps is faster than many epochs."""
    return np.tile(values, (STEPS, *[1] * (np.ndim(values) - 1)))


def randomised(**parts):
    vae = small_vae((6,), **parts)
    for weight in vae.trainable_weights:
        weight.assign(0.5 * RNG.normal(size=weight.shape))
    return vae


def moments(q, weights, rows):
    """Mean and variance of the weighted mean of the posteriors of some rows."""
    shares = (weights[rows] / weights[rows].sum())[:, None]
    mean = (shares * q["mean"][rows]).sum(0)
    spread = np.exp(q["log_variance"][rows]) + (q["mean"][rows] - mean) ** 2
    return mean, (shares * spread).sum(0)


@pytest.mark.parametrize("weights", [np.ones(ROWS), np.arange(ROWS) % 4])
def test_a_learned_normal_has_the_weighted_moments_of_the_posteriors(weights):
    vae, x = randomised(), binary(ROWS, (6,))
    given = {"sample_weight": repeated(weights.astype("float32")), "learning_rate": rate()}
    fitted = vae.fit_prior(repeated(x), priors.LearnedNormal(), **given, **FIT)
    mean, variance = moments(vae.infer(x), weights, np.arange(ROWS))
    np.testing.assert_allclose(fitted.prior.mean, mean, atol=0.01)
    np.testing.assert_allclose(np.exp(fitted.prior.log_variance()), variance, rtol=0.02)


def test_the_normal_of_each_condition_has_the_weighted_moments_of_its_rows():
    vae = randomised(prior=priors.ConditionalNormal(CLASSES))
    condition, weights = np.arange(ROWS) % CLASSES, np.arange(ROWS) % 4
    x = {"x": binary(ROWS, (6,)), "condition": condition}
    given = {"sample_weight": repeated(weights.astype("float32")), "learning_rate": rate()}
    rows = {key: repeated(values) for key, values in x.items()}
    fitted = vae.fit_prior(rows, priors.ConditionalNormal(CLASSES), **given, **FIT)
    found = fitted.prior.condition_on(np.eye(CLASSES, dtype="float32"))
    q = vae.infer(x)
    for number in range(CLASSES):
        mean, variance = moments(q, weights, condition == number)
        np.testing.assert_allclose(found.mean[number], mean, atol=0.02)
        np.testing.assert_allclose(np.exp(found.log_variance()[number]), variance, rtol=0.05)


def test_a_prior_without_a_closed_form_is_estimated_and_comes_near_the_same_moments():
    vae, x = randomised(), binary(ROWS, (6,))
    weights = np.float32(np.arange(ROWS) % 4)
    prior, given = priors.NormalMixture(1), {"sample_weight": repeated(weights)}
    vae.fit_prior(repeated(x), prior, learning_rate=rate(), **given, **FIT)
    mean, variance = moments(vae.infer(x), weights, np.arange(ROWS))
    np.testing.assert_allclose(prior.means[0], mean, atol=0.15)
    np.testing.assert_allclose(np.exp(prior.log_variances()[0]), variance, rtol=0.25)


def test_the_seed_of_the_model_fixes_the_fit_and_goes_on_with_it():
    vae, x, found = randomised(), binary(ROWS, (6,)), []
    for seed in (1, 2):  # of all else
        keras.utils.set_random_seed(seed)
        fitted = vae.fit_prior(x, priors.NormalMixture(3), epochs=3, **FIT)
        found.append(fitted.prior.get_weights())
        assert fitted.seed == vae.seed
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_a_prior_the_one_for_the_codes_is_fitted():
    x = binary(ROWS, (6,))
    fitted = small_vae((6,)).fit_prior(x, **FIT)
    assert isinstance(fitted.prior, priors.NormalMixture)
    vae = small_vae((6,), posterior=quantized.VectorQuantizer(4, 5, 2, depth=2))
    fitted = vae.fit_prior(x, epochs=2, **FIT)
    assert isinstance(fitted.prior, quantized.AutoregressiveCodes)
    assert (fitted.prior.num_latents, fitted.prior.num_codes) == (8, 5)
    assert fitted.elbo(x).mean() > vae.elbo(x).mean()


def test_where_no_prior_could_be_fitted_one_must_be_given():
    vae = small_vae((6,), posterior=posteriors.VonMisesFisher(3))
    with pytest.raises(ValueError, match=r"(?s)`prior` must be given.*because.*Received: "):
        vae.fit_prior(binary(ROWS, (6,)))
