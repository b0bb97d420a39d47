"""The recipe of the KL autoencoder with a discriminator and features of a classifier."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_vae
from keras_vae import adversarial, latent_grids, networks, penalties, recipes

RNG = np.random.default_rng(0)
SHAPE = (8, 8, 3)
X = RNG.random((12, *SHAPE)).astype("float32")


def features():
    return networks.features_of(networks.image_classifier(SHAPE, 3, filters=(4, 6)))


def test_features_have_length_1_in_each_place():
    for values in features()(X):
        lengths = np.linalg.norm(ops.convert_to_numpy(values), axis=-1)
        dark = lengths == 0  # where no filter sees anything
        np.testing.assert_allclose(lengths[~dark], 1.0, rtol=1e-5)
        assert dark.mean() < 0.5


def test_distances_of_several_features_add_up():
    network, part = features(), penalties.Perceptual(features())
    part.network.set_weights(network.get_weights())
    outputs = [[ops.convert_to_numpy(f) for f in network(x)] for x in (X, X[::-1])]
    expected = sum(((a - b) ** 2).sum(axis=(1, 2, 3)) for a, b in zip(*outputs, strict=True))
    vae = recipes.kl_autoencoder(SHAPE, filters=(4,))
    call = vae(X)
    batch = keras_vae.batch.Batch(**call["batch"])
    terms = vae._terms(batch, call, vae.likelihood.log_prob)
    terms = terms._replace(reconstruction=lambda: ops.convert_to_tensor(X[::-1].copy()))
    np.testing.assert_allclose(ops.convert_to_numpy(part.value(terms)), expected, rtol=1e-4)


@pytest.mark.parametrize("names", [["no_such"], []])
def test_features_of_unknown_layers_are_refused(names):
    with pytest.raises(ValueError, match=r"`names` must be names of layers.*Received"):
        networks.features_of(networks.image_classifier(SHAPE, 3), names)


@pytest.mark.backends
def test_the_recipe_trains_saves_and_gives_latents(tmp_path):
    keras.utils.set_random_seed(0)
    vae = recipes.kl_autoencoder(
        SHAPE, 2, filters=(4, 8), perceptual=features(), discriminator=True, seed=0
    )
    assert type(vae) is latent_grids.AdversarialGridVAE
    vae.compile(keras.optimizers.Adam(1e-3, use_ema=True))
    history = vae.fit(X, batch_size=6, epochs=2, verbose=0).history
    assert {"perceptual", "adversarial_loss", "discriminator_loss"} < set(history)
    assert np.isfinite(list(history.values())).all()
    latents = vae.fit_latents(X).encode_latents(X)
    assert latents.shape == (12, 2, 2, 2)
    vae.save(tmp_path / "vae.keras")
    loaded = keras_vae.load_model(tmp_path / "vae.keras")
    np.testing.assert_array_equal(loaded.encode_latents(X), latents)
    options = {"batch_size": 6, "shuffle": False, "verbose": 0}
    assert vae.fit(X, **options).history == loaded.fit(X, **options).history


def test_what_the_recipe_is_made_of_can_be_given():
    judge = networks.patch_discriminator(SHAPE, (4,))
    adversary = adversarial.PatchAdversary(judge, 0.1, start=7)
    perceptual = penalties.Perceptual(features(), weight=3.0)
    plain = recipes.kl_autoencoder(SHAPE, filters=(4,))
    given = recipes.kl_autoencoder(
        SHAPE, filters=(4,), perceptual=perceptual, discriminator=adversary
    )
    network = recipes.kl_autoencoder(SHAPE, filters=(4,), discriminator=judge)
    assert type(plain) is latent_grids.GridVAE
    assert plain.penalties == []
    assert given.penalties == [perceptual, adversary]
    assert network.adversary.discriminator is judge
    assert network.latent_shape == (4, 4, 4)
