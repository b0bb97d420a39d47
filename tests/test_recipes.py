import keras
import numpy as np
import pytest

from keras_vae import likelihoods, recipes, schedules

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: (recipes.vae((6,), latent_dim=3), (6,)),
        lambda: (recipes.vae(6), (6,)),
        lambda: (recipes.vae((9, 7, 3), beta=schedules.Linear(10)), (9, 7, 3)),
        lambda: (recipes.vae((66, 65, 1), likelihood=likelihoods.Normal("optimal")), (66, 65, 1)),
        lambda: (recipes.seed_vae((12, 11, 1)), (12, 11, 1)),
        lambda: (recipes.seed_vae((9, 14, 3)), (9, 14, 3)),
        lambda: (recipes.linear_vae((5, 5, 1), latent_dim=3), (5, 5, 1)),
        lambda: (recipes.linear_vae((7,)), (7,)),
    ],
    ids=["features", "int", "odd", "convolutional", "seed", "seed colour", "linear", "linear 1-D"],
)
def test_recipes_learn(make):
    keras.utils.set_random_seed(0)
    vae, shape = make()
    x = np.repeat(RNG.random((1, *shape), "float32"), 4, axis=0)
    vae.compile("adam", run_eagerly=True)  # 8 steps take less time than tracing one
    before = vae.elbo(x).mean()  # always of the same noise
    losses = vae.fit(x, epochs=8, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert vae.elbo(x).mean() > before


def test_linear_vae_has_no_hidden_layer():
    vae = recipes.linear_vae((6,), latent_dim=2)
    assert vae.encoder.count_params() == 0
    assert vae.decoder.count_params() == 2 * 6 + 6
