"""Learned values in the place of missing ones."""

import json

import keras
import numpy as np
import pytest
from gradients import value_and_gradients
from keras import ops

import keras_vae
from keras_vae import VAE, layers, likelihoods, networks
from keras_vae.recipes.fitting import on_logarithms

RNG = np.random.default_rng(0)
FILLS = np.float32([0.5, -1.0, 2.0, 0.0, 3.0, -2.0])


def missing(rows=8, features=6, value=np.nan):
    """(x with `value` at missing entries, mask)."""
    x = RNG.normal(size=(rows, features)).astype("float32")
    mask = RNG.random(x.shape) > 0.4
    return np.where(mask, x, np.float32(value)), mask


def filling_vae(learned_fill=True, **parts):
    keras.utils.set_random_seed(0)
    vae = VAE(
        networks.dense_encoder((6,), (8,), learned_fill=learned_fill),
        networks.dense_decoder(2, (6,), (8,)),
        likelihood=likelihoods.Normal(0.5),
        seed=0,
        **parts,
    )
    vae.compile("adam", run_eagerly=True)
    return vae


def fill_of(encoder):
    return next(layer for layer in encoder.layers if isinstance(layer, layers.LearnedFill))


@pytest.mark.parametrize("indicators", [False, True])
def test_missing_values_become_those_of_their_feature(indicators):
    x, mask = missing()
    layer = layers.LearnedFill(indicators=indicators)
    layer.build((None, 6))
    layer.set_weights([FILLS])
    found = ops.convert_to_numpy(layer(x))
    np.testing.assert_array_equal(found[:, :6], np.where(mask, x, FILLS))
    assert found.shape == tuple(layer.compute_output_shape(x.shape))
    if indicators:
        np.testing.assert_array_equal(found[:, 6:], ~mask)


def test_an_axis_of_any_length_shares_its_values():
    layer = layers.LearnedFill()
    layer.build((None, None, 6))
    layer.set_weights([FILLS[None]])
    found = ops.convert_to_numpy(layer(np.full((2, 3, 6), np.nan, "float32")))
    np.testing.assert_array_equal(found, np.broadcast_to(FILLS, (2, 3, 6)))


def test_the_config_makes_the_same_layer():
    layer = layers.LearnedFill(indicators=True, initializer="ones", name="fill")
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == layer.get_config()
    again.build((None, 2))
    np.testing.assert_array_equal(again.get_weights()[0], [1.0, 1.0])


def test_only_missing_entries_move_the_values_and_gradients_are_finite():
    x, mask = missing()
    layer = layers.LearnedFill()
    layer.build((None, 6))
    _, (of_values, of_x) = value_and_gradients(
        lambda x: ops.sum(layer(x)), layer.trainable_weights, [x]
    )
    np.testing.assert_array_equal(of_values, np.sum(~mask, axis=0))
    np.testing.assert_array_equal(of_x, mask)


def test_at_the_start_it_equals_a_fixed_value_of_zero():
    x, mask = missing()
    constant, learned = (filling_vae(fill) for fill in (False, True))
    for score in ("encode", "elbo"):
        expected, found = (getattr(v, score)({"x": x, "mask": mask}) for v in (constant, learned))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_all_methods_see_the_learned_values(tmp_path):
    (x, mask), vae = missing(), filling_vae()
    fill_of(vae.encoder).set_weights([FILLS])
    batch = {"x": x, "mask": mask}
    filled = np.where(mask, x, FILLS)
    np.testing.assert_allclose(vae.encode(batch), vae.encode(filled), rtol=1e-6)
    np.testing.assert_allclose(
        vae.predict(batch, verbose=0), vae.predict(filled, verbose=0), rtol=1e-6
    )
    counted = {"x": filled, "target_mask": mask}  # the same, with the values put in by hand
    np.testing.assert_allclose(vae.elbo(batch), vae.elbo(counted), rtol=1e-5)
    logs = [vae.evaluate(data, return_dict=True, verbose=0)["loss"] for data in (batch, counted)]
    np.testing.assert_allclose(*logs, rtol=1e-5)
    np.testing.assert_array_equal(vae.impute(x, mask, num_samples=5)[mask], x[mask])
    vae.save(tmp_path / "vae.keras")
    loaded = keras_vae.load_model(tmp_path / "vae.keras")
    assert loaded.encoder_fills_missing
    np.testing.assert_array_equal(loaded.elbo(batch), vae.elbo(batch))


def test_missing_values_are_no_bad_values_and_others_still_are():
    (x, mask), vae = missing(), filling_vae()
    good = {"x": x, "mask": mask}
    logs = vae.fit((batch for batch in (good, good)), verbose=0, steps_per_epoch=2).history
    assert np.isfinite(logs["loss"][0])
    assert np.isfinite(vae.encode(batch for batch in (good, good))).all()
    bad = {"x": x, "mask": np.ones_like(mask)}
    with pytest.raises(ValueError, match=r"`x` must be finite"):
        vae.fit(bad, verbose=0)
    with pytest.raises(ValueError, match="first in batch 1"):
        vae.fit((batch for batch in (good, bad)), verbose=0, steps_per_epoch=2)


def test_the_values_learn_the_mean_where_nothing_else_can():
    """x_i ~ 3 + z: by symmetry the best value for a missing x_1 is the mean of x_0, which is 3."""
    keras.utils.set_random_seed(0)
    encoder = networks.dense_encoder((2,), (), learned_fill=True)
    decoder = networks.dense_decoder(1, (2,), ())
    vae = VAE(encoder, decoder, likelihood=likelihoods.Normal(0.5), seed=0)
    weights = [[[0.5], [0.5]], [-3.0], [[0.0], [0.0]], [-3.0]]
    vae.posterior.set_weights([np.float32(w) for w in weights])
    vae.decoder.set_weights([np.float32([[1.0, 1.0]]), np.float32([3.0, 3.0])])
    for part in (vae.posterior, vae.decoder):
        part.trainable = False
    vae.compile(keras.optimizers.Adam(0.1))
    x = 3 + RNG.normal(size=(400, 1)) * np.ones(2)
    batch = {"x": x.astype("float32"), "mask": np.tile([True, False], (400, 1))}
    before = vae.elbo(batch).mean()
    vae.fit(batch, epochs=20, batch_size=100, verbose=0)
    values = fill_of(vae.encoder).get_weights()[0]
    np.testing.assert_allclose(values, [0.0, x.mean()], atol=0.15)
    assert vae.elbo(batch).mean() > before


def sequential(*inside):
    return keras.Sequential([keras.Input((6,)), *inside])


FILLING = {
    "dense": lambda: networks.dense_encoder((6,), (8,), learned_fill=True),
    "conditional": lambda: networks.dense_encoder((6,), (8,), condition_dim=3, learned_fill=True),
    "of logarithms": lambda: on_logarithms(networks.dense_encoder((6,), (8,), learned_fill=True)),
    "sequential": lambda: sequential(layers.LearnedFill(True), keras.layers.Dense(3)),
    "scaled": lambda: sequential(keras.layers.Rescaling(0.5), layers.LearnedFill()),
}


@pytest.mark.parametrize("encoder", FILLING)
def test_encoders_that_fill_are_recognised(encoder):
    assert layers.fills_missing(FILLING[encoder]())
    assert not layers.fills_missing(networks.dense_encoder((6,), (8,)))


def test_an_encoder_that_mixes_first_is_refused():
    inner = networks.dense_encoder((6,), (8,), learned_fill=True)
    for inside in ([layers.LearnedFill(), keras.layers.Dense(3)], [inner]):
        encoder = sequential(keras.layers.Dense(6, name="mix"), *inside)
        with pytest.raises(ValueError, match=r"`encoder` must .*first.*Received: .*'mix'"):
            VAE(encoder, networks.dense_decoder(2, (6,), (8,)))


def test_a_ladder_fills_too():
    keras.utils.set_random_seed(0)
    groups, inputs = [(2,), (3,)], keras.Input((6,))
    fill = layers.LearnedFill(initializer="ones")
    features = keras_vae.hierarchical.bottom_up((6,), groups, 8)(fill(inputs))
    ladder = keras_vae.hierarchical.HierarchicalVAE(
        keras.Model(inputs, features), keras_vae.hierarchical.TopDown(groups, (6,), 8), seed=0
    )
    x = RNG.integers(0, 2, (8, 6)).astype("float32")
    mask = RNG.random(x.shape) > 0.4
    np.testing.assert_allclose(
        ladder.encode({"x": x, "mask": mask}), ladder.encode(np.where(mask, x, 1.0)), rtol=1e-6
    )
