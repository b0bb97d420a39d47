import keras
import numpy as np
import pytest
from checks import binary, small_vae
from scipy import stats

from keras_vae import objectives, penalties, posteriors, priors, schedules

RNG = np.random.default_rng(0)
MEAN, LOG_VARIANCE = RNG.normal(size=(2, 7, 3)).astype("float32")
Q = {"mean": MEAN, "log_variance": LOG_VARIANCE}
tensor = keras.ops.convert_to_tensor
Z = (MEAN + np.exp(0.5 * LOG_VARIANCE) * RNG.normal(size=(7, 3))).astype("float32")


def terms(q=Q, z=Z, weights=None, prior=None):
    posterior = posteriors.DiagonalNormal(z.shape[-1])
    weights = np.ones(len(z), "float32") if weights is None else np.float32(weights)
    return objectives.LossTerms(
        *[None] * 4,
        z=tensor(z[None]),
        q={key: tensor(value) for key, value in q.items()},
        posterior=posterior,
        prior=prior,
        weights=tensor(weights),
        log_joint=None,
        seed=keras.random.SeedGenerator(0),
    )


def normal(i, j, d):
    """Density of the d-th dimension of code i under the posterior of example j."""
    return stats.norm(MEAN[j, d], np.exp(0.5 * LOG_VARIANCE[j, d])).pdf(Z[i, d])


def total_correlation(weight):
    """log q(z_i) - Σ_d log q(z_id) by loops, with `weight(i, j)` of example j."""
    values = []
    for i in range(7):
        joint = sum(weight(i, j) * np.prod([normal(i, j, d) for d in range(3)]) for j in range(7))
        marginals = [sum(weight(i, j) * normal(i, j, d) for j in range(7)) for d in range(3)]
        values.append(np.log(joint) - np.sum(np.log(marginals)))
    return values


@pytest.mark.backends
def test_minibatch_weighted_sampling_is_that_of_the_paper():
    penalty = penalties.TotalCorrelation(100, weight=2.0)
    expected = 2.0 * np.array(total_correlation(lambda i, j: 1 / (100 * 7)))
    np.testing.assert_allclose(penalty.loss(terms(), 0), expected, rtol=1e-4)


@pytest.mark.backends
def test_minibatch_stratified_sampling_is_that_of_the_paper():
    penalty = penalties.TotalCorrelation(100, estimator="stratified")

    def weight(i, j):
        return {0: 1 / 100, 1: (100 - 6) / (100 * 6)}.get((j - i) % 7, 1 / 6)

    np.testing.assert_allclose(penalty.loss(terms(), 0), total_correlation(weight), rtol=1e-4)


def test_stratified_sampling_is_unbiased_in_the_order_of_the_batch():
    z, mixture = Z[:1], np.mean([np.prod([normal(0, j, d) for d in range(3)]) for j in range(7)])
    estimates, rng = [], np.random.default_rng(1)
    penalty = penalties.TotalCorrelation(7, estimator="stratified")
    for _ in range(400):  # example 0, and three of the six others in any order
        rows = [0, *1 + rng.permutation(6)[:3]]
        q = {key: value[rows] for key, value in Q.items()}
        weights = np.exp(np.asarray(penalty._log_weights(terms(q, Z[rows]))))[0]
        densities = np.exp(stats.norm(q["mean"], np.exp(0.5 * q["log_variance"])).logpdf(z).sum(1))
        estimates.append(np.sum(weights * densities))
    error = np.std(estimates) / np.sqrt(400)
    assert abs(np.mean(estimates) - mixture) < 4 * error


def test_one_example_has_a_finite_total_correlation():
    one = {key: value[:1] for key, value in Q.items()}
    for estimator in ("weighted", "stratified"):
        penalty = penalties.TotalCorrelation(10, estimator=estimator)
        assert np.isfinite(penalty.loss(terms(one, Z[:1]), 0)).all()


@pytest.mark.parametrize("kind", ["I", "II"])
@pytest.mark.backends
def test_dip_is_made_of_the_covariance(kind):
    covariance = np.cov(MEAN.T, bias=True)
    if kind == "II":
        covariance = covariance + np.diag(np.exp(LOG_VARIANCE).mean(0))
    off = covariance - np.diag(np.diag(covariance))
    expected = np.sum(off**2) + 0.5 * np.sum((np.diag(covariance) - 1) ** 2)
    penalty = penalties.DIP(3.0, diagonal_ratio=0.5, kind=kind)
    np.testing.assert_allclose(penalty.loss(terms(), 0), [3 * expected] * 7, rtol=1e-4)


def standard():
    prior = priors.StandardNormal()
    prior.build((None, 3))
    return prior


@pytest.mark.parametrize("weights", [np.ones(7), [1.0, 0.0, 2.0, 0.5, 0.5, 3.0, 1.0]])
@pytest.mark.parametrize("kernel", ["imq", "rbf"])
@pytest.mark.backends
def test_mmd_is_the_weighted_mean_of_the_kernels(kernel, weights):
    penalty, prior = penalties.MMD(kernel=kernel), standard()
    draws = np.asarray(prior.sample(7, keras.random.SeedGenerator(0)))

    def k(a, b):
        square = np.sum((a - b) ** 2)
        cs = 2.0 * 3 * np.array(penalty.multiples)
        return np.mean(cs / (cs + square) if kernel == "imq" else np.exp(-square / cs))

    def pairs(a, b, v, w, same):
        distinct = [(i, j) for i in range(7) for j in range(7) if not same or i != j]
        values = [k(a[i], b[j]) for i, j in distinct]
        return np.average(values, weights=[v[i] * w[j] for i, j in distinct])

    ones = np.ones(7)
    expected = pairs(Z, Z, weights, weights, True) + pairs(draws, draws, ones, ones, True)
    expected -= 2 * pairs(Z, draws, weights, ones, False)
    found = penalty.loss(terms(weights=weights, prior=prior), 0)
    np.testing.assert_allclose(found, [expected] * 7, atol=1e-5)


def test_mmd_is_zero_in_the_mean_for_codes_from_the_prior_and_positive_elsewhere():
    values = {}
    for shift in (0.0, 1.0):
        prior, samples = standard(), []
        for i in range(40):
            z = np.random.default_rng(i).normal(shift, 1.0, (50, 3)).astype("float32")
            batch = terms(z=z, prior=prior)._replace(seed=keras.random.SeedGenerator(i))
            samples.append(float(penalties.MMD().loss(batch, 0)[0]))
        values[shift] = np.mean(samples), np.std(samples) / np.sqrt(40)
    assert abs(values[0.0][0]) < 4 * values[0.0][1]
    assert values[1.0][0] > 10 * values[1.0][1]


@pytest.mark.parametrize(
    "penalty", [penalties.DIP(kind="I"), penalties.DIP(kind="II"), penalties.TotalCorrelation(100)]
)
def test_examples_without_weight_are_as_good_as_absent(penalty):
    few = {key: value[:5] for key, value in Q.items()}
    weighted = penalty.loss(terms(weights=[1, 1, 1, 1, 1, 0, 0]), 0)
    np.testing.assert_allclose(weighted[:5], penalty.loss(terms(few, Z[:5]), 0), rtol=1e-4)


@pytest.mark.backends
def test_a_penalty_is_logged_and_weighted_by_its_schedule():
    penalty = penalties.DIP(weight=schedules.Linear(10, end=4.0))
    np.testing.assert_allclose(penalty.loss(terms(), 5), 2 * penalties.DIP().loss(terms(), 0))
    logs = small_vae((6,), penalties=[penalties.DIP(), penalties.MMD()]).fit(
        binary(32, (6,)), verbose=0
    )
    sums = [logs.history[k][0] for k in ("reconstruction_loss", "kl_loss", "dip", "mmd")]
    assert logs.history["loss"][0] == pytest.approx(sum(sums), rel=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: small_vae((6,), prior=priors.ConditionalNormal(4), penalties=[penalties.MMD()]),
        lambda: small_vae((6,), posterior=posteriors.FullNormal(2), penalties=[penalties.DIP()]),
        lambda: small_vae(
            (6,), posterior=posteriors.FullNormal(2), penalties=[penalties.TotalCorrelation(9)]
        ),
        lambda: penalties.DIP(kind="III"),
        lambda: penalties.MMD(kernel="linear"),
        lambda: penalties.MMD(-1.0),
        lambda: penalties.MMD(scale=0.0),
        lambda: penalties.TotalCorrelation(0),
        lambda: penalties.TotalCorrelation(9, estimator="exact"),
    ],
)
@pytest.mark.backends
def test_bad_arguments_are_refused(make):
    with pytest.raises(ValueError, match=r"`\w+`.* must .*Received: "):
        make()


def test_the_perceptual_distance_is_that_of_the_features():
    target, mean = RNG.random((2, 7, 6)).astype("float32")
    network = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, use_bias=False)])
    penalty = penalties.Perceptual(network, weight=2.0)
    seen = terms()._replace(target=tensor(target), reconstruction=lambda: tensor(mean))
    matrix = keras.ops.convert_to_numpy(network.layers[0].kernel)
    expected = 2.0 * np.linalg.norm((target - mean) @ matrix, axis=1) ** 2
    np.testing.assert_allclose(penalty.loss(seen, 0), expected, rtol=1e-4)


def test_a_perceptual_network_is_held_fixed_logged_and_saved(tmp_path):
    network = keras.Sequential([keras.Input((5, 3, 1)), keras.layers.Conv2D(2, 3)])
    before = network.get_weights()
    vae = small_vae(penalties=[penalties.Perceptual(network)])
    x = binary(12, (5, 3, 1))
    logs = vae.fit(x, verbose=0).history
    assert logs["perceptual"][0] > 0
    for a, b in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    vae.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), vae.predict(x, verbose=0))
    assert len(again.trainable_weights) == len(vae.trainable_weights) == 10


def test_a_perceptual_network_must_be_callable():
    with pytest.raises(ValueError, match="Received: network=3"):
        penalties.Perceptual(3)
