import numpy as np
import pytest
from checks import small_vae

from keras_vae import schedules
from keras_vae.objectives import ELBO, Terms

LOG_LIKELIHOOD = np.float32([[-10.0, -20.0], [-14.0, -28.0]])
KL = np.float32([3.0, 5.0])
TERMS = Terms(LOG_LIKELIHOOD, KL[:, None], *[None] * 9)


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
        terms = vae._terms(x, None, None, vae(x), vae.likelihood.log_prob)
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
        {"num_samples": 0},
        {"num_samples": 2.0},
    ],
)
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match=r"must be .*Received: "):
        ELBO(**arguments)
