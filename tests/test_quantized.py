import itertools

import keras
import numpy as np
import pytest
import scipy.spatial
import tensorflow as tf
from checks import binary
from parts import of_role

import keras_vae
from keras_vae import networks, objectives, quantized, recipes

pytestmark = pytest.mark.tensorflow

RNG = np.random.default_rng(0)


def small(posterior=None, x_shape=(6,), **parts):
    """A dense model of 4 codes of length 2, compiled."""
    keras.utils.set_random_seed(0)
    posterior = posterior or quantized.VectorQuantizer(4, 5, 2)
    features = posterior.num_latents * posterior.code_dim
    if isinstance(posterior, quantized.VectorQuantizer):
        parts = {"penalties": [quantized.Commitment()], **parts}
    vae = keras_vae.VAE(
        networks.dense_encoder(x_shape, units=(features,)),
        networks.dense_decoder(posterior.latent_dim, x_shape, units=(8,)),
        posterior,
        seed=0,
        **parts,
    )
    vae.compile(keras.optimizers.Adam(0.01))
    return vae


POSTERIORS = {
    name: example.make for name, example in of_role("posterior").items() if "Quantizer" in name
}


def built(quantizer):
    quantizer.build((None, quantizer.num_latents * quantizer.code_dim))
    return quantizer


def test_each_vector_goes_to_the_nearest_code():
    part = built(quantized.VectorQuantizer(3, 7, 4))
    part.codebook.assign(RNG.normal(size=(7, 4)))
    features = RNG.normal(size=(10, 12)).astype("float32")
    q = part(features)
    _, nearest = scipy.spatial.cKDTree(part.codebook.numpy()).query(features.reshape(10, 3, 4))
    np.testing.assert_array_equal(part.nearest(q["features"]), nearest)
    z = part.mean(q)
    np.testing.assert_array_equal(z, part.codebook.numpy()[nearest].reshape(10, 12))
    np.testing.assert_array_equal(part.indices(z), nearest)


def observe(part, features, weights=None, training=True, seed=0):
    """One step's `update_state` of features (B, N · code_dim)."""
    features = np.asarray(features, "float32")
    weights = np.ones(len(features)) if weights is None else np.asarray(weights)
    seed = keras.random.SeedGenerator(seed) if isinstance(seed, int) else seed
    part.update_state(part(features), weights.astype("float32"), training, seed)


def test_the_codebook_is_the_moving_average_of_what_it_stands_for():
    part = built(quantized.VectorQuantizer(1, 2, 1, decay=0.9, restart=0.0))
    part.codebook.assign([[0.0], [10.0]])
    part.count.assign([4.0, 2.0])
    observe(part, [[1.0], [2.0], [9.0]])
    # counts 0.9 (4, 2) + 0.1 (2, 1), sums 0.9 (0, 20) + 0.1 (3, 9)
    np.testing.assert_allclose(part.count, [3.8, 1.9], rtol=1e-6)
    np.testing.assert_allclose(part.codebook[:, 0], [0.3 / 3.8, 18.9 / 1.9], rtol=1e-6)


def test_the_moving_average_weighs_rows_by_their_sample_weights():
    part = built(quantized.VectorQuantizer(1, 2, 1, decay=0.9, restart=0.0))
    part.codebook.assign([[0.0], [10.0]])
    part.count.assign([4.0, 2.0])
    observe(part, [[1.0], [2.0], [9.0]], [0.5, 3.0, 0.0])
    # counts 0.9 (4, 2) + 0.1 (3.5, 0), sums 0.9 (0, 20) + 0.1 (6.5, 0)
    np.testing.assert_allclose(part.count, [3.95, 1.8], rtol=1e-6)
    np.testing.assert_allclose(part.codebook[:, 0], [0.65 / 3.95, 10.0], rtol=1e-6)


WEIGHED = {
    "averages": lambda: quantized.VectorQuantizer(1, 6, 3, restart=0.5),
    "learned": lambda: quantized.VectorQuantizer(1, 6, 3, decay=None, restart=0.5),
    "residual": lambda: quantized.VectorQuantizer(1, 6, 3, restart=0.5, depth=2),
    "finite scalar": lambda: quantized.FiniteScalarQuantizer(1, (3, 2, 2)),
    "gumbel": lambda: quantized.GumbelQuantizer(1, 6, 3),
}


@pytest.mark.parametrize("name", WEIGHED)
def test_a_sample_weight_counts_as_so_many_rows(name):
    """In averages, restarts and usage: weight 0 as no row, weight 2 as the same row twice."""
    rng = np.random.default_rng(1)
    steps = rng.normal(size=(4, 20, 3))
    weights = rng.integers(0, 4, (4, 20))
    weights[:, -6:] = 0  # such as rows that fill up a batch
    results = []
    for repeated in (False, True):
        keras.utils.set_random_seed(0)
        part, seed = built(WEIGHED[name]()), keras.random.SeedGenerator(0)
        for features, w in zip(steps, weights, strict=True):
            if repeated:
                features, w = np.repeat(features, w, axis=0), None
            observe(part, features, w, seed=seed)
        state = [*part.weights, *part.usage.result().values()]
        results.append(np.concatenate([np.ravel(value) for value in state]))
    np.testing.assert_allclose(*results, rtol=1e-5, atol=1e-6)


def test_a_batch_without_weight_changes_nothing():
    part = built(quantized.VectorQuantizer(2, 6, 3))
    observe(part, np.random.default_rng(1).normal(size=(20, 6)))
    before = part.codebook.numpy(), part.usage.counts.numpy()
    observe(part, np.random.default_rng(1).normal(size=(20, 6)), np.zeros(20))
    np.testing.assert_allclose(part.codebook, before[0], rtol=1e-6)
    np.testing.assert_array_equal(part.usage.counts, before[1])


@pytest.mark.slow
def test_evaluation_and_fit_prior_leave_the_codebook_alone():
    vae = small()
    x = binary(40, (6,))
    vae.fit(x, verbose=0)
    before = vae.posterior.codebook.numpy()
    vae.evaluate(x, verbose=0)
    vae.predict(x, verbose=0)
    vae.fit_prior(x, quantized.AutoregressiveCodes(4, 5, units=4), verbose=0)
    np.testing.assert_array_equal(vae.posterior.codebook, before)
    assert vae.posterior.trainable
    vae.fit(x, verbose=0)
    assert not np.array_equal(vae.posterior.codebook, before)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in POSTERIORS if name != "FiniteScalarQuantizer"])
def test_a_codebook_that_is_not_trainable_stays_as_it_is(name):
    vae, x = small(POSTERIORS[name]()), binary(40, (6,))
    vae.fit(x, verbose=0)
    vae.posterior.trainable = False
    vae.compile(keras.optimizers.Adam(0.01))
    state = [np.array(w) for w in vae.posterior.weights]
    book, kernel = np.array(vae.posterior.codebook), vae.encoder.get_weights()[0]
    vae.fit(x, epochs=2, verbose=0)
    np.testing.assert_array_equal(vae.posterior.codebook, book)
    for before, after in zip(state, vae.posterior.weights, strict=True):
        np.testing.assert_array_equal(after, before)
    assert not np.array_equal(vae.encoder.get_weights()[0], kernel)
    assert not type(vae.posterior).from_config(vae.posterior.get_config()).trainable
    vae.fit_prior(x, quantized.AutoregressiveCodes(vae.posterior.length, 5, units=4), verbose=0)
    assert not vae.posterior.trainable


def residual(depth=3, **options):
    """A built quantiser of 2 places with random codebooks, and the latter."""
    part = built(quantized.VectorQuantizer(2, 6, 4, depth=depth, **options))
    books = (
        RNG.normal(size=(depth, 6, 4)).astype("float32") / 2.0 ** np.arange(depth)[:, None, None]
    )
    part.codebook.assign(books.reshape(-1, 4))
    return part, books


def greedy(feature, books):
    """The codes of one feature by hand, and what each of them stands for."""
    codes, left = [], []
    for book in books:
        left.append(feature)
        codes.append(np.argmin(np.linalg.norm(book - feature, axis=1)))
        feature = feature - book[codes[-1]]
    return codes, left


def test_residual_codes_each_stand_for_what_those_before_leave_over():
    part, books = residual()
    features = RNG.normal(size=(20, 8)).astype("float32")
    q = part(features)
    z = part.mean(q)
    for i, row in enumerate(features.reshape(20, 2, 4)):
        codes, left = zip(*(greedy(feature, books) for feature in row), strict=True)
        np.testing.assert_array_equal(part.indices(z)[i], np.ravel(codes))
        np.testing.assert_allclose(q["features"][i], np.reshape(left, (6, 4)), atol=1e-6)
        vectors = [[books[k][c] for k, c in enumerate(place)] for place in codes]
        np.testing.assert_array_equal(z[i], np.ravel(vectors))


def test_z_tells_any_residual_codes_also_those_that_are_not_greedy():
    part, books = residual()
    codes = RNG.integers(0, 6, (200, 6))
    vectors = np.asarray(part.vectors(codes))
    np.testing.assert_array_equal(part.indices(vectors.reshape(200, 24)), codes)
    sums = vectors.reshape(400, 3, 4).sum(1)
    again = np.array([greedy(feature, books)[0] for feature in sums])
    assert not np.array_equal(again, codes.reshape(400, 3))  # the sum alone would not do


@pytest.mark.parametrize("gradient", ["straight_through", "rotation"])
def test_the_sum_of_residual_codes_has_the_gradient_of_the_feature(gradient):
    part, _ = residual(gradient=gradient)
    features = tf.Variable(RNG.normal(size=(5, 8)).astype("float32"))
    upstream = tf.constant(RNG.normal(size=(5, 2, 4)).astype("float32"))
    with tf.GradientTape() as tape:
        z, _ = part.sample_and_log_prob(part(features), 1, keras.random.SeedGenerator(0), step=0)
        sums = tf.reduce_sum(tf.reshape(z, (5, 2, 3, 4)), axis=2)
        total = tf.reduce_sum(sums * upstream)
    expected = upstream
    if gradient == "rotation":
        rows = tf.Variable(tf.reshape(features, (5, 2, 4)))
        with tf.GradientTape() as other:
            turned = tf.reduce_sum(quantized.rotated(rows, tf.constant(sums)) * upstream)
        expected = other.gradient(turned, rows)
    got = tf.reshape(tape.gradient(total, features), (5, 2, 4))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_each_further_codebook_makes_the_error_smaller():
    part = built(quantized.VectorQuantizer(4, 8, 3, depth=4))
    features = RNG.normal(size=(200, 12)).astype("float32")
    for _ in range(30):
        observe(part, features)
    left = np.asarray(part(features)["features"]).reshape(800, 4, 3)
    errors = np.square(left).sum(-1).mean(0)
    assert np.all(np.diff(errors) < 0)
    assert errors[3] < 0.2 * errors[0]


def test_usage_and_perplexity_of_several_codebooks_are_means_over_them():
    metric = keras_vae.metrics.CodeUsage(4, 2)
    metric.update_state(np.array([[0, 0, 1, 0], [2, 0, 3, 1]]))  # 0 1 2 3 and 0 0 0 1
    logs = metric.result()
    assert float(logs["code_usage"]) == pytest.approx((1.0 + 0.5) / 2)
    second = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert float(logs["perplexity"]) == pytest.approx(np.exp((np.log(4) + second) / 2), rel=1e-5)


def test_usage_and_perplexity_weigh_codes_by_their_rows():
    metric = keras_vae.metrics.CodeUsage(4)
    metric.update_state(np.array([[0, 0], [1, 2], [3, 3]]), np.array([0.01, 0.02, 0.0]))
    logs = metric.result()
    assert float(logs["code_usage"]) == 0.75
    entropy = 0.5 * np.log(3) + 0.5 * np.log(3) - (1 / 3 - 1 / 3) * np.log(2)
    assert float(logs["perplexity"]) == pytest.approx(np.exp(entropy), rel=1e-5)


def test_dead_codes_are_restarted_at_features_of_the_batch():
    part = built(quantized.VectorQuantizer(2, 4, 3))
    part.codebook.assign(np.vstack([np.zeros((2, 3)), np.full((2, 3), 1e3)]))
    part.count.assign([8.0, 8.0, 0.0, 0.0])
    features = RNG.normal(size=(8, 6)).astype("float32")
    observe(part, features)
    vectors = features.reshape(-1, 3)
    for code in part.codebook.numpy()[2:]:
        assert np.any(np.all(vectors == code, axis=1))
    assert np.all(np.abs(part.codebook.numpy()[:2]) < 10)


@pytest.mark.parametrize("moved", [0.0, 100.0])
def test_dead_codes_of_a_learned_codebook_are_restarted_and_the_others_stay(moved):
    part = built(quantized.VectorQuantizer(2, 4, 3, decay=None))
    part.start.assign(np.vstack([np.zeros((2, 3)), np.full((2, 3), 1e3)]))
    part.change.assign(np.vstack([np.zeros((2, 3)), np.full((2, 3), moved)]))
    part.count.assign([8.0, 8.0, 0.0, 0.0])
    features = np.random.default_rng(1).normal(size=(8, 6)).astype("float32")
    observe(part, features)
    distances = scipy.spatial.cKDTree(features.reshape(-1, 3)).query(part.codebook)[0]
    np.testing.assert_allclose(distances[2:], 0.0, atol=1e-3)  # rounded once at 1e3
    np.testing.assert_array_equal(part.codebook[:2], np.zeros((2, 3)))
    np.testing.assert_array_equal(part.change[2:], np.full((2, 3), moved))


def two_codes():
    """A quantiser of one place whose second code was just restarted at 5; of a count of 4."""
    part = built(quantized.VectorQuantizer(1, 2, 1, restart=0.1))
    part.codebook.assign([[0.0], [1e3]])
    part.count.assign([8.0, 0.0])
    observe(part, np.full((8, 1), 5.0))
    assert part.codebook[1, 0] == 5.0
    return part


def test_a_restarted_code_that_the_next_step_does_not_use_is_restarted_again():
    part = two_codes()
    observe(part, np.full((8, 1), -1.0))
    assert part.codebook[1, 0] == -1.0


def test_a_restarted_code_that_the_next_step_uses_follows_its_features():
    part = two_codes()
    observe(part, np.repeat([[-1.0], [6.0]], 4, axis=0))
    count = 0.1 * 8 / 2  # the least that is not dead
    expected = (0.99 * count * 5.0 + 0.01 * 4 * 6.0) / (0.99 * count + 0.01 * 4)
    assert float(part.codebook[1, 0]) == pytest.approx(expected, rel=1e-5)


def test_codes_that_the_features_leave_behind_are_soon_in_use_again():
    """As in the first epochs of a training with few steps an epoch."""
    part, seed = built(quantized.VectorQuantizer(4, 64, 4)), keras.random.SeedGenerator(0)
    rng, usage = np.random.default_rng(1), []
    for step in range(60):
        features = rng.normal(size=(64, 4, 4)) + 0.5 * min(step, 30)
        features = features.reshape(64, 16).astype("float32")
        part.usage.reset_state()
        observe(part, features, seed=seed)
        usage.append(float(part.usage.result()["code_usage"]))
    assert min(usage[45:]) > 0.7  # of 256 features in 64 codes


def test_straight_through_hands_the_gradient_on():
    for part in (quantized.VectorQuantizer(2, 5, 3), quantized.FiniteScalarQuantizer(2, (3, 3, 3))):
        part = built(part)
        levels = tf.Variable(RNG.normal(size=(4, 2, 3)).astype("float32"))
        upstream = RNG.normal(size=(1, 4, 6)).astype("float32")
        with tf.GradientTape() as tape:
            z, _ = part.sample_and_log_prob(
                {"features": levels}, 1, keras.random.SeedGenerator(0), step=0
            )
            total = tf.reduce_sum(z * upstream)
        gradient = tape.gradient(total, levels)
        np.testing.assert_allclose(gradient, upstream.reshape(4, 2, 3), rtol=1e-5)


def test_the_rotation_turns_gradients_by_the_matrix_of_the_paper():
    e, c = RNG.normal(size=(2, 5, 4)).astype("float32")
    upstream = RNG.normal(size=(5, 4)).astype("float32")
    features = tf.Variable(e)
    with tf.GradientTape() as tape:
        turned = quantized.rotated(features, tf.constant(c))
        total = tf.reduce_sum(turned * upstream)
    np.testing.assert_allclose(turned, c, rtol=1e-5, atol=1e-5)
    for i, gradient in enumerate(tape.gradient(total, features).numpy()):
        a, b = e[i] / np.linalg.norm(e[i]), c[i] / np.linalg.norm(c[i])
        r = (a + b) / np.linalg.norm(a + b)
        rotation = np.eye(4) - 2 * np.outer(r, r) + 2 * np.outer(b, a)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(4), atol=1e-5)
        scaled = np.linalg.norm(c[i]) / np.linalg.norm(e[i]) * rotation
        np.testing.assert_allclose(scaled @ e[i], c[i], atol=1e-4)
        np.testing.assert_allclose(gradient, scaled.T @ upstream[i], atol=1e-4)


def test_finite_scalars_are_all_grid_points_once():
    part = built(quantized.FiniteScalarQuantizer(1, (3, 2, 5)))
    assert part.num_codes == 30
    vectors = np.asarray(part.vectors(np.arange(30)))
    axes = [np.linspace(-1, 1, n) for n in (3, 2, 5)]
    expected = sorted(itertools.product(*axes))
    np.testing.assert_allclose(sorted(map(tuple, vectors.tolist())), expected, atol=1e-6)
    np.testing.assert_array_equal(part.indices(vectors)[:, 0], np.arange(30))
    z = part.mean(part(RNG.normal(size=(500, 3)).astype("float32") * 3))
    grid = {tuple(v) for v in np.round(vectors, 5).tolist()}
    assert {tuple(v) for v in np.round(z, 5).tolist()} == grid  # all in reach


@pytest.mark.parametrize("name", [name for name in POSTERIORS if name != "GumbelQuantizer"])
def test_the_bound_counts_the_codes_in_nats(name):
    vae = small(POSTERIORS[name]())
    x = binary(30, (6,))
    logs = vae.evaluate(x, verbose=0, return_dict=True)
    assert logs["kl_loss"] == pytest.approx(
        4 * getattr(vae.posterior, "depth", 1) * np.log(vae.posterior.num_codes), rel=1e-6
    )
    np.testing.assert_allclose(vae.log_likelihood(x, num_samples=3), vae.elbo(x), rtol=1e-5)


def gumbel(x):
    """A model of 2 places and 3 codes, its posterior of x, and all 9 sequences of codes."""
    vae = small(quantized.GumbelQuantizer(2, 3, 2))
    vae.fit(x, epochs=3, verbose=0)
    q = vae.posterior(vae.encoder(x))
    return vae, q, np.array(list(itertools.product(range(3), repeat=2)))


def test_draws_of_a_gumbel_quantizer_have_its_probabilities():
    vae, q, every = gumbel(binary(8, (6,)))
    part = vae.posterior
    p = np.exp(q["log_probs"])
    z = np.repeat(np.asarray(part.vectors(every)).reshape(9, 1, 4), 8, axis=1)
    expected = p[:, 0, every[:, 0]].T * p[:, 1, every[:, 1]].T
    np.testing.assert_allclose(np.exp(part.log_prob(q, z)), expected, rtol=1e-4)
    draws, log_q = part.sample_and_log_prob(q, 4000, keras.random.SeedGenerator(0))
    np.testing.assert_allclose(log_q, part.log_prob(q, draws), rtol=1e-5)
    codes = np.asarray(part.indices(draws)) @ [3, 1]
    frequency = np.stack([np.mean(codes == k, axis=0) for k in range(9)])
    np.testing.assert_allclose(frequency, expected, atol=0.03)


def test_the_likelihood_of_a_gumbel_quantizer_is_the_sum_over_all_codes():
    x = binary(8, (6,))
    vae, q, every = gumbel(x)
    z = np.asarray(vae.posterior.vectors(every)).reshape(9, 4)
    p_x = 1 / (1 + np.exp(-np.asarray(vae.decoder(z))))
    log_p = np.log(p_x) @ x.T + np.log1p(-p_x) @ (1 - x).T
    exact = np.log(np.mean(np.exp(log_p), axis=0))
    np.testing.assert_allclose(vae.log_likelihood(x, num_samples=3000), exact, atol=0.02)
    p = np.exp(q["log_probs"])
    kl = np.sum(p * (np.log(p) + np.log(3)), axis=(1, 2))
    logs = vae.evaluate(np.repeat(x, 1000, axis=0), batch_size=1000, verbose=0, return_dict=True)
    assert logs["kl_loss"] == pytest.approx(kl.mean(), abs=0.03)


def test_relaxed_draws_of_a_gumbel_quantizer_are_means_of_vectors_with_a_gradient():
    vae, _, _ = gumbel(binary(8, (6,)))
    part = vae.posterior
    features = tf.Variable(RNG.normal(size=(5, 4)).astype("float32"))
    with tf.GradientTape() as tape:
        z, _ = part.sample_and_log_prob(part(features), 1, keras.random.SeedGenerator(0), step=0)
        total = tf.reduce_sum(z * RNG.normal(size=(5, 4)))
    assert np.all(np.abs(tape.gradient(total, features)) > 0)
    hull = scipy.spatial.Delaunay(part.codebook.numpy())
    assert np.all(hull.find_simplex(np.reshape(z, (10, 2)), tol=1e-5) >= 0)


def test_usage_and_perplexity_are_those_of_the_whole_epoch():
    vae = small()
    x = RNG.random((50, 6)).astype("float32")
    vae.fit(x, epochs=3, verbose=0)
    logs = vae.evaluate(x, batch_size=8, verbose=0, return_dict=True)
    codes = np.asarray(vae.posterior.indices(vae.encode(x)))
    p = np.bincount(codes.ravel(), minlength=5) / codes.size
    assert logs["code_usage"] == pytest.approx(np.mean(p > 0))
    entropy = -np.sum(p[p > 0] * np.log(p[p > 0]))
    assert logs["perplexity"] == pytest.approx(np.exp(entropy), rel=1e-4)


@pytest.mark.slow
def test_commitment_of_residual_codes_adds_up_what_each_leaves_over():
    part = quantized.VectorQuantizer(4, 5, 2, depth=3)
    vae = small(part, penalties=[quantized.Commitment(2.0)])
    x = RNG.random((20, 6)).astype("float32")
    vae.fit(x, epochs=3, verbose=0)
    features = np.asarray(vae.encoder(x)).reshape(-1, 2)
    books = part.codebook.numpy().reshape(3, 5, 2)
    expected = 0.0
    for feature in features:
        codes, left = greedy(feature, books)
        expected += sum(np.sum((r - b[c]) ** 2) for r, b, c in zip(left, books, codes, strict=True))
    logs = vae.evaluate(x, verbose=0, return_dict=True)
    assert logs["commitment"] == pytest.approx(2.0 * expected / 20, rel=1e-4)


def test_commitment_is_the_squared_distance_to_the_code():
    vae = small(penalties=[quantized.Commitment(2.0)])
    x = RNG.random((20, 6)).astype("float32")
    features = np.asarray(vae.encoder(x)).reshape(20, 4, 2)
    codes = vae.encode(x).reshape(20, 4, 2)
    expected = 2.0 * np.square(features - codes).sum((1, 2)).mean()
    logs = vae.evaluate(x, verbose=0, return_dict=True)
    assert logs["commitment"] == pytest.approx(expected, rel=1e-5)


def test_a_learned_codebook_is_pulled_to_the_features_it_stands_for():
    vae = small(quantized.VectorQuantizer(4, 5, 2, decay=None, restart=0.0, rate_multiple=3.0))
    vae.compile(keras.optimizers.SGD(0.01))
    x = RNG.random((20, 6)).astype("float32")
    features = np.asarray(vae.encoder(x)).reshape(-1, 2)
    codes = np.asarray(vae.posterior.nearest(features))
    with tf.GradientTape() as tape:
        loss = vae.compute_loss(x, y_pred=vae(x, training=True))
    gradient = tape.gradient(loss, vae.posterior.change.value)
    assert isinstance(gradient, tf.Tensor)  # or Adam takes its rows one by one
    book = vae.posterior.codebook.numpy()
    expected = [2 * np.sum(book[k] - features[codes == k], axis=0) / 20 for k in range(5)]
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)
    vae.fit(x, verbose=0)
    moved = vae.posterior.codebook.numpy() - book
    np.testing.assert_allclose(moved, -3.0 * 0.01 * np.array(expected), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("rate_multiple", [1.0, 4.0])
@pytest.mark.parametrize("depth", [1, 2])
def test_adam_moves_a_learned_codebook_by_a_multiple_of_its_rate(rate_multiple, depth):
    part = quantized.VectorQuantizer(
        4, 5, 2, decay=None, restart=0.0, depth=depth, rate_multiple=rate_multiple
    )
    vae, x = small(part), np.random.default_rng(1).random((64, 6)).astype("float32")
    before = part.codebook.numpy()
    vae.fit(x, batch_size=64, verbose=0)
    moved = np.abs(part.codebook.numpy() - before).max()
    assert moved == pytest.approx(rate_multiple * 0.01, rel=1e-2)


def test_vectors_of_a_gumbel_quantizer_have_one_gradient_for_each_code():
    part = built(quantized.GumbelQuantizer(2, 3, 2))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(part.vectors(np.array([[0, 2], [2, 2]])))
    gradient = tape.gradient(total, part.codebook.value)
    assert isinstance(gradient, tf.Tensor)
    np.testing.assert_array_equal(gradient, [[1.0, 1.0], [0.0, 0.0], [3.0, 3.0]])


@pytest.mark.parametrize(
    "name", ["VectorQuantizer", "VectorQuantizer learned", "VectorQuantizer residual"]
)
def test_a_step_logs_the_codes_that_it_decoded(name):
    """Not those to which the codebook moves in this step, in which all codes are restarted."""
    vae = small(POSTERIORS[name]())
    vae.compile(keras.optimizers.SGD(0.0))
    x = np.random.default_rng(1).random((20, 6)).astype("float32")
    expected = vae.evaluate(x, verbose=0, return_dict=True)
    book = np.array(vae.posterior.codebook)
    logs = vae.fit(x, verbose=0).history
    assert not np.array_equal(vae.posterior.codebook, book)
    for key, value in expected.items():
        if name != "learned" or key != "loss":  # which has the codebook's own term in training too
            assert logs[key][0] == pytest.approx(value, rel=1e-5)


def test_the_probabilities_of_all_sequences_sum_to_one():
    prior = quantized.AutoregressiveCodes(3, 4, units=8)
    prior.build((None, 6))
    every = np.array(list(itertools.product(range(4), repeat=3)))
    assert np.exp(prior.log_prob_of(every)).sum() == pytest.approx(1.0, rel=1e-5)


def test_draws_have_the_probabilities_of_the_prior():
    keras.utils.set_random_seed(1)
    prior = quantized.AutoregressiveCodes(2, 3, units=8)
    prior.build((None, 4))
    for weight in prior.weights:
        weight.assign(2.0 * RNG.normal(size=weight.shape))
    draws = np.asarray(prior.sample_codes(4000, keras.random.SeedGenerator(0)))
    every = np.array(list(itertools.product(range(3), repeat=2)))
    p = np.exp(prior.log_prob_of(every))
    frequency = [np.mean(np.all(draws == codes, axis=1)) for codes in every]
    np.testing.assert_allclose(frequency, p, atol=0.03)


@pytest.mark.slow
def test_a_prior_is_fitted_to_the_draws_of_a_gumbel_quantizer():
    x = binary(400, (6,))
    x[:] = x[:, :1]  # two kinds of examples only
    vae = small(quantized.GumbelQuantizer(4, 5, 2))
    vae.fit(x, epochs=20, verbose=0)
    before = vae.posterior.codebook.numpy()
    fitted = vae.fit_prior(x, quantized.AutoregressiveCodes(4, 5, 16), epochs=20, verbose=0)
    assert fitted.elbo(x).mean() > vae.elbo(x).mean()
    np.testing.assert_array_equal(fitted.posterior.codebook, before)


@pytest.mark.slow
def test_a_fitted_prior_learns_the_entropy_of_the_codes_and_generates_them():
    vae = small(quantized.FiniteScalarQuantizer(4, (2, 2)))
    x = binary(400, (6,))
    x[:, 1:] = x[:, :1]  # two kinds of examples only
    vae.fit(x, epochs=10, verbose=0)
    kinds = np.unique(np.asarray(vae.posterior.indices(vae.encode(x))), axis=0, return_counts=True)
    p = kinds[1] / 400
    fitted = vae.fit_prior(x, quantized.AutoregressiveCodes(4, 4, 16), epochs=30, verbose=0)
    fitted.compile("adam")
    logs = fitted.evaluate(x, verbose=0, return_dict=True)
    assert logs["kl_loss"] == pytest.approx(-np.sum(p * np.log(p)), abs=0.1)
    made = np.round(fitted.generate(50, seed=0), 3)
    seen = np.round(fitted.predict(x, verbose=0), 3)
    assert {tuple(v) for v in made.tolist()} <= {tuple(v) for v in seen.tolist()}


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_the_temperature_of_a_prior_of_codes_divides_its_logits(temperature):
    prior = quantized.AutoregressiveCodes(1, 4, units=8)
    prior.build((None, 4))
    for weight in prior.weights:
        weight.assign(2.0 * np.random.default_rng(1).normal(size=weight.shape))
    p = np.exp(prior.log_prob_of(np.arange(4)[:, None])) ** (1.0 / temperature)
    draws = np.asarray(prior.sample_codes(4000, keras.random.SeedGenerator(0), temperature))
    frequency = np.bincount(draws[:, 0], minlength=4) / 4000
    np.testing.assert_allclose(frequency, p / p.sum(), atol=0.03)


def test_the_density_of_the_one_code_is_that_of_a_point_also_at_infinity():
    part = built(quantized.VectorQuantizer(2, 5, 3))
    z = np.full((1, 4, 6), np.inf, "float32")
    np.testing.assert_array_equal(part.log_prob(None, z), np.zeros((1, 4)))


@pytest.mark.slow
def test_recipes_of_grids_have_every_verb(tmp_path):
    x = RNG.random((20, 9, 10, 1)).astype("float32")
    for vae in (
        recipes.vq_vae((9, 10, 1), 8, 4, filters=(4, 4)),
        recipes.rvq_vae((9, 10, 1), 3, 8, 4, filters=(4, 4)),
        recipes.fsq_vae((9, 10, 1), (3, 3), filters=(4, 4)),
        recipes.vq_vae((9, 10, 1), posterior=quantized.GumbelQuantizer(9, 8, 4), filters=(4, 4)),
    ):
        vae.compile("adam")
        vae.fit(x, verbose=0)
        assert vae.encode(x).shape == (20, vae.posterior.latent_dim)
        assert vae.posterior.num_latents == 9
        assert vae.predict(x, verbose=0).shape == vae.generate(20).shape == x.shape
        assert vae.interpolate(x[0], x[1], 3).shape == (3, 9, 10, 1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: quantized.VectorQuantizer(4, decay=1.0),
        lambda: quantized.VectorQuantizer(4, gradient="none"),
        lambda: quantized.VectorQuantizer(0),
        lambda: quantized.VectorQuantizer(4, depth=0),
        lambda: quantized.VectorQuantizer(4, rate_multiple=0.0),
        lambda: quantized.VectorQuantizer(4, rate_multiple=True),
        lambda: small(
            quantized.VectorQuantizer(4, 5, 2, depth=2), prior=quantized.UniformCodes(4, 5)
        ),
        lambda: quantized.FiniteScalarQuantizer(4, (1,)),
        lambda: quantized.FiniteScalarQuantizer(4, ()),
        lambda: quantized.GumbelQuantizer(4, temperature=0.0),
        lambda: small(quantized.GumbelQuantizer(4, 5, 2), penalties=[quantized.Commitment()]),
        lambda: small(objective=objectives.IWAE(2)),
        lambda: quantized.VectorQuantizer(3, 5, 2).build((None, 8)),
        lambda: small(prior=keras_vae.priors.StandardNormal()),
        lambda: small(prior=quantized.UniformCodes(4, 6)),
        lambda: small(
            quantized.FiniteScalarQuantizer(4, (2, 2)), penalties=[quantized.Commitment()]
        ),
    ],
)
def test_what_does_not_fit_is_refused(make):
    with pytest.raises(ValueError, match="Received"):
        make()
