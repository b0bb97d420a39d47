import keras
import numpy as np
import pytest
from checks import binary, dtype_policy, on_tensorflow

import keras_vae
from keras_vae import convolutions, networks

pytestmark = on_tensorflow


def transposed(filters=1, size=3, **options):
    return keras.layers.Conv2DTranspose(filters, size, **({"padding": "same"} | options))


def changed(layer):
    convolutions.with_one_product(layer)
    return "call" in vars(layer)


def conv_vae():
    keras.utils.set_random_seed(0)
    decoder = networks.conv_decoder(2, (8, 8, 1), filters=(8, 4))
    vae = keras_vae.VAE(networks.conv_encoder((8, 8, 1)), decoder, seed=0)
    vae.compile(keras.optimizers.Adam(0.01))
    return vae, decoder.layers[-1]


def values_and_gradients(layer, x):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        loss = tf.reduce_sum(y**2)
    return y, tape.gradient(loss, [x, *layer.trainable_weights])


@pytest.mark.parametrize(
    "shape", [(1, 2, 2, 1), (3, 4, 6, 5), (2, 5, 28, 32), (2, 4, 7, 3)], ids=str
)
@pytest.mark.parametrize("options", [{}, {"use_bias": False}, {"activation": "tanh"}], ids=str)
def test_values_and_gradients_are_those_of_keras(shape, options):
    rng = np.random.default_rng(0)
    x = keras.ops.convert_to_tensor(rng.normal(size=shape), "float32")
    layer = transposed(**options)
    layer.build(shape)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.weights])
    theirs = values_and_gradients(layer, x)
    assert changed(layer)
    ours = values_and_gradients(layer, x)
    for a, b in zip(*map(keras.tree.flatten, (theirs, ours)), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-4)


def test_second_derivatives_are_those_of_keras():
    import tensorflow as tf

    rng = np.random.default_rng(0)
    x = keras.ops.convert_to_tensor(rng.normal(size=(2, 4, 4, 3)), "float32")
    kernel = keras.ops.convert_to_tensor(rng.normal(size=(3, 3, 1, 3)), "float32")

    def second(convolution):
        with tf.GradientTape() as outer:
            outer.watch((x, kernel))
            with tf.GradientTape() as inner:
                inner.watch((x, kernel))
                y = tf.sin(convolution(x, kernel))
            first = inner.gradient(y, (x, kernel))
            length = sum(tf.reduce_sum(g**2) for g in first)
        return outer.gradient(length, (x, kernel))

    theirs = second(lambda x, k: keras.ops.conv_transpose(x, k, padding="same"))
    for a, b in zip(theirs, second(convolutions.to_one_channel), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    "options",
    [
        {"filters": 2},
        {"size": 5},
        {"strides": 2},
        {"padding": "valid"},
        {"dilation_rate": 2},
        {"data_format": "channels_first"},
        {"dtype": "mixed_float16"},
    ],
    ids=str,
)
def test_others_stay_as_they_are(options):
    assert not changed(transposed(**options))


def test_training_is_as_with_the_layers_of_keras(monkeypatch, tmp_path):
    def fit(vae):
        return vae.fit(x, epochs=3, batch_size=16, verbose=0).history["loss"]

    x = binary(64, (8, 8, 1))
    vae, last = conv_vae()
    ours = fit(vae)
    vae.save(tmp_path / "vae.keras")
    read = keras_vae.load_model(tmp_path / "vae.keras").decoder.layers[-1]
    assert type(last) is type(read) is keras.layers.Conv2DTranspose
    assert "call" in vars(last)
    assert "call" in vars(read)
    monkeypatch.setattr(convolutions, "with_one_product", lambda network: None)
    vae, last = conv_vae()
    assert "call" not in vars(last)
    np.testing.assert_allclose(ours, fit(vae), rtol=1e-5)


def test_exported_files_have_the_operations_of_keras(tmp_path):
    import tensorflow as tf

    vae, last = conv_vae()
    vae.export(tmp_path / "saved", component="decoder", verbose=False)
    assert "call" in vars(last)
    graph = tf.saved_model.load(str(tmp_path / "saved")).signatures["decode"].graph.as_graph_def()
    operations = [node.op for function in graph.library.function for node in function.node_def]
    assert operations.count("Conv2DBackpropInput") == 3


def test_an_export_leaves_layers_in_half_precision_as_they_are(tmp_path):
    with dtype_policy("mixed_float16"):
        vae, last = conv_vae()
    vae.export(tmp_path / "saved", component="decoder", verbose=False)
    assert last.compute_dtype == "float16"
    assert "call" not in vars(last)
