import by_rows
import keras
import numpy as np
import pytest
from checks import small_vae
from gradients import gradients, value_and_gradients
from scipy import special, stats

from keras_vae import VAE, flows, likelihoods, networks, posteriors, schedules
from keras_vae.batch import unpack
from keras_vae.objectives import ELBO, IWAE, LossTerms

RNG = np.random.default_rng(0)
LOG_LIKELIHOODS = np.float32([[-10.0, -20.0], [-14.0, -28.0]])
KL = np.float32([3.0, 5.0])
TERMS = LossTerms(LOG_LIKELIHOODS, KL[:, None], *[None] * 9)._replace(weights=np.ones(2, "float32"))


@pytest.mark.parametrize(("beta", "expected"), [(1.0, [15, 29]), (0.0, [12, 24]), (4, [24, 44])])
def test_beta_weights_the_kl_and_draws_are_averaged(beta, expected):
    np.testing.assert_allclose(ELBO(beta).loss(TERMS, 0), expected)


def test_a_schedule_is_taken_at_the_step():
    objective = ELBO(schedules.Linear(10))
    np.testing.assert_allclose(objective.loss(TERMS, 5), [13.5, 26.5])


def test_more_draws_give_the_same_loss_with_less_noise():
    x = np.full((4000, 6), 0.3, "float32")  # one example, many times
    losses = {}
    for num_samples in (1, 16):
        vae = small_vae((6,), objective=ELBO(num_samples=num_samples))
        batch = unpack(x, vae.likelihood)
        terms = vae._terms(batch, vae(x), vae.likelihood.log_prob)
        losses[num_samples] = keras.ops.convert_to_numpy(vae.objective.loss(terms, 0))
    one, many = losses[1], losses[16]
    assert abs(one.mean() - many.mean()) < 4 * one.std() * np.sqrt((1 + 1 / 16) / 4000)
    assert many.std() / one.std() == pytest.approx(1 / 4, rel=0.15)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ELBO(beta=-1),
        lambda: ELBO(beta=float("nan")),
        lambda: ELBO(beta="1"),
        lambda: ELBO(beta=None),
        lambda: ELBO(free_bits=-0.1),
        lambda: ELBO(capacity="1"),
        lambda: ELBO(num_samples=0),
        lambda: ELBO(num_samples=2.0),
        lambda: IWAE(0),
    ],
)
def test_bad_arguments_are_refused(make):
    with pytest.raises(ValueError, match=r"`\w+` must be .*Received: "):
        make()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", by_rows.MASKS)
def test_the_joint_density_that_is_computed_again_is_that_of_each_row(name, training):
    objective = IWAE(num_samples=3, gradient="doubly_reparameterized")
    vae, mask = by_rows.conditional(objective=objective), by_rows.MASKS[name]
    batch = by_rows.batch_of(vae, mask)
    drawn = vae._draw(batch, 3, training)
    terms = vae._terms(batch, drawn, vae.likelihood.log_prob, training=training)
    z = 0.5 * terms.z + 0.3  # other codes than those that were drawn
    expected = by_rows.log_likelihood(vae, by_rows.arrays(z), mask)
    expected = expected + by_rows.log_prior(vae, by_rows.arrays(z))
    np.testing.assert_allclose(by_rows.arrays(terms.log_joint(z)), expected, rtol=1e-4)


@pytest.mark.parametrize("num_groups", [2, 6])
@pytest.mark.parametrize("gradient", IWAE.gradients)
def test_the_bound_of_each_row_is_that_of_its_draws_condition_and_mask(gradient, num_groups):
    objective = IWAE(6, gradient, num_groups, elbo_weight=0.25)
    vae = by_rows.conditional(objective=objective)
    batch = by_rows.batch_of(vae, by_rows.MASK)
    drawn = vae._draw(batch, 6, training=True)
    terms = vae._terms(batch, drawn, vae.likelihood.log_prob, training=True)
    z, q = by_rows.arrays((terms.z, terms.q))
    log_weights = by_rows.log_weights(vae, z, q, by_rows.MASK)
    grouped = log_weights.reshape(num_groups, 6 // num_groups, -1)
    tight = special.logsumexp(grouped, axis=1).mean(0) - np.log(6 // num_groups)
    expected = 0.25 * log_weights.mean(0) + 0.75 * tight
    np.testing.assert_allclose(by_rows.arrays(objective.loss(terms, 0)), -expected, rtol=1e-4)


SUMMANDS = RNG.exponential(size=(9, 4)).astype("float32") * np.float32([0.1, 0.5, 1.0, 2.0])


LOG_LIKELIHOOD = RNG.normal(-20, 3, (5, 9)).astype("float32")


WEIGHTS = RNG.random(9).astype("float32")


def elbo_terms(summands=SUMMANDS):
    return LossTerms(LOG_LIKELIHOOD, summands, *[None] * 6, WEIGHTS, None, None)


def mean(values):
    return np.average(values, axis=0, weights=WEIGHTS)


def test_free_bits_count_what_is_below_as_if_it_were_used():
    loss = ELBO(2.0, free_bits=0.9).loss(elbo_terms(), 0)
    expected = 2.0 * np.maximum(mean(SUMMANDS), 0.9).sum() - mean(LOG_LIKELIHOOD.mean(0))
    assert (mean(SUMMANDS) < 0.9).sum() == 2
    assert mean(loss) == pytest.approx(expected, rel=1e-5)


def test_free_bits_have_no_gradient():
    def total(summands):
        return keras.ops.sum(ELBO(free_bits=0.9).loss(elbo_terms(summands), 0))

    expected = np.broadcast_to(mean(SUMMANDS) > 0.9, SUMMANDS.shape)
    np.testing.assert_array_equal(gradients(total, SUMMANDS)[0], expected)


@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_a_balanced_warm_up_weighs_dimensions_by_what_they_hold(beta):
    def loss_of(summands):
        return ELBO(beta, balanced=True).loss(elbo_terms(summands), 0)

    loss = keras.ops.convert_to_numpy(loss_of(keras.ops.convert_to_tensor(SUMMANDS)))
    held = mean(SUMMANDS)
    weights = [h / (held.sum() / 4) if beta < 1 else 1.0 for h in held]
    expected = beta * np.dot(weights, held) - mean(LOG_LIKELIHOOD.mean(0))
    assert mean(loss) == pytest.approx(expected, rel=1e-5)
    (gradient,) = gradients(lambda summands: keras.ops.sum(loss_of(summands)), SUMMANDS)
    np.testing.assert_allclose(gradient, np.tile(beta * np.float32(weights), (9, 1)), rtol=1e-5)


@pytest.mark.parametrize("capacity", [0.5, 20.0, schedules.Linear(10, end=3.0)])
def test_a_capacity_is_kept_on_both_sides(capacity):
    at = 1.5 if callable(capacity) else capacity
    loss = ELBO(7.0, capacity=capacity).loss(elbo_terms(), 5)
    expected = 7.0 * abs(mean(SUMMANDS.sum(1)) - at) - mean(LOG_LIKELIHOOD.mean(0))
    assert mean(loss) == pytest.approx(expected, rel=1e-5)


LOG_POSTERIOR, LOG_PRIOR = RNG.normal(size=(2, 6, 9)).astype("float32")


LOG_P = RNG.normal(-20, 3, (6, 9)).astype("float32")


LOG_WEIGHTS = LOG_P + LOG_PRIOR - LOG_POSTERIOR


def iwae_loss(**options):
    terms = LossTerms(LOG_P, None, LOG_POSTERIOR, LOG_PRIOR, *[None] * 7)
    return IWAE(6, **options).loss(terms, 0)


def bound(log_weights):
    return special.logsumexp(log_weights, axis=0) - np.log(len(log_weights))


def test_groups_are_averaged_bounds():
    expected = (bound(LOG_WEIGHTS[:3]) + bound(LOG_WEIGHTS[3:])) / 2
    np.testing.assert_allclose(iwae_loss(num_groups=2), -expected, rtol=1e-5)
    np.testing.assert_allclose(iwae_loss(num_groups=6), -LOG_WEIGHTS.mean(0), rtol=1e-5)
    mixed = 0.3 * LOG_WEIGHTS.mean(0) + 0.7 * bound(LOG_WEIGHTS)
    np.testing.assert_allclose(iwae_loss(elbo_weight=0.3), -mixed, rtol=1e-5)


def linear(gradient, shift, num_samples=6, **options):
    """z ~ N(0, 1), x ~ N(z, 1), so that N(x / 2, 1 / 2) is exact; `shift` moves q away."""
    vae = VAE(
        networks.dense_encoder((1,), ()),
        networks.dense_decoder(1, (1,), ()),
        likelihood=likelihoods.Normal(1.0),
        objective=IWAE(num_samples, gradient, **options),
        seed=0,
    )
    vae.compile("sgd")
    vae.decoder.set_weights([np.ones((1, 1)), np.zeros(1)])
    vae.posterior.mean_layer.set_weights([np.full((1, 1), 0.5), np.full(1, shift)])
    vae.posterior.log_variance_layer.set_weights([np.zeros((1, 1)), np.full(1, np.log(0.5))])
    return vae


X = RNG.normal(scale=np.sqrt(2), size=(4000, 1)).astype("float32")


def slopes(vae, x=X):
    """(loss, gradients of the decoder, of the encoder)."""
    x = keras.ops.convert_to_tensor(x)
    decoder, encoder = vae.decoder.trainable_weights, vae.posterior.trainable_weights
    loss, found = value_and_gradients(
        lambda: vae.compute_loss(x, y_pred=vae(x, training=True)), decoder + encoder
    )
    flat = [np.concatenate([np.ravel(g) for g in part]) for part in (found[:2], found[2:])]
    return float(keras.ops.convert_to_numpy(loss)), *flat


@pytest.mark.slow
@pytest.mark.tensorflow  # needs new noise in each call of value_and_gradients
@pytest.mark.parametrize("options", [{}, {"num_groups": 2}, {"elbo_weight": 0.4}])
def test_the_doubly_reparameterized_gradient_is_another_estimate_of_the_same(options):
    plain = slopes(linear("standard", 0.6, **options))
    doubly = slopes(linear("doubly_reparameterized", 0.6, **options))
    assert doubly[0] == pytest.approx(plain[0], rel=1e-5)
    np.testing.assert_allclose(doubly[1], plain[1], rtol=1e-3, atol=1e-4)
    spread = {}
    for name in ("standard", "doubly_reparameterized"):
        vae = linear(name, 0.6, **options)
        spread[name] = np.array([slopes(vae, X[i : i + 100])[2] for i in range(0, 4000, 100)])
    plain, doubly = spread.values()
    difference = doubly - plain
    error = difference.std(0) / np.sqrt(len(difference))
    assert np.all(np.abs(difference.mean(0)) < 4.5 * error)


@pytest.mark.slow
def test_the_doubly_reparameterized_gradient_has_less_noise():
    x, spread = np.tile(X[:1], (2000, 1)), {}
    for name in ("standard", "doubly_reparameterized"):
        vae = linear(name, 0.3, num_samples=30)
        samples = [slopes(vae, x[i : i + 20])[2] for i in range(0, 2000, 20)]
        spread[name] = np.std(samples, axis=0).mean()
    assert spread["doubly_reparameterized"] < 0.7 * spread["standard"]


@pytest.mark.parametrize("gradient", ["sticking_the_landing", "doubly_reparameterized"])
def test_at_the_exact_posterior_nothing_is_left(gradient):
    assert np.abs(slopes(linear(gradient, 0.0))[2]).max() < 1e-4
    assert np.abs(slopes(linear("standard", 0.0), X[:20])[2]).max() > 1e-2


def test_the_partial_gradient_is_of_one_bound_for_the_decoder_and_of_several_for_the_encoder():
    partial = slopes(linear("partial", 0.6, num_groups=3))
    one, several = (
        slopes(linear("standard", 0.6)),
        slopes(linear("standard", 0.6, num_groups=3)),
    )
    np.testing.assert_allclose(partial[0], several[0], rtol=1e-5)
    np.testing.assert_allclose(partial[1], one[1], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(partial[2], several[2], rtol=1e-3, atol=1e-5)
    assert not np.allclose(one[1], several[1], rtol=1e-2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ELBO(free_bits=-1.0),
        lambda: ELBO(capacity=-1.0),
        lambda: IWAE(5, "exact"),
        lambda: IWAE(5, num_groups=2),
        lambda: IWAE(5, elbo_weight=1.5),
        lambda: small_vae(
            (6,),
            posterior=posteriors.NormalizingFlow(posteriors.DiagonalNormal(2), [flows.Planar()]),
            objective=IWAE(2, "sticking_the_landing"),
        ),
    ],
)
def test_bad_options_are_refused(make):
    with pytest.raises(ValueError, match=r"`.*must .*Received: "):
        make()


def test_iwae_is_exact_with_the_exact_posterior_and_tightens_with_draws_without():
    x = RNG.normal(scale=np.sqrt(2), size=(20_000, 1)).astype("float32")
    truth = -stats.norm(0, np.sqrt(2)).logpdf(x).mean()
    for vae in (linear("standard", 0.0, 1), linear("standard", 0.0, 7)):
        assert slopes(vae, x)[0] == pytest.approx(truth, abs=1e-4)
    losses = []
    for num_samples in (1, 5, 50):
        vae = linear("standard", 0.8, num_samples)
        losses.append(slopes(vae, x)[0])
    elbo = truth + 0.8**2  # KL of two normals of variance 1/2 whose means are 0.8 apart
    assert losses[0] == pytest.approx(elbo, abs=0.03)
    assert losses[0] > losses[1] > losses[2] > truth
    assert losses[2] - truth < 0.1 * (elbo - truth)


def test_sticking_the_landing_has_no_noise_at_the_exact_posterior():
    x = RNG.normal(size=(8, 1)).astype("float32")
    noisy = linear("standard", 0.0, 1)
    still = linear("sticking_the_landing", 0.0, 1)
    assert np.abs(slopes(noisy, x)[2]).max() > 0.01
    assert np.abs(slopes(still, x)[2]).max() < 1e-5
