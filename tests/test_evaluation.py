import itertools

import keras
import numpy as np
import pytest
import scipy.linalg
import scipy.special
import scipy.stats
from linear import principal_components

from keras_vae import callbacks, evaluation, likelihoods, recipes, schedules
from keras_vae.evaluation.disentanglement import _concentration, _rows_alike

# A grid of two factors, 4 x 5 values, 30 times over.
GRID = np.array(list(itertools.product(range(4), range(5))) * 30)
NOISE = np.random.default_rng(0).random((len(GRID), 3))
TURNED = scipy.linalg.expm(np.pi / 4 * np.array([[0.0, -1.0], [1.0, 0.0]]))


def test_uniform_bytes_take_eight_bits_a_dimension():
    log_prob = np.full(5, 12 * np.log(1 / 256))
    np.testing.assert_allclose(evaluation.bits_per_dim(log_prob, (2, 2, 3)), 8.0)


def test_active_units_are_those_whose_means_vary():
    rng = np.random.default_rng(0)
    codes = rng.normal(scale=[1.0, 0.2, 0.05, 0.0], size=(10_000, 4))
    assert evaluation.active_units(codes) == 2  # variances 1, 0.04, 0.0025, 0
    assert evaluation.active_units(codes, threshold=0.5) == 1


def test_the_kl_of_a_linear_normal_model_splits_as_the_closed_form_says():
    # q(z|x) = N(Ax, S) for x ~ N(0, I), so that q(z) = N(0, AAᵀ + S).
    rng = np.random.default_rng(1)
    a, variance = np.array([[1.0, 0.5], [0.8, -0.2]]), np.array([0.3, 0.5])
    mean = rng.normal(size=(4000, 2)) @ a.T
    z = mean + np.sqrt(variance) * rng.normal(size=mean.shape)
    log_prior = scipy.stats.norm.logpdf(z).sum(1)
    parts = evaluation.decompose_kl(mean, np.tile(np.log(variance), (4000, 1)), z, log_prior)
    total = a @ a.T + np.diag(variance)
    log_det, diagonal = np.linalg.slogdet(total)[1], np.diag(total)
    exact = {
        "mutual_information": 0.5 * (log_det - np.log(variance).sum()),
        "total_correlation": 0.5 * (np.log(diagonal).sum() - log_det),
        "dimension_wise_kl": 0.5 * np.sum(diagonal - 1 - np.log(diagonal)),
    }
    assert parts == pytest.approx(exact, abs=0.04)
    log_q = scipy.stats.norm.logpdf(z, mean, np.sqrt(variance)).sum(1)
    assert sum(parts.values()) == pytest.approx((log_q - log_prior).mean(), rel=1e-9)


def test_mutual_information_is_at_most_the_log_of_the_number_of_examples():
    mean = 100.0 * np.arange(8.0)[:, None]
    parts = evaluation.decompose_kl(mean, np.zeros((8, 1)), mean, np.zeros(8))
    assert parts["mutual_information"] == pytest.approx(np.log(8))
    assert parts["total_correlation"] == pytest.approx(0.0)


def test_diagnose_agrees_with_the_verbs():
    vae, model = principal_components()
    x = model.rvs(500, random_state=0).astype("float32")
    found = vae.diagnose(x)
    assert found["elbo"] == pytest.approx(vae.elbo(x).mean(), rel=1e-5)
    q = vae.infer(x)
    np.testing.assert_allclose(q["mean"], vae.encode(x), rtol=1e-6)
    kl = 0.5 * (np.exp(q["log_variance"]) + q["mean"] ** 2 - 1 - q["log_variance"])
    np.testing.assert_allclose(found["kl_per_dimension"], kl.mean(0), rtol=1e-4)
    assert found["elbo"] == pytest.approx(-found["reconstruction_loss"] - found["kl_loss"])
    assert found["active_units"] == evaluation.active_units(q["mean"])


def test_posteriors_without_dimensions_are_diagnosed_as_far_as_they_go():
    vae = recipes.categorical_vae((8, 8, 1))
    found = vae.diagnose(np.zeros((4, 8, 8, 1), "float32"))
    assert "mutual_information" not in found
    assert found["elbo"] == pytest.approx(-found["reconstruction_loss"] - found["kl_loss"])


@pytest.mark.slow
def test_the_bound_rises_to_the_closed_form():
    vae, model = principal_components()
    kernel, bias = vae.posterior.mean_layer.get_weights()
    vae.posterior.mean_layer.set_weights([0.7 * kernel, bias])  # the posterior is no longer exact
    x = model.rvs(400, random_state=3).astype("float32")
    truth = model.logpdf(x).mean()
    bounds = [vae.log_likelihood(x, num_samples=k).mean() for k in (1, 10, 100, 3000)]
    assert bounds == sorted(bounds)
    assert bounds[-1] == pytest.approx(truth, abs=0.03)
    many = np.repeat(x, 50, axis=0)
    difference = vae.log_likelihood(many, num_samples=1) - vae.elbo(many)
    assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(len(many))


def test_chunks_do_not_change_the_estimate():
    vae, model = principal_components()
    x = model.rvs(50, random_state=3).astype("float32")
    kernel, bias = vae.posterior.mean_layer.get_weights()
    vae.posterior.mean_layer.set_weights([0.7 * kernel, bias])
    estimates = [vae.log_likelihood(x, num_samples=3000, batch_size=b) for b in (10, 50)]
    assert abs(np.mean(estimates[0] - estimates[1])) < 0.04


def test_log_likelihood_shows_one_bar(capsys):
    vae, model = principal_components()
    x = model.rvs(5, random_state=3).astype("float32")
    vae.log_likelihood(x, num_samples=120)
    assert capsys.readouterr().out == ""
    vae.log_likelihood(x, num_samples=120, verbose=1)
    assert "3/3" in capsys.readouterr().out


# Collapse.


def train(beta, latent_dim=4, epochs=6):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(512, latent_dim)) @ rng.normal(size=(latent_dim, 12))).astype("float32")
    vae = recipes.vae((12,), latent_dim, likelihoods.Normal(scale=0.5), beta, seed=0)
    vae.compile(keras.optimizers.Adam(0.002))
    monitor = callbacks.CollapseMonitor(x[:200], patience=epochs - 1)
    return vae.fit(x, epochs=epochs, batch_size=32, verbose=0, callbacks=[monitor]), monitor


@pytest.mark.slow
def test_a_collapsed_model_warns_once_and_says_how_many_are_dead():
    with pytest.warns(UserWarning, match=r"4 of 4 latent dimensions.*warm-up") as caught:
        history, _ = train(beta=500.0)
    assert sum(issubclass(warning.category, UserWarning) for warning in caught) == 1
    assert history.history["active_units"][-1] == 0


@pytest.mark.slow
def test_a_healthy_model_does_not_warn():
    history, monitor = train(beta=1.0)
    assert history.history["active_units"][-1] == 4
    assert history.history["mutual_information"][-1] > 1.0
    assert np.shape(monitor.kl_per_dimension) == (6, 4)


@pytest.mark.slow
def test_the_monitor_reaches_tensorboard(tmp_path):
    tensorboard = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    vae = recipes.vae((4, 4, 1), 2)
    x = np.random.default_rng(0).random((40, 4, 4, 1), "float32")
    vae.compile("adam")
    monitor = callbacks.CollapseMonitor(x, dead=1.1)
    vae.fit(x, verbose=0, callbacks=[monitor, keras.callbacks.TensorBoard(tmp_path)])
    events = tensorboard.EventAccumulator(str(tmp_path / "train")).Reload()
    assert "epoch_active_units" in events.Tags()["tensors"]


# Disentanglement.

SCORES = {
    "beta_vae_score": lambda c, f: evaluation.beta_vae_score(c, f, 32, 600, 300),
    "factor_vae_score": lambda c, f: evaluation.factor_vae_score(c, f, 32, 600, 300),
    "mutual_information_gap": evaluation.mutual_information_gap,
    "disentanglement": lambda c, f: evaluation.dci(c, f)["disentanglement"],
    "completeness": lambda c, f: evaluation.dci(c, f)["completeness"],
    "informativeness": lambda c, f: evaluation.dci(c, f)["informativeness"],
    "modularity": evaluation.modularity,
    "explicitness": evaluation.explicitness,
    "interventional_robustness": evaluation.interventional_robustness,
}
FLOORS = {  # by chance: one factor of two; the classes of 4 and 5 values; the area of a coin toss
    "beta_vae_score": 0.5,
    "factor_vae_score": 0.5,
    "informativeness": (1 / 4 + 1 / 5) / 2,
    "explicitness": 0.5,
}


@pytest.mark.parametrize("name", SCORES)
def test_codes_that_are_the_factors_score_one(name):
    perfect = GRID * [1.0, -3.0] + 1e-3 * NOISE[:, :2]
    allowance = 0.2 if name == "explicitness" else 0.02  # linear: middle values are hard to tell
    assert SCORES[name](perfect, GRID) == pytest.approx(1.0, abs=allowance)


@pytest.mark.parametrize("name", [n for n in SCORES if n != "modularity"])
def test_noise_scores_the_floor(name):
    assert SCORES[name](NOISE, GRID) == pytest.approx(FLOORS.get(name, 0.0), abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mutual_information_gap", "disentanglement", "completeness"])
def test_a_rotation_by_an_eighth_turn_costs(name):
    # symmetric factors: turned by 45 degrees each dimension tells as much of one as of the other
    factors = np.array(list(itertools.product(range(5), range(5))) * 24)
    codes = (factors - 2.0) @ TURNED + 1e-3 * NOISE[: len(factors), :2]
    assert SCORES[name](codes, factors) < 0.2
    assert SCORES["informativeness"](codes, factors) > 0.8


def test_sap_is_large_for_factors_and_nothing_for_noise_or_an_eighth_turn():
    binary = np.array(list(itertools.product(range(2), range(2))) * 150)
    codes = binary + 0.01 * NOISE[:600, :2]
    assert evaluation.sap(codes * 10 - 5, binary) == pytest.approx(0.5, abs=0.06)
    assert evaluation.sap((codes * 10 - 5) @ TURNED, binary) < 0.06
    assert evaluation.sap(NOISE[:600], binary) < 0.1


def test_the_gap_worked_out_by_hand():
    # code 1 is factor 1 (2 values); code 2 tells its half, of 4 equally frequent rows
    factor = np.array([[0], [0], [1], [1]] * 10)
    codes = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [1.0, 1.0]] * 10)
    # I(code 2; factor) = H(1/4) - 1/2 H(1/2) with code 2 = 1 in one row of four
    entropy = scipy.stats.entropy
    second = entropy([0.75, 0.25]) - 0.5 * entropy([0.5, 0.5])
    expected = (np.log(2) - second) / np.log(2)
    assert evaluation.mutual_information_gap(codes, factor) == pytest.approx(expected, abs=1e-6)


def test_modularity_worked_out_by_hand():
    factors = np.array(list(itertools.product(range(2), range(2))) * 10)
    codes = np.stack([factors[:, 0], factors.sum(1)], 1).astype(float)
    # code 1 is factor 1; code 2, their sum, says 0.5 log 2 of each: one scores 1, the other 0
    assert evaluation.modularity(codes, factors) == pytest.approx(0.5, abs=1e-6)
    assert evaluation.modularity(np.zeros((40, 1)), factors) == 0.0


def test_robustness_worked_out_by_hand():
    factors = np.array(list(itertools.product(range(2), range(2))) * 10)
    codes = (factors @ [[1.0], [3.0]]) - 2.0  # ±0.5 ±1.5, so at most 2 from the mean of 0
    # with factor 2 held it moves by 0.5, so 1 - 0.5/2; with factor 1 held by 1.5
    score = evaluation.interventional_robustness(codes, factors, quantile=1.0)
    assert score == pytest.approx(0.75, abs=1e-6)
    both = np.concatenate([codes, 4.0 * factors[:, :1]], axis=1)  # weights 2 and 2
    score = evaluation.interventional_robustness(both, factors, quantile=1.0)
    assert score == pytest.approx((0.75 + 1.0) / 2, abs=1e-6)


def test_trees_importances_are_weighed_as_the_paper_says():
    # the importances of 3 dimensions for 2 factors
    importance = np.array([[0.9, 0.0], [0.1, 0.5], [0.0, 0.5]])
    per_dim = 1 - np.array([0, scipy.stats.entropy([1 / 6, 5 / 6], base=2), 0])
    expected = per_dim @ (importance.sum(1) / 2)
    assert _concentration(importance) == pytest.approx(expected, abs=1e-6)


def test_votes_and_pairs_agree_in_the_factor():
    rng = np.random.default_rng(0)
    rows = rng.integers(len(GRID), size=50)
    found = _rows_alike(GRID[:, 1], rows, 200, rng)
    assert np.all(GRID[found, 1] == GRID[rows, 1][:, None])
    assert len(np.unique(found)) > 550  # all the others are drawn


def test_bins_run_from_the_least_to_the_largest():
    values = np.array([[0.0], [0.049], [0.051], [1.0]])
    np.testing.assert_array_equal(evaluation.discretize(values), [[1], [1], [2], [20]])


def test_all_scores_at_once():
    scores = evaluation.disentanglement_scores(GRID + 0.01 * NOISE[:, :2], GRID)
    assert len(scores) == 10
    assert all(0 <= value <= 1 for value in scores.values())


@pytest.mark.parametrize(
    ("codes", "factors"),
    [
        (NOISE, GRID[:-1]),
        (NOISE, NOISE),  # not discrete
        (NOISE, 0 * GRID),  # constant
        (NOISE[:, 0], GRID),
        (np.full_like(NOISE, np.nan), GRID),
    ],
)
def test_what_cannot_be_scored_is_refused(codes, factors):
    with pytest.raises(ValueError, match="Received"):
        evaluation.mutual_information_gap(codes, factors)


# Samples.


def test_frechet_distance_of_normals_has_a_closed_form():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
    x, y = rng.normal(size=(500, 3)) @ a, rng.normal(size=(400, 3)) @ b + 1.0
    s, t = np.cov(x.T), np.cov(y.T)
    square = np.sum((x.mean(0) - y.mean(0)) ** 2)
    expected = square + np.trace(s + t - 2 * scipy.linalg.sqrtm(s @ t).real)
    assert evaluation.frechet_distance(x, y) == pytest.approx(expected, rel=1e-6)
    assert evaluation.frechet_distance(x, x) == pytest.approx(0.0, abs=1e-6)


def test_precision_and_recall_against_loops():
    rng = np.random.default_rng(1)
    real, fake = rng.normal(size=(60, 2)), 1.5 * rng.normal(size=(50, 2)) + 0.5
    k = 3

    def radius(points, i):
        return sorted(np.linalg.norm(points[i] - p) for p in points)[k]  # [0] is itself

    real_radii = [radius(real, i) for i in range(60)]
    fake_radii = [radius(fake, i) for i in range(50)]
    inside = [[np.linalg.norm(r - f) < real_radii[i] for f in fake] for i, r in enumerate(real)]
    recalled = [
        any(np.linalg.norm(r - f) < fake_radii[j] for j, f in enumerate(fake)) for r in real
    ]
    expected = {
        "precision": np.any(inside, axis=0).mean(),
        "recall": np.mean(recalled),
        "density": np.sum(inside) / (k * 50),
        "coverage": np.any(inside, axis=1).mean(),
    }
    assert evaluation.precision_recall(real, fake, k) == pytest.approx(expected)


def test_lost_modes_cost_recall_and_junk_costs_precision():
    rng = np.random.default_rng(2)
    real = rng.normal(size=(400, 2)) + rng.choice([-10, 10], size=(400, 1))
    one_mode = rng.normal(size=(400, 2)) + 10
    found = evaluation.precision_recall(real, one_mode)
    assert found["precision"] > 0.9
    assert found["recall"] == pytest.approx(0.5, abs=0.1)
    assert evaluation.precision_recall(real, 50 + one_mode)["precision"] == 0.0


def test_a_feature_model_tells_classes_apart():
    rng = np.random.default_rng(3)
    labels = rng.integers(2, size=200)
    x = (rng.random((200, 8, 8, 1)) * 0.2 + 0.8 * labels[:, None, None, None]).astype("float32")
    network = evaluation.feature_model(x, labels, epochs=3)
    vectors = evaluation.features(network, x)
    assert vectors.shape == (200, 64)
    same = evaluation.frechet_distance(vectors[:100], vectors[100:])
    apart = evaluation.frechet_distance(vectors[labels == 0], vectors[labels == 1])
    assert apart > 10 * same


@pytest.mark.parametrize("bad", [(np.zeros((5, 2)), np.zeros((5, 3))), (np.zeros(5), np.zeros(5))])
def test_features_that_do_not_compare_are_refused(bad):
    with pytest.raises(ValueError, match="Received"):
        evaluation.frechet_distance(*bad)
    with pytest.raises(ValueError, match=r"nearest_k.*Received"):
        evaluation.precision_recall(np.zeros((5, 2)), np.zeros((5, 2)), nearest_k=5)


# Probes.


def test_probes_on_classes_a_line_can_or_cannot_part():
    rng = np.random.default_rng(4)
    codes = rng.normal(size=(600, 2))
    for labels, linear in ((codes[:, 0] > 0, 1.0), (codes[:, 0] * codes[:, 1] > 0, 0.5)):
        parts = (codes[:400], labels[:400], codes[400:], labels[400:])
        assert evaluation.linear_probe(*parts) == pytest.approx(linear, abs=0.1)
        assert evaluation.neighbour_accuracy(*parts) > 0.9


def test_clusters_are_matched_whatever_their_numbers():
    rng = np.random.default_rng(5)
    labels = rng.integers(3, size=300)
    codes = 10.0 * np.eye(3)[labels] + rng.normal(size=(300, 3))
    assert evaluation.cluster_accuracy(codes, labels + 7) == 1.0
    wrong = np.where(np.arange(300) < 30, (labels + 1) % 3, labels)
    assert evaluation.cluster_accuracy(codes, wrong) == pytest.approx(0.9)


def test_a_schedule_is_diagnosed_at_beta_one():
    vae = recipes.vae((4, 4, 1), 2, beta=schedules.Linear(100))
    found = vae.diagnose(np.zeros((10, 4, 4, 1), "float32"))
    assert found["elbo"] == pytest.approx(-found["reconstruction_loss"] - found["kl_loss"])
