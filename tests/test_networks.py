import functools

import keras
import numpy as np
import pytest
from keras import ops

import keras_vae
from keras_vae import likelihoods, networks, recipes

IMAGES = [
    (28, 28, 1),
    (32, 32, 3),
    (32, 30, 3),
    (33, 47, 3),
    (64, 64, 3),
    (218, 178, 3),
    (1, 1, 1),
]
PAIRS = {
    "dense": [  # narrow, as the large image has 116412 numbers
        functools.partial(f, units=(8, 8)) for f in (networks.dense_encoder, networks.dense_decoder)
    ],
    "conv": [networks.conv_encoder, networks.conv_decoder],
    "residual": [networks.residual_encoder, networks.residual_decoder],
    "image": [
        functools.partial(f, units=(8,)) for f in (networks.image_encoder, networks.image_decoder)
    ],
}
NUM_FEATURES = {"dense": 8, "conv": 16, "residual": 256, "image": 8}


@pytest.mark.parametrize("shape", IMAGES, ids=str)
@pytest.mark.parametrize("kind", PAIRS)
def test_images_of_any_size(kind, shape):
    encoder, decoder = PAIRS[kind]
    assert encoder(shape).output_shape == (None, NUM_FEATURES[kind])
    assert decoder(5, shape).output_shape == (None, *shape)


def test_networks_run_on_odd_sizes():
    x = np.zeros((2, 9, 13, 3), "float32")
    for encoder, decoder in PAIRS.values():
        assert encoder((9, 13, 3))(x).shape[0] == 2
        assert decoder(4, (9, 13, 3))(np.zeros((2, 4), "float32")).shape == x.shape


@pytest.mark.parametrize("shape", [(7,), 7, (4, 3)])
def test_dense_networks_take_any_rank(shape):
    expected = (shape,) if isinstance(shape, int) else shape
    assert networks.dense_decoder(2, shape).output_shape == (None, *expected)
    assert networks.dense_encoder(shape).input_shape == (None, *expected)
    assert networks.dense_encoder(shape).output_shape == (None, 256)


def test_the_seed_networks_are_those_of_the_tutorials():
    vae = recipes.tutorial_vae()
    encoder = [9 * 1 * 32 + 32, 9 * 32 * 64 + 64, 7 * 7 * 64 * 16 + 16]
    decoder = [2 * 3136 + 3136, 9 * 64 * 64 + 64, 9 * 64 * 32 + 32, 9 * 32 * 1 + 1]
    counts = [
        [layer.count_params() for layer in network.layers if layer.weights]
        for network in (vae.encoder, vae.decoder)
    ]
    assert counts == [encoder, decoder]
    activations = [layer.activation.__name__ for layer in vae.encoder.layers if layer.weights]
    assert activations == ["relu", "relu", "linear"]
    assert vae.posterior.count_params() == 2 * (16 * 2 + 2)


def test_residual_layers_add_to_what_they_get():
    network = networks.dense_encoder((4,), units=(4,), activation="relu")
    layer = next(layer for layer in network.layers if layer.weights)
    layer.set_weights([np.zeros((4, 4)), np.ones(4)])
    np.testing.assert_allclose(network(np.float32([[1, 2, 3, 4]])), [[2, 3, 4, 5]])


@pytest.mark.backends
def test_fourier_features_are_sines_and_cosines_of_each_value(tmp_path):
    z = np.random.default_rng(0).normal(size=(5, 2)).astype("float32")
    phases = np.concatenate([0.5 * z, 3.0 * z], axis=1)
    expected = np.concatenate([z, np.sin(phases), np.cos(phases)], axis=1)
    model = keras.Sequential([keras.Input((2,)), keras_vae.layers.FourierFeatures((0.5, 3.0))])
    assert model.output_shape == (None, 10)
    model.save(tmp_path / "m.keras")
    for network in (model, keras.models.load_model(tmp_path / "m.keras")):
        np.testing.assert_allclose(ops.convert_to_numpy(network(z)), expected, atol=1e-6)


def test_a_dense_decoder_shows_its_layers_the_features_of_the_code():
    decoder = networks.dense_decoder(2, (3,), (4,), frequencies=(1.0, 2.0), condition_dim=5)
    assert decoder.get_layer(index=-3).kernel.shape == (2 + 2 * 2 * 2 + 5, 4)
    plain = networks.dense_decoder(2, (3,), (4,))
    assert not any(isinstance(x, keras_vae.layers.FourierFeatures) for x in plain.layers)


@pytest.mark.parametrize("shape", [(28, 28), (28,), (28, 28, 0), (28, 28, 1.0), ()])
def test_a_shape_that_is_no_image_is_refused(shape):
    with pytest.raises(ValueError, match=r"`input_shape` must be.*Received: input_shape="):
        networks.conv_encoder(shape)
    with pytest.raises(ValueError, match=r"`output_shape` must be.*Received: output_shape="):
        networks.conv_decoder(2, shape)


def test_a_shape_that_is_no_image_or_volume_is_refused():
    for shape in [(28, 28), (28,), (28, 28, 0), (2, 2, 2, 2, 1)]:
        with pytest.raises(ValueError, match=r"`input_shape` must be.*Received: input_shape="):
            networks.image_encoder(shape)
        with pytest.raises(ValueError, match=r"`output_shape` must be.*Received: output_shape="):
            networks.image_decoder(2, shape)


@pytest.mark.backends
@pytest.mark.parametrize("shape", [(6, 10, 3), (5, 4, 7, 2)], ids=str)
def test_images_and_volumes_of_odd_lengths(shape):
    encoder = networks.image_encoder(shape, (4, 12), units=(5,), condition_dim=2)
    decoder = networks.image_decoder(3, shape, (12, 4), units=(5,), condition_dim=2)
    condition = np.ones((2, 2), "float32")
    assert encoder([np.zeros((2, *shape), "float32"), condition]).shape == (2, 5)
    assert decoder([np.zeros((2, 3), "float32"), condition]).shape == (2, *shape)


@pytest.mark.parametrize("size", [16, 32, 64, 100, 128, 512])
def test_convolutions_lead_to_a_grid_of_about_four(size):
    filters = networks.fitting_filters((size, size, 3))
    assert networks.grid_size((size, size, 3), filters) == (4, 4)
    assert filters[0] == 32
    assert max(filters) <= 256


@pytest.mark.backends
@pytest.mark.parametrize("grid", [(2, 3), (2, 3, 2)], ids=str)
def test_subpixel_convolutions_put_channels_at_the_places_of_the_finer_grid(grid):
    lengths = tuple(2 * n for n in grid)
    decoder = networks.image_decoder(4, (*lengths, 3), filters=(5,))
    last = next(layer for layer in decoder.layers[::-1] if layer.weights)
    last.kernel.assign(np.random.default_rng(1).normal(size=last.kernel.shape))
    before = keras.Model(decoder.input, last.output)
    z = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
    coarse, fine = (ops.convert_to_numpy(network(z)) for network in (before, decoder))
    coarse = coarse.reshape(2, *grid, *[2] * len(grid), 3)
    for place in np.ndindex(*lengths):
        block, offset = (tuple(f(n, 2) for n in place) for f in (np.floor_divide, np.mod))
        np.testing.assert_array_equal(fine[:, *place], coarse[:, *block, *offset])


def test_subpixel_convolutions_start_without_checkerboards(tmp_path):
    decoder = networks.image_decoder(4, (8, 8, 3), filters=(16, 8))
    images = ops.convert_to_numpy(decoder(np.random.default_rng(0).normal(size=(2, 4))))
    assert images.std() > 0.01
    blocks = images.reshape(2, 4, 2, 4, 2, 3)
    for i, j in np.ndindex(2, 2):
        np.testing.assert_allclose(blocks[:, :, i, :, j], blocks[:, :, 0, :, 0], atol=1e-6)
    decoder.save(tmp_path / "decoder.keras")
    keras.saving.load_model(tmp_path / "decoder.keras")


def test_networks_are_plain_keras_models(tmp_path):
    network = networks.residual_decoder(3, (9, 7, 2), filters=(4,), units=(5,))
    network.save(tmp_path / "decoder.keras")
    loaded = keras.saving.load_model(tmp_path / "decoder.keras")
    z = np.ones((2, 3), "float32")
    np.testing.assert_array_equal(loaded(z), network(z))


SEQUENCES = {
    "convolutional": (networks.sequence_encoder, networks.sequence_decoder, 64),
    "recurrent": (networks.recurrent_encoder, networks.recurrent_decoder, 128),
}


@pytest.mark.parametrize("kind", SEQUENCES)
@pytest.mark.parametrize("shape", [(64, 3), (7, 1), (1, 2), (30, 5)], ids=str)
def test_sequences_of_any_length(kind, shape):
    encoder, decoder, features = SEQUENCES[kind]
    assert encoder(shape).output_shape == (None, features)
    assert decoder(5, shape).output_shape == (None, *shape)
    with pytest.raises(ValueError, match=r"must be \(steps, features\).*Received"):
        encoder((8, 8, 1))


@pytest.mark.slow
@pytest.mark.parametrize("kind", SEQUENCES)
def test_a_padded_step_contributes_nothing(kind):
    encoder, decoder, _ = SEQUENCES[kind]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 9, 2)).astype("float32")
    mask = np.broadcast_to(np.arange(9)[:, None] < rng.integers(3, 10, (12, 1, 1)), x.shape)
    results = []
    for padding in (0.0, np.nan, 1e6):
        keras.utils.set_random_seed(0)
        likelihood = likelihoods.Normal("shared")
        vae = keras_vae.VAE(encoder((9, 2)), decoder(2, (9, 2)), likelihood=likelihood, seed=0)
        vae.compile("adam")
        batch = {"x": np.where(mask, x, padding).astype("float32"), "mask": mask}
        vae.fit(batch, epochs=2, verbose=0)
        results.append([*vae.get_weights(), vae.encode(batch), vae.elbo(batch)])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
