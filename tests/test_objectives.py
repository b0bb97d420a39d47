import by_rows
import numpy as np
import pytest
from checks import small_vae
from scipy import special

from keras_vae import schedules
from keras_vae.batch import unpack
from keras_vae.objectives import ELBO, IWAE, LossTerms

LOG_LIKELIHOOD = np.float32([[-10.0, -20.0], [-14.0, -28.0]])
KL = np.float32([3.0, 5.0])
TERMS = LossTerms(LOG_LIKELIHOOD, KL[:, None], *[None] * 9)._replace(weights=np.ones(2, "float32"))


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
        losses[num_samples] = np.asarray(vae.objective.loss(terms, 0))
    one, many = losses[1], losses[16]
    assert abs(one.mean() - many.mean()) < 4 * one.std() * np.sqrt((1 + 1 / 16) / 4000)
    assert many.std() / one.std() == pytest.approx(1 / 4, rel=0.15)


@pytest.mark.parametrize(
    "arguments",
    [
        {"beta": -1},
        {"beta": float("nan")},
        {"beta": "1"},
        {"beta": None},
        {"free_bits": -0.1},
        {"capacity": "1"},
        {"num_samples": 0},
        {"num_samples": 2.0},
    ],
)
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match=r"must be .*Received: "):
        ELBO(**arguments)


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
