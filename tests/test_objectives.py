import numpy as np
import pytest

from keras_vae import schedules
from keras_vae.objectives import ELBO, Terms

LOG_LIKELIHOOD = np.float32([[-10.0, -20.0], [-14.0, -28.0]])
KL = np.float32([3.0, 5.0])
TERMS = Terms(LOG_LIKELIHOOD, KL, *[None] * 6)


@pytest.mark.parametrize(("beta", "expected"), [(1.0, [15, 29]), (0.0, [12, 24]), (4, [24, 44])])
def test_beta_weights_the_kl_and_draws_are_averaged(beta, expected):
    np.testing.assert_allclose(ELBO(beta).loss(TERMS, 0), expected)


def test_a_schedule_is_taken_at_the_step():
    objective = ELBO(schedules.Linear(10))
    np.testing.assert_allclose(objective.loss(TERMS, 5), [13.5, 26.5])


@pytest.mark.parametrize("arguments", [{"beta": -1}, {"beta": "1"}, {"num_samples": 0}])
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match=r"must be .*Received: "):
        ELBO(**arguments)
