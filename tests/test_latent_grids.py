"""Latents with the shape of a grid: their scale, images of any size, and tiles."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_vae
from keras_vae import latent_grids, likelihoods, networks, posteriors
from keras_vae.latent_grids import tiles
from keras_vae.networks import any_size

pytestmark = pytest.mark.backends

RNG = np.random.default_rng(0)
GREY_LEVEL = 1 / 255


def small(shape=(8, 12, 3), filters=(4, 6), encoder=None, **parts):
    keras.utils.set_random_seed(0)
    grid = networks.grid_size(shape, filters)
    return latent_grids.GridVAE(
        encoder or networks.latent_encoder(shape, 4, filters),
        networks.latent_decoder(2, shape, filters[::-1]),
        posteriors.GridNormal((*grid, 2)),
        likelihood=likelihoods.Laplace("shared"),
        seed=0,
        **parts,
    )


def images(count=6, shape=(8, 12, 3)):
    return RNG.random((count, *shape), "float32")


def test_latents_are_the_codes_in_their_places():
    vae, x = small(), images()
    latents = vae.encode_latents(x)
    assert latents.shape == (6, 2, 3, 2)
    np.testing.assert_array_equal(latents.reshape(6, -1), vae.encode(x))
    np.testing.assert_array_equal(vae.decode_latents(latents), vae.predict(x, verbose=0))


def test_fitted_latents_are_standardised_by_channel_and_decode_inverts_it(tmp_path):
    vae, x = small(), images(40)
    before = vae.predict(x, verbose=0)
    latents = vae.fit_latents(x).encode_latents(x)
    np.testing.assert_allclose(latents.mean(axis=(0, 1, 2)), 0.0, atol=0.01)
    np.testing.assert_allclose(latents.std(axis=(0, 1, 2)), 1.0, atol=0.01)
    np.testing.assert_allclose(vae.decode_latents(latents), before, atol=1e-5)
    vae.save(tmp_path / "vae.keras")
    loaded = keras_vae.load_model(tmp_path / "vae.keras")
    np.testing.assert_array_equal(loaded.encode_latents(x), latents)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), before)  # codes keep their units


def test_draws_of_latents_have_the_spread_of_the_posterior():
    vae, x = small(), images(1)
    vae.fit_latents(images(40))
    draws = vae.encode_latents(np.repeat(x, 3000, axis=0), sample=True, seed=1)
    deviation = np.exp(0.5 * vae.infer(x)["log_variance"]).reshape(2, 3, 2)
    expected = deviation / keras.ops.convert_to_numpy(vae.posterior.scale)
    np.testing.assert_allclose(draws.std(axis=0), expected, rtol=0.06)
    tiled = vae.encode_latents(x, sample=True, seed=1, tile=4)
    np.testing.assert_array_equal(vae.encode_latents(x, sample=True, seed=1, tile=4), tiled)
    assert np.abs(tiled - vae.encode_latents(x)).max() > 0.01


def test_other_sizes_equal_a_model_of_that_size_with_the_same_weights():
    shape = (10, 15, 3)
    vae, other = small(), small(shape)
    other.encoder.set_weights(vae.encoder.get_weights())
    other.decoder.set_weights(vae.decoder.get_weights())
    x = images(shape=shape)
    latents = vae.encode_latents(x)
    assert latents.shape == (6, 3, 4, 2)
    np.testing.assert_allclose(latents, other.encode_latents(x), atol=0.1 * GREY_LEVEL)
    found = vae.decode_latents(latents, size=(10, 15))
    np.testing.assert_allclose(found, other.predict(x, verbose=0), atol=0.1 * GREY_LEVEL)


@pytest.mark.parametrize("tile", [8, 27, 1000])
def test_tiles_equal_the_whole_image(tile):
    vae, x = small(), images(2, (41, 58, 3))
    vae.fit_latents(images(20))
    whole, tiled = vae.encode_latents(x), vae.encode_latents(x, tile=tile)
    assert whole.shape == (2, 11, 15, 2)
    np.testing.assert_allclose(tiled, whole, atol=1e-4)
    images_of = [vae.decode_latents(whole, size=(41, 58), tile=n) for n in (None, tile)]
    assert images_of[0].shape == x.shape
    assert np.abs(images_of[0] - images_of[1]).max() < GREY_LEVEL


def test_a_margin_that_is_too_narrow_shows(monkeypatch):
    vae, x = small(), images(1, (64, 64, 3))
    whole = vae.encode_latents(x)
    monkeypatch.setattr("keras_vae.latent_grids.model.margin_of", lambda *_: 0)
    assert np.abs(vae.encode_latents(x, tile=8) - whole).max() > 0.01


def body(*middle, channels=3):
    inputs = keras.Input((None, None, channels))
    x = layers.Conv2D(4, 3, strides=2, padding="same")(inputs)
    for layer in middle:
        x = layer(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (lambda: body(), 1),  # two pixels to the right: half a cell
        (lambda: body(layers.Conv2D(2, 7, padding="same")), 4),
        (lambda: body(layers.Conv2D(2, (7, 1), padding="same")), 4),
        (lambda: body(layers.Conv2D(2, 3, padding="same", dilation_rate=5)), 6),
        (lambda: body(layers.Conv2D(2, 1), layers.LayerNormalization()), 1),
        (lambda: body(layers.MaxPooling2D(3, 1, padding="same")), 2),
    ],
)
def test_the_margin_is_how_far_a_network_sees(network, expected):
    keras.utils.set_random_seed(0)
    assert tiles.margin_of(network(), "encoder") == expected


def test_networks_that_see_the_whole_image_have_no_tiles():
    whole = body(layers.GroupNormalization(2))
    vae = small(filters=(4,), encoder=networks.encoder_of(whole, (8, 12, 3)))
    vae.encode_latents(images(1, (24, 24, 3)))
    with pytest.raises(ValueError, match=r"`tile` must be left out.*Received: encoder"):
        vae.encode_latents(images(1, (24, 24, 3)), tile=8)


def flat_encoder():
    inputs = keras.Input((8, 12, 3))
    return keras.Model(inputs, layers.Dense(24)(layers.Flatten()(inputs)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda vae, x: vae.encode_latents(x[..., :2], tile=4), "`x` must have the shape"),
        (lambda vae, x: vae.encode_latents(x, tile=0), "`tile` must be"),
        (lambda vae, x: vae.encode_latents(x * np.nan, tile=4), "`x` must be finite"),
        (lambda vae, x: vae.decode_latents(np.zeros((1, 4))), "`latents` must have the shape"),
        (lambda vae, x: vae.decode_latents(np.zeros((1, 2, 3, 2)), size=(9, 9)), "`size` must"),
        (lambda vae, x: vae.fit_latents(x[:1] * 0), "`x` must have latents that vary"),
        (lambda vae, x: small(encoder=flat_encoder()).encode_latents(x, tile=4), "`encoder` must"),
        (lambda vae, x: any_size.encoder_of(flat_encoder(), (8, 12, 3)), "`body` must be"),
        (
            lambda vae, x: any_size.stride(keras.Sequential([_any(), layers.Conv2D(1, 3)])),
            "`body` must multiply or divide",
        ),
        (
            lambda vae, x: latent_grids.GridVAE(vae.encoder, vae.decoder),
            "`posterior` of a GridVAE must be",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=f"{message}.*Received"):
        call(small(), images())


def _any():
    return keras.Input((None, None, 3))
