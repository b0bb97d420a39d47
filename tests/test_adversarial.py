import keras
import numpy as np
import pytest
import tensorflow as tf
from checks import binary
from reference import Reference

import keras_vae
from keras_vae import adversarial, networks, penalties, priors

pytestmark = pytest.mark.tensorflow

RNG = np.random.default_rng(0)
SGD = keras.optimizers.SGD


def small(kind=adversarial.TotalCorrelationAdversary, optimizers=None, weight=2.0, **parts):
    keras.utils.set_random_seed(0)
    adversary = kind(networks.discriminator(2, units=(8,)), weight)
    vae = adversarial.AdversarialVAE(
        networks.dense_encoder((6,), units=(8,)),
        networks.dense_decoder(2, (6,), units=(8,)),
        **{"penalties": [adversary], "seed": 3, **parts},
    )
    vae.compile(*(optimizers or [keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.02)]))
    return vae


def test_fit_equals_two_hand_written_descents():
    rates = 0.1, 0.2
    vae, twin = (small(optimizers=[keras.optimizers.SGD(r) for r in rates]) for _ in range(2))
    x = RNG.random((16, 6)).astype("float32")
    vae.fit(x, batch_size=16, epochs=5, verbose=0, shuffle=False)
    reference, network = Reference(twin), twin.adversary.discriminator
    own = [*twin.encoder.weights, *twin.posterior.weights, *twin.decoder.weights]
    for _ in range(5):
        with tf.GradientTape() as one, tf.GradientTape() as other:
            features = twin.encoder(x)
            mean = twin.posterior.mean_layer(features)
            log_variance = twin.posterior.log_variance_layer(features)
            noise = keras.random.normal((1, 16, 2), seed=reference.noise)[0]
            z = mean + tf.exp(0.5 * log_variance) * noise
            order = np.argsort(keras.random.uniform((16, 2), seed=reference.noise), axis=0)
            keras.random.uniform((), seed=reference.noise)
            shuffled = np.stack([z.numpy()[order[:, d], d] for d in range(2)], axis=1)
            entropy = tf.nn.sigmoid_cross_entropy_with_logits(x, twin.decoder(z))
            kl = 0.5 * tf.reduce_sum(mean**2 + tf.exp(log_variance) - log_variance - 1, 1)
            loss = tf.reduce_mean(tf.reduce_sum(entropy, 1) + kl + 2.0 * network(z)[:, 0])
            real, fake = tf.sigmoid(network(z.numpy())), tf.sigmoid(network(shuffled))
            cost = -0.5 * tf.reduce_mean(tf.math.log(real) + tf.math.log(1 - fake))
        groups = zip((one, other), (loss, cost), (own, network.weights), rates, strict=True)
        steps = [(tape.gradient(value, w), w, rate) for tape, value, w, rate in groups]
        for gradients, weights, rate in steps:
            for gradient, weight in zip(gradients, weights, strict=True):
                weight.assign_sub(rate * gradient)
    for ours, theirs in zip(vae.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


class FixedCodes:
    """What a discriminator needs of `LossTerms`, with new codes each step."""

    def __init__(self, codes, prior=None):
        self.z, self.weights = codes[None], np.ones(codes.shape[0], "float32")
        self.prior, self.seed = prior, SEED


SEED = keras.random.SeedGenerator(0)


def trained(adversary, draw, prior=None, steps=400):
    """The adversary after its discriminator has learned on draws of (N, 2) codes."""
    optimizer, network = keras.optimizers.Adam(3e-3), adversary.discriminator

    @tf.function
    def step(codes):
        with tf.GradientTape() as tape:
            loss = adversary.discriminator_loss(FixedCodes(codes, prior), True)
        optimizer.apply(tape.gradient(loss, network.trainable_weights), network.trainable_weights)

    optimizer.build(network.trainable_weights)
    for _ in range(steps):
        step(tf.constant(draw(512), "float32"))
    return adversary


def test_the_total_correlation_of_a_correlated_normal():
    keras.utils.set_random_seed(0)
    cover = np.array([[1.0, 0.8], [0.8, 1.0]])

    def draw(n):
        return RNG.multivariate_normal([0, 0], cover, n).astype("float32")

    network = networks.discriminator(2, units=(32, 32))
    part = trained(adversarial.TotalCorrelationAdversary(network), draw)
    found = np.mean(part.value(FixedCodes(draw(20_000))))
    assert found == pytest.approx(-0.5 * np.log(np.linalg.det(cover)), abs=0.06)


def test_the_discriminator_finds_the_log_ratio_of_two_normals():
    keras.utils.set_random_seed(0)
    prior = priors.StandardNormal()
    prior.build((None, 2))
    network = networks.discriminator(2, units=(32, 32))
    trained(adversarial.PriorAdversary(network), lambda n: 1.0 + RNG.normal(size=(n, 2)), prior)
    z = RNG.normal(size=(200, 2)).astype("float32") + 0.5
    assert np.mean(np.abs(network(z)[:, 0] - (z.sum(1) - 1.0))) < 0.25


def test_equal_weights_permute_and_a_zero_weight_leaves_the_reference():
    part = small().adversary
    codes = RNG.normal(size=(50, 2)).astype("float32")
    shuffled = np.asarray(part.reference(codes, np.full(50, 0.37, "float32"), FixedCodes(codes)))
    np.testing.assert_array_equal(np.sort(shuffled, 0), np.sort(codes, 0))
    weights = np.repeat([1.0, 0.0], 25).astype("float32")
    shuffled = np.asarray(part.reference(codes, weights, FixedCodes(codes)))
    assert set(shuffled.ravel().tolist()) <= set(codes[:25].ravel().tolist())


def test_the_reference_counts_as_much_as_the_weighted_codes():
    prior, codes = priors.StandardNormal(), RNG.normal(size=(5, 2)).astype("float32")
    prior.build((None, 2))
    adversary = adversarial.PriorAdversary(networks.discriminator(2, units=(8,)))
    terms = FixedCodes(codes, prior)
    terms.weights = np.float32([4.0, 0.0, 1.0, 2.5, 0.5])
    terms.seed = keras.random.SeedGenerator(3)
    draws = np.asarray(prior.sample(5, keras.random.SeedGenerator(3)))
    of_codes, of_draws = (np.asarray(adversary.discriminator(z))[:, 0] for z in (codes, draws))
    costs = np.log1p(np.exp(-of_codes)), np.log1p(np.exp(of_draws))
    expected = 0.5 * np.average(costs[0], weights=terms.weights) + 0.5 * costs[1].mean()
    found = adversary.discriminator_loss(terms, training=False)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_evaluation_repeats_and_trains_nothing():
    vae, x = small(), binary(30, (6,))
    vae.fit(x, verbose=0)
    before = vae.get_weights()
    logs = [vae.evaluate(x, verbose=0, return_dict=True) for _ in range(2)]
    assert logs[0] == logs[1]
    assert list(logs[0])[:4] == ["loss", "reconstruction_loss", "kl_loss", "total_correlation"]
    assert {"discriminator_loss", "discriminator_accuracy"} < set(logs[0])
    for a, b in zip(before, vae.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_fitted_prior_keeps_the_adversary():
    vae, x = small(), binary(30, (6,))
    vae.fit(x, verbose=0)
    fitted = vae.fit_prior(x, priors.NormalMixture(2), verbose=0)
    assert type(fitted) is type(vae)
    assert fitted.adversary is vae.adversary
    fitted.fit(x, verbose=0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: small(penalties=[]),
        lambda: small(penalties=[penalties.DIP()]),
        lambda: small(weight=-1.0),
        lambda: small(optimizers=[keras.optimizers.SGD(loss_scale_factor=8.0)]),
        lambda: small(optimizers=[SGD(), keras.optimizers.LossScaleOptimizer(SGD())]),
        lambda: adversarial.PriorAdversary(networks.dense_encoder((6,))),
        lambda: small(penalties=[adversarial.PriorAdversary(networks.discriminator(3))]),
        lambda: keras_vae.VAE(
            networks.dense_encoder((6,)),
            networks.dense_decoder(2, (6,)),
            penalties=[adversarial.PriorAdversary(networks.discriminator(2))],
        ),
    ],
)
def test_what_does_not_fit_is_refused(make):
    with pytest.raises(ValueError, match="Received"):
        make()
