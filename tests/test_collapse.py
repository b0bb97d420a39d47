"""How many latents a model uses has a closed form where it is linear."""

import keras
import numpy as np
import pytest

from keras_vae import VAE, evaluation, likelihoods, networks


@pytest.mark.slow
@pytest.mark.parametrize(("variance", "expected"), [(1.0, 8), (0.5, 13)])
def test_a_linear_vae_uses_the_principal_components_above_the_noise(variance, expected):
    (x, _), _ = keras.datasets.fashion_mnist.load_data()
    x = x[..., None].astype("float32") / 255
    eigenvalues = np.linalg.eigvalsh(np.cov(x.reshape(-1, 784).T))
    assert np.sum(eigenvalues > variance) == expected
    keras.utils.set_random_seed(0)
    vae = VAE(
        networks.dense_encoder((28, 28, 1), units=()),
        networks.dense_decoder(20, (28, 28, 1), units=()),
        likelihood=likelihoods.Normal(scale=variance**0.5),
        seed=0,
    )
    rate = keras.optimizers.schedules.CosineDecay(5e-3, 20 * 118, alpha=0.01)
    vae.compile(keras.optimizers.Adam(rate))
    vae.fit(x, epochs=20, batch_size=512, verbose=0)
    codes = vae.encode(x)
    assert evaluation.active_units(codes) == expected
