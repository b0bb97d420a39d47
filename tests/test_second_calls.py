"""Networks that a step calls a second time: in the mode, state and noise of the first call."""

import functools

import keras
import numpy as np
import pytest
from gradients import value_and_gradients
from keras import layers, ops

import keras_vae
from keras_vae import objectives, priors

ROWS = np.random.default_rng(0).integers(0, 2, (16, 6)).astype("float32")
X = np.tile(ROWS, (1250, 1))  # so many rows that the mean gradient is nearly its expectation
LAYERS = {
    "Dropout": lambda: [layers.Dropout(0.5)],
    "exact Dropout": lambda: [keras_vae.layers.Dropout(0.5)],
    "BatchNormalization": lambda: [layers.BatchNormalization()],
    "activity regularizer": lambda: [layers.ActivityRegularization(l2=0.05)],
}
RATE = 0.1


class Stack(keras.Model):
    """A decoder by subclassing, of which nothing is known before it is called."""

    def __init__(self, inside):
        super().__init__()
        self.inside = [layers.Dense(16, "relu"), *inside, layers.Dense(6)]

    def call(self, z):
        for layer in self.inside:
            z = layer(z)
        return z


def functional(inside):
    return keras.Sequential([keras.Input((2,)), layers.Dense(16, "relu"), *inside, layers.Dense(6)])


def subclassed(inside):
    decoder = Stack(inside)
    decoder(np.zeros((1, 2), "float32"))
    return decoder


def model(layer, make=functional, seed=0, **options):
    """A VAE with wide q and with weights that do not depend on the seed of its noise."""
    keras.utils.set_random_seed(0)
    encoder = keras_vae.networks.dense_encoder((6,), (8,))
    posterior, objective = keras_vae.posteriors.DiagonalNormal(2), objectives.IWAE(4, **options)
    decoder = make(LAYERS[layer]())
    vae = keras_vae.VAE(encoder, decoder, posterior, objective=objective, seed=seed)
    rng = np.random.default_rng(0)
    for weight in vae.trainable_weights:
        if len(weight.shape) == 2:
            weight.assign(rng.normal(0.0, 0.7, weight.shape))
    vae.compile(keras.optimizers.SGD(RATE))
    return vae


def step(vae):
    """The gradients that a step of `fit` takes: for encoder and posterior, and for the decoder."""
    before = [ops.convert_to_numpy(w).copy() for w in vae.trainable_weights]
    vae.fit(X, batch_size=len(X), shuffle=False, verbose=0)
    after = [ops.convert_to_numpy(w) for w in vae.trainable_weights]
    found = [np.ravel(b - a) / RATE for b, a in zip(before, after, strict=True)]
    own = {id(w) for w in vae.decoder.trainable_weights}
    parts = [(id(w) in own, g) for w, g in zip(vae.trainable_weights, found, strict=True)]
    return [np.concatenate([g for of, g in parts if of == wanted]) for wanted in (False, True)]


def distance(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


MAKERS = [("Dropout", functional), ("activity regularizer", functional)]
MAKERS += [("exact Dropout", subclassed)]


@functools.cache
def standard(layer, make, num_groups):
    """The gradients of the standard estimator of averaged bounds."""
    return step(model(layer, make, seed=1, num_groups=num_groups))


@pytest.mark.parametrize(("layer", "make"), MAKERS)
def test_dreg_has_the_gradient_of_the_standard_estimator(layer, make):
    found = step(model(layer, make, seed=2, gradient="doubly_reparameterized"))
    of_encoder, of_decoder = standard(layer, make, 1)
    assert distance(found[0], of_encoder) < 0.1
    assert distance(found[1], of_decoder) < 0.1


@pytest.mark.parametrize(("layer", "make"), [*MAKERS, ("BatchNormalization", functional)])
def test_piwae_has_one_bound_for_the_decoder_and_several_for_the_encoder(layer, make):
    found = step(model(layer, make, seed=2, gradient="partial", num_groups=2))
    assert distance(found[0], standard(layer, make, 2)[0]) < 0.1
    assert distance(found[1], standard(layer, make, 1)[1]) < 0.1


@pytest.mark.parametrize("make", [functional, subclassed])
def test_dreg_refuses_batch_normalization_unless_its_statistics_are_fixed(make):
    with pytest.raises(ValueError, match=r"`gradient` must .* BatchNormalization"):
        model("BatchNormalization", make, gradient="doubly_reparameterized")

    def frozen(inside):
        inside[0].trainable = False
        return make(inside)

    model("BatchNormalization", frozen, gradient="doubly_reparameterized")


def test_statistics_move_once_a_step():
    moved = []
    for options in ({}, {"gradient": "partial", "num_groups": 2}):
        vae = model("BatchNormalization", seed=1, **options)
        vae.fit(X, batch_size=len(X), verbose=0, shuffle=False)
        moved.append([ops.convert_to_numpy(v) for v in vae.decoder.non_trainable_variables])
    for one, other in zip(*moved, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


class Spy(layers.Layer):
    """Adds to its input whether it is called for training."""

    def call(self, x, training=None):
        return x + (100.0 if training else 0.0)


def test_networks_are_told_in_fit_that_they_are_trained():
    keras.utils.set_random_seed(0)
    encoder = keras.Sequential([keras.Input((6,)), Spy(), layers.Dense(8)])
    decoder = keras.Sequential([keras.Input((2,)), Spy(), layers.Dense(6)])
    means = []
    for network in (encoder, decoder):
        parts = [keras_vae.networks.dense_encoder((6,), (8,))]
        parts += [keras_vae.networks.dense_decoder(2, (6,), (8,))]
        parts[network is decoder] = network
        vae = keras_vae.VAE(*parts, likelihood=keras_vae.likelihoods.Normal(1.0), seed=0)
        vae.compile(keras.optimizers.SGD(0.0))
        history = vae.fit(ROWS, validation_data=(ROWS, ROWS), verbose=0).history
        means.append(history["loss"][0] / history["val_loss"][0])
    assert min(means) > 10  # the validation loss is that of the network without the 100


def test_vamp_prior_encodes_its_inputs_in_the_mode_of_the_step():
    """If all examples are pseudo-inputs, no example has a KL above the log of their number."""
    keras.utils.set_random_seed(0)
    inside = [layers.Dense(8, "relu"), Spy(), layers.Dense(8)]
    encoder, prior = keras.Sequential([keras.Input((6,)), *inside]), priors.VampPrior((6,), 16)
    vae = keras_vae.VAE(encoder, keras_vae.networks.dense_decoder(2, (6,), (8,)), prior=prior)
    vae.prior.pseudo_inputs.assign(ROWS)
    vae.compile(keras.optimizers.SGD(0.0))
    logs = vae.fit(ROWS, validation_data=(ROWS, ROWS), verbose=0).history
    assert max(logs["kl_loss"][0], logs["val_kl_loss"][0]) < np.log(16) + 0.01


@pytest.mark.parametrize("trainable", [True, False])
def test_vamp_prior_refuses_batch_normalization_unless_its_statistics_are_fixed(trainable):
    normalised = layers.BatchNormalization(trainable=trainable)
    encoder = keras.Sequential([keras.Input((6,)), normalised, layers.Dense(8)])
    networks = (encoder, keras_vae.networks.dense_decoder(2, (6,), (8,)))
    if trainable:
        with pytest.raises(ValueError, match=r"`prior`, a VampPrior, .* BatchNormalization"):
            keras_vae.VAE(*networks, prior=priors.VampPrior((6,), 4))
    else:
        keras_vae.VAE(*networks, prior=priors.VampPrior((6,), 4))


def test_vamp_prior_with_dropout_in_its_encoder_learns_from_masked_pseudo_inputs():
    """The gradient for the pseudo-inputs is 0 for all that a mask of everything hides."""
    encoder = keras.Sequential([keras.Input((6,)), layers.Dropout(0.999999), layers.Dense(8)])
    decoder = keras_vae.networks.dense_decoder(2, (6,), (8,))
    vae = keras_vae.VAE(encoder, decoder, prior=priors.VampPrior((6,), 4), seed=0)
    x = ops.convert_to_tensor(ROWS)
    for training, moves in ((True, False), (False, True)):
        _, found = value_and_gradients(
            lambda t=training: vae.compute_loss(x, y_pred=vae(x, training=t), training=t),
            [vae.prior.pseudo_inputs],
        )
        assert (np.abs(found[0]).max() > 1e-8) == moves


def test_an_activity_regularizer_of_an_encoder_counts_examples_only():
    """VampPrior calls the encoder again, with its pseudo-inputs."""
    losses = []
    for prior in (None, priors.VampPrior((6,), 4)):
        keras.utils.set_random_seed(0)
        encoder = keras.Sequential(
            [keras.Input((6,)), layers.Dense(8), layers.ActivityRegularization(l2=1.0)]
        )
        decoder = keras_vae.networks.dense_decoder(2, (6,), (8,))
        vae = keras_vae.VAE(encoder, decoder, prior=prior, seed=0)
        vae.compile(keras.optimizers.SGD(0.0))
        logs = vae.fit(ROWS, verbose=0, shuffle=False).history
        total = logs["loss"][0] - logs["reconstruction_loss"][0] - logs["kl_loss"][0]
        losses.append(total)
    encoder(ROWS)  # some versions of Keras divide by the number of rows, others do not
    expected = float(sum(encoder.losses))
    assert losses == pytest.approx([expected, expected], rel=1e-4)
