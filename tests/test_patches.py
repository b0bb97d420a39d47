"""The penalty of reconstructed images: its loss, its adaptive weight, and when it starts."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_vae
from keras_vae import adversarial, autodiff, likelihoods, networks, penalties

RNG = np.random.default_rng(0)
SGD = keras.optimizers.SGD
KINDS = adversarial.PatchAdversary.kinds


def linear_discriminator(features):
    """One logit that is linear in an example, with weights that are not small."""
    inputs = keras.Input((features,))
    network = keras.Model(inputs, layers.Dense(1, kernel_initializer="ones")(inputs))
    return network


def small(features=6, network=None, others=(), likelihood=None, rates=(0.1, 0.2), **options):
    keras.utils.set_random_seed(0)
    network = network or linear_discriminator(features)
    adversary = adversarial.PatchAdversary(network, 0.5, **options)
    vae = adversarial.AdversarialVAE(
        networks.dense_encoder((features,), units=(8,)),
        networks.dense_decoder(2, (features,), units=(8,)),
        likelihood=likelihood or likelihoods.Normal(0.5),
        penalties=[adversary, *others],
        seed=3,
    )
    vae.compile(*map(SGD, rates))
    return vae


def rows(count=16, features=6):
    return RNG.random((count, features)).astype("float32")


@pytest.mark.backends
def test_gradients_of_two_numbers():
    x = ops.convert_to_tensor([1.0, 2.0, 3.0])
    found = autodiff.gradients(lambda a: [ops.sum(a**2), ops.prod(a)], x)
    np.testing.assert_allclose(ops.convert_to_numpy(found[0]), [2.0, 4.0, 6.0], rtol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(found[1]), [6.0, 3.0, 2.0], rtol=1e-6)


@pytest.mark.backends
def test_the_adaptive_weight_is_the_ratio_of_gradients_at_the_last_layer():
    """In closed form: decoder and discriminator are linear, and so is the perceptual network."""
    perceptual = penalties.Perceptual(keras.Sequential([keras.Input((6,)), layers.Dense(3)]), 2.0)
    vae, x, weights = small(others=[perceptual]), rows(), RNG.random(16).astype("float32")
    outputs = vae(x)
    density = vae.likelihood.log_prob
    batch = keras_vae.batch.Batch(**outputs["batch"])
    terms = vae._terms(batch, outputs, density, ops.convert_to_tensor(weights))
    found = terms.gradient_ratio(vae.adversary.penalty_of_images)
    z, made = (ops.convert_to_numpy(outputs[key][0]) for key in ("z", "params"))
    hidden = ops.convert_to_numpy(keras.Model(vae.decoder.input, vae.decoder.layers[-2].input)(z))
    seen = ops.convert_to_numpy(perceptual.network.weights[0])
    by_image = (made - x) / 0.25 + 2.0 * 2.0 * (made - x) @ seen @ seen.T
    shares = (weights / weights.sum())[:, None]
    first = np.linalg.norm(hidden.T @ (shares * by_image))
    second = np.linalg.norm(hidden.T @ (shares * -np.ones_like(made)))
    np.testing.assert_allclose(ops.convert_to_numpy(found), first / (second + 1e-4), rtol=1e-4)


@pytest.mark.tensorflow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("adaptive", [True, False])
def test_fit_equals_two_hand_written_descents(kind, adaptive):
    import tensorflow as tf
    from reference import Reference

    options = {"kind": kind, "adaptive": adaptive, "start": 2}
    network = [networks.discriminator(6, units=(5,)) for _ in range(2)]
    network[1].set_weights(network[0].get_weights())
    vae, twin = (small(network=n, **options) for n in network)
    x = rows()
    vae.fit(x, batch_size=16, epochs=4, verbose=0, shuffle=False)
    noise, judge = Reference(twin).noise, network[1]
    own = [*twin.encoder.weights, *twin.posterior.weights, *twin.decoder.weights]
    for step in range(4):
        with tf.GradientTape(persistent=True) as tape:
            features = twin.encoder(x)
            mean = twin.posterior.mean_layer(features)
            log_variance = twin.posterior.log_variance_layer(features)
            noises = keras.random.normal((1, 16, 2), seed=noise)[0]
            made = twin.decoder(mean + tf.exp(0.5 * log_variance) * noises)
            error = tf.reduce_sum((x - made) ** 2, 1) / (2 * 0.25) + 6 * np.log(
                0.5 * np.sqrt(2 * np.pi)
            )
            kl = 0.5 * tf.reduce_sum(mean**2 + tf.exp(log_variance) - log_variance - 1, 1)
            said = judge(made)[:, 0]
            penalty = tf.reduce_mean(-said if kind == "hinge" else -tf.math.log_sigmoid(said))
            real, fake = judge(x)[:, 0], judge(tf.stop_gradient(made))[:, 0]
            if kind == "hinge":
                costs = tf.nn.relu(1 - real) + tf.nn.relu(1 + fake)
            else:
                costs = -tf.math.log_sigmoid(real) - tf.math.log_sigmoid(-fake)
            cost, reconstruction = 0.5 * tf.reduce_mean(costs), tf.reduce_mean(error)
            bound = reconstruction + tf.reduce_mean(kl)
        factor = 0.5 * (step >= 2)
        if adaptive:
            kernel = twin.decoder.trainable_variables[-2]
            norms = [tf.norm(tape.gradient(v, kernel)) for v in (reconstruction, penalty)]
            factor *= norms[0] / (norms[1] + 1e-4)
        bases = [tape.gradient(bound, w) for w in own]
        extra = [tape.gradient(penalty, w, unconnected_gradients="zero") for w in own]
        costs = [tape.gradient(cost, w) for w in judge.weights]
        for weight, a, b in zip(own, bases, extra, strict=True):
            weight.assign_sub(0.1 * (a + factor * b))
        for weight, gradient in zip(judge.weights, costs, strict=True):
            weight.assign_sub(0.2 * gradient)
    for ours, theirs in zip(vae.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.backends
def test_training_and_evaluation_log_the_discriminator():
    vae, x = small(network=networks.discriminator(6, units=(8,))), rows(30)
    vae.fit(x, epochs=2, verbose=0)
    logs = [vae.evaluate(x, verbose=0, return_dict=True) for _ in range(2)]
    assert logs[0] == logs[1]
    assert {"adversarial_loss", "discriminator_loss", "discriminator_accuracy"} < set(logs[0])


def test_a_discriminator_of_patches_judges_each_image_alone():
    keras.utils.set_random_seed(0)
    network = networks.patch_discriminator((32, 32, 3), filters=(4, 6))
    x = RNG.random((5, 32, 32, 3)).astype("float32")
    logits = ops.convert_to_numpy(network(x, training=True))
    assert logits.shape == (5, 8, 8, 1)
    np.testing.assert_allclose(ops.convert_to_numpy(network(x[2:3])), logits[2:3], atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: small(kind="wasserstein"), "`kind` must be one of"),
        (lambda: small(start=-1), "`start` must be an integer"),
        (lambda: small(start=2.5), "`start` must be an integer"),
        (lambda: small(network=networks.dense_encoder((6,))), "`discriminator` must be a built"),
        (lambda: small(network=linear_discriminator(5)), "`discriminator` must take images"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=f"{message}.*Received"):
        make()
