import keras
import numpy as np
import pytest
import tensorflow as tf
from checks import built
from scipy import integrate, stats

from keras_vae import divergences, flows, posteriors, priors
from keras_vae.posteriors import DiagonalNormal

pytestmark = pytest.mark.tensorflow

RNG = np.random.default_rng(0)
MEAN = np.array([[0.5, -1.0, 2.0], [0.0, 3.0, -2.0]], "float32")
SCALE = np.array([[0.5, 1.0, 2.0], [0.1, 1.5, 0.7]], "float32")
Q = {"mean": MEAN, "log_variance": 2 * np.log(SCALE)}


@pytest.fixture(scope="module")
def posterior():
    return DiagonalNormal(3)


def test_moments_of_the_draws(posterior):
    z = posterior.sample(Q, 40_000, keras.random.SeedGenerator(0)).numpy()
    assert z.shape == (40_000, 2, 3)
    assert np.all(np.abs(z.mean(0) - MEAN) < 5 * SCALE / np.sqrt(40_000))
    np.testing.assert_allclose(z.std(0), SCALE, rtol=5 / np.sqrt(2 * 40_000))
    correlation = np.corrcoef(z.reshape(40_000, 6).T) - np.eye(6)
    assert np.abs(correlation).max() < 5 / np.sqrt(40_000)


def test_log_prob_is_that_of_scipy(posterior):
    z = np.random.default_rng(0).normal(size=(4, 2, 3)).astype("float32")
    expected = [
        stats.multivariate_normal(m, np.diag(s**2)).logpdf(z[:, i])
        for i, (m, s) in enumerate(zip(MEAN, SCALE, strict=True))
    ]
    np.testing.assert_allclose(posterior.log_prob(Q, z), np.transpose(expected), rtol=1e-4)


def test_mean_and_log_variance_are_linear_in_the_features(posterior):
    rng = np.random.default_rng(0)
    posterior.build((None, 4))
    weights = [rng.normal(size=w.shape) for w in posterior.get_weights()]
    posterior.set_weights(weights)
    features = rng.normal(size=(5, 4)).astype("float32")
    q = posterior(features)
    np.testing.assert_allclose(q["mean"], features @ weights[0] + weights[1], atol=1e-5)
    np.testing.assert_allclose(q["log_variance"], features @ weights[2] + weights[3], atol=1e-5)
    np.testing.assert_array_equal(posterior.mean(q), q["mean"])


def test_gradients_reach_mean_and_log_variance(posterior):
    mean, log_variance = tf.constant(MEAN), tf.constant(Q["log_variance"])
    with tf.GradientTape() as tape:
        tape.watch([mean, log_variance])
        z = posterior.sample({"mean": mean, "log_variance": log_variance}, 1, 3)
        total = tf.reduce_sum(z)
    to_mean, to_log_variance = tape.gradient(total, [mean, log_variance])
    np.testing.assert_array_equal(to_mean, np.ones_like(MEAN))
    np.testing.assert_allclose(to_log_variance, (z[0] - MEAN) / 2, rtol=1e-4, atol=1e-6)


def test_the_log_variance_is_what_the_encoder_says_unless_it_is_extreme():
    posterior = DiagonalNormal(1)
    usual = np.linspace(-10, 4, 200, dtype="float32")[:, None]
    found = posterior([usual, usual])["log_variance"]
    np.testing.assert_array_equal(found, usual)
    raw = tf.constant(np.linspace(-40, 30, 701, dtype="float32")[:, None])
    with tf.GradientTape() as tape:
        tape.watch(raw)
        total = tf.reduce_sum(posterior([raw, raw])["log_variance"])
    slope = tape.gradient(total, raw).numpy()[:, 0]
    assert np.all((slope > 0) & (slope <= 1))
    assert np.abs(np.diff(slope)).max() < 0.1  # no jump at -10 and 4, in steps of 0.1


@pytest.mark.parametrize("size", [1e3, 1e6])
def test_extreme_features_stay_finite(size):
    posterior = DiagonalNormal(2)
    features = tf.constant([[size, -size], [-size, size]], "float32")
    with tf.GradientTape() as tape:
        q = posterior(features)
        loss = tf.reduce_sum(tf.exp(q["log_variance"])) + tf.reduce_sum(posterior.sample(q, 1, 0))
    assert np.isfinite(loss)
    assert np.min(q["log_variance"]) >= -20
    assert np.max(q["log_variance"]) <= 6
    gradients = tape.gradient(loss, posterior.trainable_weights)
    assert all(np.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("latent_dim", [0, -1, 2.5, "2"])
def test_a_latent_dim_that_is_none_is_refused(latent_dim):
    with pytest.raises(ValueError, match=r"`latent_dim` must be.*Received: latent_dim="):
        DiagonalNormal(latent_dim)


def test_features_that_are_no_vectors_are_refused():
    with pytest.raises(ValueError, match=r"must return one vector.*Received"):
        DiagonalNormal(2).build((None, 4, 4, 8))


def test_without_a_linear_layer_each_place_of_a_grid_keeps_its_own():
    grid = np.random.default_rng(0).normal(size=(2, 3, 4, 2, 2)).astype("float32")
    posterior = DiagonalNormal(24, linear=False)
    q = posterior(grid.reshape(2, 48))
    assert not posterior.weights
    np.testing.assert_array_equal(q["mean"], grid[..., 0].reshape(2, 24))
    np.testing.assert_allclose(q["log_variance"], grid[..., 1].reshape(2, 24), rtol=1e-6)


def test_without_a_linear_layer_the_features_are_counted():
    with pytest.raises(ValueError, match=r"must return 6 features.*Received"):
        DiagonalNormal(3, linear=False)(np.zeros((2, 5), "float32"))


def made(posterior, features=4, scale=0.5):
    """A posterior of random weights and its q for 3 examples."""
    built(posterior, (None, features))
    for weight in posterior.trainable_weights:
        weight.assign(scale * RNG.normal(size=weight.shape))
    return posterior, posterior(RNG.normal(size=(3, features)).astype("float32"))


def draws(posterior, q, count=20_000, step=None):
    z, log_prob = posterior.sample_and_log_prob(q, count, keras.random.SeedGenerator(1), step)
    return np.asarray(z), np.asarray(log_prob)


def check_kl(posterior, q, prior):
    """The closed form lies within five standard errors of the sampled one."""
    if not prior.built:
        prior.build((None, posterior.latent_dim))
    z, log_q = draws(posterior, q)
    samples = log_q - np.asarray(prior.log_prob(z))
    exact = np.asarray(divergences.kl(posterior, q, prior, log_q, prior.log_prob(z)))
    error = samples.std(0) / np.sqrt(len(samples))
    assert np.all(np.abs(samples.mean(0) - exact) < 5 * error + 1e-3)
    return exact


def test_a_full_normal_is_that_of_scipy():
    posterior, q = made(posteriors.FullNormal(4))
    z, log_prob = draws(posterior, q)
    for i in range(3):
        mean, scale = q["mean"][i].numpy(), q["scale"][i].numpy().astype("float64")
        truth = stats.multivariate_normal(mean, scale @ scale.T)
        np.testing.assert_allclose(log_prob[:50, i], truth.logpdf(z[:50, i]), rtol=1e-3, atol=1e-3)
        size = np.abs(truth.cov).max()
        np.testing.assert_allclose(np.cov(z[:, i].T), truth.cov, atol=0.06 * size)
        np.testing.assert_allclose(z[:, i].mean(0), mean, atol=0.04 * np.sqrt(size))


def test_the_kl_of_a_full_normal_is_the_textbook_one():
    posterior, q = made(posteriors.FullNormal(4))
    exact = check_kl(posterior, q, priors.StandardNormal())
    for i in range(3):
        mean, scale = q["mean"][i].numpy(), q["scale"][i].numpy().astype("float64")
        covariance = scale @ scale.T
        log_det = np.linalg.slogdet(covariance)[1]
        expected = 0.5 * (np.trace(covariance) + mean @ mean - 4 - log_det)
        assert float(exact[i]) == pytest.approx(expected, rel=1e-4)
    prior = built(priors.LearnedNormal(), (None, 4))
    prior.set_weights([RNG.normal(size=w.shape) for w in prior.get_weights()])
    check_kl(posterior, q, prior)


@pytest.mark.parametrize("cls", [posteriors.DiagonalNormal, posteriors.FullNormal])
def test_a_density_of_many_codes_under_many_posteriors_is_that_of_each_pair(cls):
    posterior, q = made(cls(2))
    z = RNG.normal(size=(5, 7, 1, 2)).astype("float32")
    together = posterior.log_prob(q, z)
    assert together.shape == (5, 7, 3)
    for m in range(3):
        alone = {key: value[m : m + 1] for key, value in q.items()}
        expected = posterior.log_prob(alone, z.reshape(35, 1, 2))
        np.testing.assert_allclose(
            np.reshape(together[..., m], 35), np.reshape(expected, 35), rtol=1e-4
        )


def test_exact_classes_come_as_often_as_they_are_probable():
    posterior, q = made(posteriors.Categorical(2, 3), scale=1.0)
    z, log_prob = draws(posterior, q)
    assert set(np.unique(z)) == {0.0, 1.0}
    probabilities = np.exp(q["log_probs"])
    error = 5 * np.sqrt(probabilities * (1 - probabilities) / len(z)) + 1e-4
    assert np.all(np.abs(z.reshape(-1, 3, 2, 3).mean(0) - probabilities) < error)
    chosen = np.where(z[0].reshape(3, 2, 3) > 0, q["log_probs"], 0).sum((1, 2))
    np.testing.assert_allclose(log_prob[0], chosen, rtol=1e-5)
    check_kl(posterior, q, priors.UniformCategorical(3))
    entropies = [stats.entropy(p) for p in probabilities[0]]
    exact = divergences.kl(posterior, q, built(priors.UniformCategorical(3), (None, 6)), None, None)
    assert float(exact[0]) == pytest.approx(2 * np.log(3) - sum(entropies), rel=1e-4)


def test_relaxed_classes_sum_to_one_and_harden_as_the_temperature_falls():
    sharpness = []
    for temperature in (5.0, 0.5, 0.01):
        posterior, q = made(posteriors.Categorical(2, 3, temperature))
        z, _ = draws(posterior, q, 1000, step=0)
        np.testing.assert_allclose(z.reshape(-1, 3, 2, 3).sum(-1), 1.0, rtol=1e-5)
        sharpness.append(z.max(-1).mean())
    assert sharpness[0] < sharpness[1] < sharpness[2]
    assert sharpness[2] > 0.97


def test_the_temperature_follows_its_schedule():
    cooling = keras.optimizers.schedules.PolynomialDecay(5.0, 100, end_learning_rate=0.01)
    posterior, q = made(posteriors.Categorical(2, 3, cooling))
    fixed = built(posteriors.Categorical(2, 3, 0.01), (None, 4))
    np.testing.assert_allclose(
        draws(posterior, q, 10, step=100)[0], draws(fixed, q, 10, step=0)[0], atol=1e-4
    )


def test_straight_through_codes_are_exact_and_have_a_gradient():
    posterior, q = made(posteriors.Categorical(2, 3, straight_through=True))
    log_probs = tf.constant(q["log_probs"])
    with tf.GradientTape() as tape:
        tape.watch(log_probs)
        z, _ = posterior.sample_and_log_prob(
            {"log_probs": log_probs}, 4, keras.random.SeedGenerator(0), step=0
        )
        total = tf.reduce_sum(z * np.arange(6, dtype="float32"))
    np.testing.assert_allclose(np.sort(np.unique(z))[[0, -1]], [0, 1], atol=1e-6)
    assert np.abs(tape.gradient(total, log_probs)).max() > 1e-3


@pytest.mark.parametrize("dim", [2, 3, 10])
def test_directions_are_of_length_one_and_spread_as_their_concentration_says(dim):
    posterior, q = made(posteriors.VonMisesFisher(dim))
    z, log_prob = draws(posterior, q)
    np.testing.assert_allclose(np.linalg.norm(z, axis=-1), 1.0, rtol=1e-5)
    for i in range(3):
        mean, k = q["direction"][i].numpy(), float(np.exp(q["log_concentration"][i]))
        truth = stats.vonmises_fisher(mean / np.linalg.norm(mean.astype("float64")), k)
        np.testing.assert_allclose(log_prob[:50, i], truth.logpdf(z[:50, i]), rtol=2e-3, atol=5e-3)
        sample = truth.rvs(20_000, random_state=0)
        error = 5 * np.sqrt(2 / 20_000)
        np.testing.assert_allclose(z[:, i].mean(0), sample.mean(0), atol=error)
        np.testing.assert_allclose(np.cov(z[:, i].T), np.cov(sample.T), atol=error)
    check_kl(posterior, q, priors.UniformSphere())


@pytest.mark.parametrize("flow", [flows.Autoregressive, flows.Coupling])
def test_the_density_of_a_draw_is_that_by_the_inverse(flow):
    steps = [flow(8), flow(8)]
    posterior, q = made(posteriors.NormalizingFlow(posteriors.DiagonalNormal(3), steps), scale=0.3)
    assert posterior.invertible
    z, log_prob = draws(posterior, q, 50)
    np.testing.assert_allclose(posterior.log_prob(q, z), log_prob, rtol=1e-3, atol=1e-3)


def test_a_planar_flow_of_a_normal_has_the_density_of_its_draws():
    posterior, q = made(
        posteriors.NormalizingFlow(posteriors.DiagonalNormal(1), [flows.Planar()]), scale=1.0
    )
    assert not posterior.invertible
    for i in range(3):
        z, log_prob = (a[:, i] for a in draws(posterior, q))
        order = np.argsort(z[:, 0])
        total = integrate.trapezoid(np.exp(log_prob[order]), z[order, 0])
        assert total == pytest.approx(1.0, abs=0.02)


def test_bad_arguments_are_refused():
    for make in (
        lambda: posteriors.VonMisesFisher(1),
        lambda: posteriors.FullNormal(0),
        lambda: posteriors.Categorical(0, 2),
        lambda: posteriors.Categorical(2, 2, temperature=0.0),
    ):
        with pytest.raises(ValueError, match=r"must be .*Received: "):
            make()
