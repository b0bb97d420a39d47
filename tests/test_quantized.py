import itertools

import keras
import numpy as np
import pytest
import scipy.cluster.vq
import scipy.spatial
import scipy.special
import scipy.stats
import tensorflow as tf
from checks import binary, small_vae
from parts import of_role

import keras_vae
from keras_vae import networks, objectives, quantized, recipes
from keras_vae.quantized import quantizers

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
@pytest.mark.parametrize(
    "name", [name for name in POSTERIORS if "Scalar" not in name and "Binary" not in name]
)
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
    axes = [np.linspace(-1, 1, n) for n in (3, 2, 5)]  # two levels have none in the middle
    expected = sorted(itertools.product(*axes))
    np.testing.assert_allclose(sorted(map(tuple, vectors.tolist())), expected, atol=1e-6)
    np.testing.assert_array_equal(part.indices(vectors)[:, 0], np.arange(30))
    z = part.mean(part(RNG.normal(size=(500, 3)).astype("float32") * 3))
    grid = {tuple(v) for v in np.round(vectors, 5).tolist()}
    assert {tuple(v) for v in np.round(z, 5).tolist()} == grid  # all in reach


def published_scalars(z, levels):
    """FSQ as in appendix A.1 of its paper, with the inverse of tanh for its shift."""
    half = (levels - 1) / 2
    offset = np.where(levels % 2 == 1, 0.0, 0.5)
    bounded = np.tanh(z + np.arctanh(offset / half)) * half - offset
    return np.round(bounded) / (levels // 2)


def symmetric_scalars(z, levels):
    """Rounding of [-1, 1] to evenly spread levels (arXiv:2411.19842)."""
    return 2 * np.floor((levels - 1) * (np.tanh(z) + 1) / 2 + 0.5) / (levels - 1) - 1


@pytest.mark.parametrize(
    ("symmetric", "published"), [(False, published_scalars), (True, symmetric_scalars)]
)
def test_finite_scalars_are_those_of_the_published_formula(symmetric, published):
    levels = (8, 5, 4, 3)
    part = built(quantized.FiniteScalarQuantizer(1, levels, symmetric))
    features = 1.5 * np.random.default_rng(1).normal(size=(5000, 4)).astype("float32")
    z = np.asarray(part.mean(part(features)))
    same = np.isclose(z, published(features, np.array(levels)), atol=1e-5)
    assert same.mean() > 0.999  # float32 rounds a few features to the other side of a border
    assert [len(np.unique(channel.round(4))) for channel in z.T] == list(levels)
    codes = np.asarray(part.indices(z))
    assert codes.min() >= 0
    assert codes.max() < part.num_codes
    np.testing.assert_array_equal(part.vectors(codes)[:, 0], z)
    middle = np.asarray(part.mean(part(np.zeros((1, 4), "float32"))))[0]
    assert np.all(middle[[1, 3]] == 0)
    assert np.all((middle[[0, 2]] == 0) != symmetric)


def test_the_scalars_of_the_first_files_were_symmetric():
    config = quantized.FiniteScalarQuantizer(2, (4, 4)).get_config()
    assert not quantized.FiniteScalarQuantizer.from_config(config).symmetric
    for argument in ("symmetric", "depth"):
        del config[argument]
    loaded = quantized.FiniteScalarQuantizer.from_config(config)
    assert (loaded.symmetric, loaded.depth) == (True, 1)


@pytest.mark.parametrize("symmetric", [False, True])
def test_residual_scalars_add_up_to_those_of_all_levels(symmetric):
    part = built(quantized.FiniteScalarQuantizer(2, (4, 3), symmetric, depth=3))
    fine = built(quantized.FiniteScalarQuantizer(2, (64, 27), symmetric))
    features = np.random.default_rng(1).normal(size=(500, 4)).astype("float32")
    q, z = part(features), part.mean(part(features))
    sums = np.asarray(z).reshape(500, 2, 3, 2).sum(axis=2)
    np.testing.assert_allclose(sums.reshape(500, 4), fine.mean(fine(features)), atol=1e-5)
    np.testing.assert_array_equal(part.indices(z), part.codes_of(q))
    left = [
        np.abs(sums - np.asarray(z).reshape(500, 2, 3, 2)[:, :, :k].sum(2)).max() for k in (1, 2)
    ]
    assert left[1] < left[0] / 2


def test_z_tells_any_codes_of_residual_scalars():
    part = built(quantized.FiniteScalarQuantizer(1, (4, 3), depth=2))
    every = np.array(list(itertools.product(range(12), repeat=2)))
    z = np.asarray(part.vectors(every)).reshape(144, 4)
    np.testing.assert_array_equal(part.indices(z), every)
    assert len(np.unique(z.reshape(144, 2, 2).sum(1).round(4), axis=0)) == 144


@pytest.mark.parametrize("spherical", [False, True])
def test_bits_are_the_signs_of_features_and_their_vectors_the_corners_of_a_cube(spherical):
    part = built(quantized.BinaryQuantizer(2, 3, spherical))
    features = np.random.default_rng(1).normal(size=(50, 6)).astype("float32")
    q = part(features)
    z = np.asarray(part.mean(q))
    np.testing.assert_allclose(z, np.sign(features) * (3**-0.5 if spherical else 1.0), rtol=1e-6)
    bits = (features.reshape(50, 2, 3) > 0).astype(int)
    np.testing.assert_array_equal(part.indices(z), bits @ [1, 2, 4])
    vectors = np.asarray(part.vectors(np.arange(8)))
    assert len(np.unique(vectors, axis=0)) == 8
    _, nearest = scipy.spatial.cKDTree(vectors).query(np.asarray(q["features"]))
    np.testing.assert_array_equal(part.codes_of(q), nearest)
    if spherical:
        np.testing.assert_allclose(np.linalg.norm(q["features"], axis=-1), 1.0, rtol=1e-6)


def test_the_gradient_of_vectors_of_length_one_is_that_of_the_projection_and_bounded():
    x = np.random.default_rng(1).normal(size=(4, 3)).astype("float32")
    x[3] = 0.0
    upstream = np.random.default_rng(2).normal(size=(4, 3)).astype("float32")
    features = tf.Variable(x)
    with tf.GradientTape() as tape:
        y = quantizers.unit(features)
        total = tf.reduce_sum(y * upstream)
    np.testing.assert_allclose(y[:3], x[:3] / np.linalg.norm(x[:3], axis=1, keepdims=True), 1e-6)
    np.testing.assert_array_equal(y[3], np.zeros(3))
    gradient = tape.gradient(total, features).numpy()
    for i in range(3):
        norm = np.linalg.norm(x[i])
        expected = (np.eye(3) - np.outer(x[i], x[i]) / norm**2) @ upstream[i] / norm
        np.testing.assert_allclose(gradient[i], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gradient[3], 100 * upstream[3], rtol=1e-5)


def entropies(features, codes, temperature):
    """The entropies of each row and of all rows together, by the distance to every code."""
    distances = np.square(features[:, None] - codes).sum(-1)
    p = scipy.special.softmax(-distances / temperature, axis=1)
    return scipy.stats.entropy(p, axis=1), p


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("group_bits", [1, 3, 5])
def test_the_entropies_of_codes_are_those_over_all_codes(spherical, group_bits):
    part = quantized.BinaryQuantizer(2, 3, spherical)
    penalty = quantized.CodeEntropy(2.0, 0.7, temperature=0.5, group_bits=group_bits)
    vae = small(part, penalties=[penalty])
    x, weights = binary(20, (6,)), np.arange(20, dtype="float32")
    q = part(vae.encoder(x))
    features, codes = np.asarray(q["features"]), np.asarray(part.vectors(np.arange(8)))
    of_rows, p = entropies(features.reshape(-1, 3), codes, 0.5)
    shares = np.repeat(weights / weights.sum(), 2) / 2
    mean = shares @ p
    together = scipy.stats.entropy(mean)
    if group_bits == 1:
        ones = [mean[(np.arange(8) >> bit) % 2 == 1].sum() for bit in range(3)]
        together = sum(scipy.stats.entropy([1 - one, one]) for one in ones)
    expected = 2 * shares @ of_rows - 0.7 * 2 * together
    logs = vae.evaluate(x, sample_weight=weights, verbose=0, return_dict=True)
    assert logs["code_entropy"] == pytest.approx(2.0 * expected, rel=1e-4)


def test_commitment_of_bits_is_the_squared_distance_to_the_corner():
    part = quantized.BinaryQuantizer(4, 2)
    vae, x = small(part, penalties=[quantized.Commitment(0.5)]), binary(20, (6,))
    features = np.asarray(vae.encoder(x))
    expected = 0.5 * np.square(features - np.where(features > 0, 1, -1)).sum(1).mean()
    logs = vae.evaluate(x, verbose=0, return_dict=True)
    assert logs["commitment"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("decay", [0.9, None])
def test_by_cosine_the_nearest_code_is_that_at_the_smallest_angle(decay):
    options = {"decay": decay, "distance": "cosine", "restart": 0.0}  # or two codes may be equal
    part = built(quantized.VectorQuantizer(2, 7, 3, **options))
    features = np.random.default_rng(1).normal(size=(40, 6)).astype("float32")
    for _ in range(3):
        observe(part, features)
    book = np.asarray(part.codebook)
    np.testing.assert_allclose(np.linalg.norm(book, axis=1), 1.0, rtol=1e-5)
    rows = features.reshape(-1, 3)
    angles = scipy.spatial.distance.cdist(rows, book, "cosine")
    q = part(features)
    chosen = angles[np.arange(80), np.ravel(part.codes_of(q))]
    np.testing.assert_allclose(chosen, angles.min(axis=1), atol=1e-6)
    np.testing.assert_array_equal(part.codes_of(part(5 * features)), part.codes_of(q))
    np.testing.assert_array_equal(part.indices(part.mean(q)), part.codes_of(q))


@pytest.mark.parametrize("decay", [0.99, None])
@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_restarted_codes_are_features_by_either_distance(decay, distance):
    part = built(quantized.VectorQuantizer(2, 4, 3, decay=decay, distance=distance))
    if decay is None:
        part.change.assign(np.random.default_rng(2).normal(size=(4, 3)))
    features = np.random.default_rng(1).normal(size=(8, 6)).astype("float32")
    observe(part, features)  # in the first step all codes begin anew
    rows = np.asarray(part(features)["features"]).reshape(-1, 3)
    distances = scipy.spatial.cKDTree(rows).query(part.codebook)[0]
    np.testing.assert_allclose(distances, 0.0, atol=1e-5)


@pytest.mark.parametrize("decay", [0.9, None])
def test_the_first_step_finds_the_centres_that_scipy_finds(decay):
    options = {"decay": decay, "restart": 0.0, "initializer": "k_means"}
    part = built(quantized.VectorQuantizer(2, 6, 3, **options))
    features = np.random.default_rng(1).normal(size=(100, 6)).astype("float32")
    observe(part, features, seed=5)
    chance = keras.random.uniform((6,), seed=keras.random.SeedGenerator(5))
    rows = features.reshape(200, 3)
    first = rows[((np.arange(6) + np.asarray(chance)) / 6 * 200).astype(int)]
    centres, nearest = scipy.cluster.vq.kmeans2(rows, first, iter=10, minit="matrix")
    if decay is None:
        np.testing.assert_allclose(part.codebook, centres, atol=1e-5)
    np.testing.assert_allclose(part.count, np.bincount(nearest), atol=3)
    found = scipy.cluster.vq.vq(rows, np.asarray(part.codebook))[1]
    assert found.mean() == pytest.approx(scipy.cluster.vq.vq(rows, centres)[1].mean(), rel=0.02)
    before = np.asarray(part.codebook)
    observe(part, 100 + features, seed=5)  # only the first batch begins anew
    moved = np.abs(np.asarray(part.codebook) - before).max()
    assert moved < (1e-6 if decay is None else 50)


def test_no_row_without_weight_is_among_the_centres():
    part = built(quantized.VectorQuantizer(1, 4, 2, initializer="k_means"))
    features = np.random.default_rng(1).normal(size=(40, 2))
    features[20:] += 1e3
    observe(part, features, np.repeat([1.0, 0.0], 20))
    assert np.abs(part.codebook).max() < 10


def test_the_codes_of_a_linear_quantizer_move_together_and_its_vectors_stay():
    part = quantized.LinearVectorQuantizer(4, 5, 2, depth=2)
    vae, x = small(part), binary(20, (6,))
    start, before = np.asarray(part.start), np.asarray(part.codebook)
    np.testing.assert_allclose(before, start.reshape(10, 2), rtol=1e-6)
    vae.fit(x, epochs=2, verbose=0)
    np.testing.assert_array_equal(part.start, start)
    matrices = np.eye(2) + np.asarray(part.change)
    np.testing.assert_allclose(part.codebook, (start @ matrices).reshape(10, 2), rtol=1e-5)
    assert np.all(np.abs(np.asarray(part.codebook) - before) > 1e-5)


@pytest.mark.parametrize("name", POSTERIORS)
def test_tokens_are_integers_that_decode_to_the_reconstruction(name):
    vae, x = small(POSTERIORS[name]()), binary(30, (6,))
    vae.fit(x, epochs=2, verbose=0)
    tokens = vae.tokens(x)
    assert tokens.shape == (30, vae.posterior.length)
    assert tokens.dtype == np.int32
    assert tokens.min() >= 0
    assert tokens.max() < vae.posterior.num_codes
    np.testing.assert_array_equal(tokens, vae.posterior.indices(vae.encode(x)))
    made = vae.predict(x, verbose=0)
    np.testing.assert_allclose(vae.from_tokens(tokens), made, atol=1e-6)
    num_codes = vae.posterior.num_codes
    packed = quantized.pack(tokens, num_codes)
    again = quantized.unpack(packed, num_codes, vae.posterior.length)
    np.testing.assert_array_equal(again, tokens)


@pytest.mark.parametrize("num_codes", [1, 2, 3, 5, 255, 256, 257, 512, 1000, 2**30, 2**31])
@pytest.mark.parametrize("length", [1, 7, 8])
def test_packed_tokens_come_back_and_take_as_few_bits_as_they_need(num_codes, length):
    rng = np.random.default_rng(num_codes)
    tokens = rng.integers(0, num_codes, (3, 4, length))
    tokens[0, 0] = num_codes - 1
    packed = quantized.pack(tokens, num_codes)
    bits = max(int(np.ceil(np.log2(num_codes))), 1)
    assert packed.dtype == np.uint8
    assert packed.shape == (3, 4, int(np.ceil(length * bits / 8)))
    np.testing.assert_array_equal(quantized.unpack(packed, num_codes, length), tokens)


@pytest.mark.parametrize(
    "use",
    [
        lambda vae: vae.from_tokens(np.zeros((2, 5), "int32")),
        lambda vae: vae.from_tokens(np.zeros(4, "int32")),
        lambda vae: vae.from_tokens(np.zeros((2, 4))),
        lambda vae: vae.from_tokens(np.full((2, 4), 5)),
        lambda vae: vae.from_tokens(np.full((2, 4), -1)),
        lambda vae: quantized.pack([[5]], 5),
        lambda vae: quantized.pack([[0]], 2**31 + 1),
        lambda vae: quantized.unpack(np.zeros((2, 3), "uint8"), 5, 4),
        lambda vae: quantized.unpack(np.zeros((2, 2), "int32"), 5, 4),
    ],
)
def test_tokens_that_do_not_fit_are_refused(use):
    with pytest.raises(ValueError, match=r"(?s)must .*because.*Received: "):
        use(small())


def test_only_quantized_models_have_tokens():
    vae, x = small_vae((6,)), binary(4, (6,))
    for use in (lambda: vae.tokens(x), lambda: vae.from_tokens([[0]])):
        with pytest.raises(ValueError, match=r"(?s)must .*because.*Received: posterior=Diagonal"):
            use()


def test_several_places_of_a_quantizer_may_share_one_place_of_the_grid():
    """Product quantisation, alone and with a depth."""
    x = np.random.default_rng(0).random((4, 8, 8, 1)).astype("float32")
    for depth in (1, 2):
        posterior = quantized.VectorQuantizer(8, 5, 3, depth=depth)
        vae = recipes.vq_vae((8, 8, 1), posterior=posterior, filters=(4, 4))
        assert vae.encoder.output_shape == (None, 4 * 2 * 3)
        assert vae.tokens(x).shape == (4, 8 * depth)
        z = np.random.default_rng(1).normal(size=(3, vae.latent_dim)).astype("float32")
        swapped = z.reshape(3, 8, depth, 3)[:, :, ::-1].reshape(3, -1)
        np.testing.assert_allclose(vae.decode(z), vae.decode(swapped), atol=1e-6)


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
        recipes.fsq_vae((9, 10, 1), (3, 3), filters=(4, 4), depth=2),
        recipes.lfq_vae((9, 10, 1), 3, filters=(4, 4)),
        recipes.bsq_vae((9, 10, 1), 3, filters=(4, 4)),
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
        lambda: quantized.VectorQuantizer(4, distance="none"),
        lambda: quantized.VectorQuantizer(4, distance="cosine", depth=2),
        lambda: quantized.VectorQuantizer(4, initializer="none"),
        lambda: quantized.BinaryQuantizer(4, 0),
        lambda: quantized.BinaryQuantizer(4, 31),
        lambda: quantized.CodeEntropy(temperature=0.0),
        lambda: quantized.CodeEntropy(diversity=-1.0),
        lambda: quantized.CodeEntropy(group_bits=0),
        lambda: small(penalties=[quantized.CodeEntropy()]),
        lambda: quantized.FiniteScalarQuantizer(4, (64,), depth=5),
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
