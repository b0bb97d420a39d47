"""Scores of rows: what they depend on, and values just outside the support."""

import keras
import numpy as np
import pytest
from checks import small_vae
from scipy import stats

from keras_vae import (
    VAE,
    flows,
    likelihoods,
    networks,
    posteriors,
    priors,
    quantized,
)
from keras_vae.hierarchical import HierarchicalVAE, TopDown, bottom_up

RNG = np.random.default_rng(0)
ROWS = 9
X = RNG.random((ROWS, 6)).astype("float32")
CONDITION, MASK = np.arange(ROWS) % 3, RNG.random((ROWS, 6)) > 0.3


def flow():
    steps = [flows.Autoregressive(8), flows.Planar()]
    return posteriors.NormalizingFlow(posteriors.DiagonalNormal(3), steps)


POSTERIORS = {
    "diagonal": lambda: posteriors.DiagonalNormal(3),
    "full": lambda: posteriors.FullNormal(3),
    "flow": flow,
    "sphere": lambda: posteriors.VonMisesFisher(3),
    "classes": lambda: posteriors.Categorical(2, 4),
    "vectors": lambda: quantized.VectorQuantizer(4, 5, 2),
    "scalars": lambda: quantized.FiniteScalarQuantizer(4, (3, 5)),
    "gumbel": lambda: quantized.GumbelQuantizer(4, 5, 2),
}


def ladder():
    groups, options = [(2,), (3,)], {"width": 4, "depth": 1}
    down = TopDown(groups, (6,), **options, condition_dim=3)
    return HierarchicalVAE(bottom_up((6,), groups, **options), down, seed=0)


def with_posterior(name):
    """A model with a condition and random weights."""
    keras.utils.set_random_seed(0)
    if name == "ladder":
        vae = ladder()
    else:
        posterior, size = POSTERIORS[name](), {"units": (8,), "condition_dim": 3}
        decoder = networks.dense_decoder(posterior.latent_dim, (6,), **size)
        prior = priors.NormalMixture(3) if name == "full" else None
        vae = VAE(networks.dense_encoder((6,), **size), decoder, posterior, prior, seed=0)
    for weight in vae.trainable_weights:
        weight.assign(0.4 * RNG.normal(size=weight.shape))
    return vae


def rows_of(rows, masked):
    batch = {"x": X[rows], "condition": CONDITION[rows]}
    return batch | {"mask": MASK[rows]} if masked else batch


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", [*POSTERIORS, "ladder"])
def test_the_score_of_a_row_depends_on_the_row_alone(name, masked):
    vae, every = with_posterior(name), np.arange(ROWS)
    scores = vae.anomaly_score(rows_of(every, masked))
    vae.encode(rows_of(every, False), sample=True)  # draws from the noise of evaluation
    for rows in (every[::-1], [4], [7, 2], [1, 1, 5]):
        for batch_size in (None, 2):
            found = vae.anomaly_score(rows_of(rows, masked), batch_size=batch_size)
            np.testing.assert_allclose(found, scores[rows], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        vae.diagnose(rows_of(every, masked))["elbo"], -scores.mean(), rtol=1e-4
    )
    assert np.ptp(scores) > 0.1


@pytest.mark.backends
@pytest.mark.parametrize("name", [*POSTERIORS, "ladder"])
def test_every_method_takes_one_row_and_one_draw(name):
    vae, one = with_posterior(name), rows_of([3], True)
    inputs = {key: one[key] for key in ("x", "condition")}
    assert vae.encode(inputs, sample=True).shape == vae.encode(inputs).shape
    for method in ("elbo", "anomaly_score", "log_likelihood", "explain", "impute"):
        several = getattr(vae, method)(rows_of([3, 3], True), num_samples=1)
        found = getattr(vae, method)(one, num_samples=1)
        assert found.shape == (1, *several.shape[1:])
        assert np.all(np.isfinite(found))
    assert np.isfinite(vae.diagnose(one, num_samples=1)["elbo"])
    vae.compile("adam")
    assert np.isfinite(vae.train_on_batch(inputs, return_dict=True)["loss"])


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", [*POSTERIORS, "ladder"])
def test_the_scores_of_entries_add_up_to_the_reconstruction_loss(name, masked):
    vae = with_posterior(name)
    for rows in ([3], [0, 5, 5]):
        batch = rows_of(rows, masked)
        entries, found = vae.explain(batch, num_samples=8), vae.diagnose(batch, num_samples=8)
        assert entries.shape == (len(rows), 6)
        np.testing.assert_allclose(
            entries.sum(axis=1).mean(), found["reconstruction_loss"], rtol=1e-5
        )
        if masked:
            np.testing.assert_array_equal(entries == 0, ~batch["mask"])


def test_the_score_of_an_entry_is_minus_its_log_density():
    """With a decoder that ignores z, for which SciPy has the density."""
    decoder = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(6, kernel_initializer="zeros")]
    )
    likelihood = likelihoods.Normal(0.5)
    vae = VAE(networks.dense_encoder((6,), (8,)), decoder, likelihood=likelihood, seed=0)
    decoder.layers[-1].bias.assign(X[0])
    expected = -stats.norm.logpdf(X, X[0], 0.5)
    np.testing.assert_allclose(vae.explain(X), expected, rtol=1e-5)
    target = X[::-1].copy()
    np.testing.assert_allclose(vae.explain(X, target), expected[::-1], rtol=1e-5)


class Batches(keras.utils.PyDataset):
    """x in batches of 4 rows."""

    def __init__(self, x):
        super().__init__()
        self.x = x

    def __len__(self):
        return -(-ROWS // 4)

    def __getitem__(self, index):
        rows = slice(4 * index, 4 * index + 4)
        return (keras.tree.map_structure(lambda a: a[rows], self.x),)


def test_the_batches_of_a_pipeline_have_the_same_scores():
    vae, x = with_posterior("flow"), rows_of(np.arange(ROWS), False)
    np.testing.assert_allclose(vae.elbo(Batches(x)), vae.elbo(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["vectors", "scalars"])
def test_equal_draws_are_made_once(name, monkeypatch):
    vae, x, decoded = with_posterior(name), rows_of(np.arange(ROWS), False), []
    decode = vae._decode_draws

    def watched(z, *args, **options):
        decoded.append(tuple(z.shape[:2]))
        return decode(z, *args, **options)

    monkeypatch.setattr(VAE, "_decode_draws", lambda self, *a, **o: watched(*a, **o))
    elbo, bound = vae.elbo(x, num_samples=8), vae.log_likelihood(x, num_samples=50)
    np.testing.assert_allclose(bound, elbo, rtol=1e-5)  # q has all its mass on one code
    vae.impute(rows_of(np.arange(ROWS), True), num_samples=20)
    assert {draws for draws, _ in decoded} == {1}


@pytest.mark.parametrize("method", ["elbo", "diagnose", "log_likelihood"])
@pytest.mark.parametrize("num_samples", [0, -1, 1.5])
def test_a_number_of_samples_that_is_none_is_refused(method, num_samples):
    with pytest.raises(ValueError, match=r"`num_samples` must .*Received: num_samples="):
        getattr(small_vae((6,)), method)(X, num_samples=num_samples)


@pytest.fixture(scope="module")
def vae():
    return small_vae((6,))


def test_values_just_outside_the_support_are_scored_as_its_edge_with_one_warning(vae):
    x = X.copy()
    x[0, :2], x[3, 4] = 1.02, -0.05
    expected = vae.elbo(x, np.clip(x, 0, 1))
    with pytest.warns(UserWarning, match=r"from -0\.05 to 1\.02.* Bernoulli") as found:
        scores = vae.elbo(x)
    assert len(found) == 1
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    others = [1, 2, *range(4, ROWS)]
    np.testing.assert_allclose(scores[others], vae.elbo(X)[others], rtol=1e-4)
    with pytest.warns(UserWarning, match="just outside"):
        diagnosis = vae.diagnose(x)
    assert diagnosis["elbo"] == pytest.approx(scores.mean(), rel=1e-5)


@pytest.mark.parametrize("kind", ["mask", "tensor", "target", "pipeline"])
def test_it_is_the_same_for_every_input(vae, kind):
    x = X.copy()
    x[0, :2] = 1.02
    mask, inside = np.ones_like(x, "bool"), np.clip(x, 0, 1)
    mask[2] = False
    make = {
        "mask": lambda: ({"x": np.where(mask, x, 7.0), "mask": mask},),
        "tensor": lambda: (keras.ops.convert_to_tensor(x),),
        "target": lambda: (X, x),
        "pipeline": lambda: (Batches(x),),
    }
    expected = {
        "mask": lambda: vae.elbo({"x": x, "mask": mask}, inside),
        "target": lambda: vae.elbo(X, inside),
    }.get(kind, lambda: vae.elbo(x, inside))()
    with pytest.warns(UserWarning, match="just outside"):
        found = vae.elbo(*make[kind]())
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("value", [1.2, -0.11, np.nan, 255.0])
def test_values_farther_outside_are_refused(vae, value):
    x = X.copy()
    x[0, 0], x[1, 0] = value, 1.02
    with pytest.raises(ValueError, match=r"`x` must .*Received: x"):  # a warning is an error
        vae.anomaly_score(x)


def test_training_and_the_likelihood_refuse_what_scores_accept(vae):
    x = X.copy()
    x[0, 0] = 1.02
    for method in (vae.fit, vae.evaluate, vae.log_likelihood):
        with pytest.raises(ValueError, match="`x` must lie in"):
            method(x)


def test_there_is_no_edge_between_classes_and_none_of_open_supports():
    for likelihood, value in ((likelihoods.Categorical(30), 30.0), (likelihoods.Beta(), 1.02)):
        model, x = small_vae((6,), likelihood=likelihood), np.full((3, 6), 0.5, "float32")
        x = np.round(x) if value == 30.0 else x
        x[0, 0] = value
        with pytest.raises(ValueError, match="`x` must lie in"):
            model.anomaly_score(x)


def test_the_columns_of_a_table_have_edges_of_their_own():
    parts = [likelihoods.Bernoulli(), likelihoods.Normal(1.0), likelihoods.Categorical(3)]
    model = small_vae((4,), likelihood=likelihoods.Mixed(parts, [1, 2, 1]))
    x = np.float32([[0.3, 5.0, -7.0, 2.0], [1.05, 1.0, 2.0, 0.0]])
    with pytest.warns(UserWarning, match=r"from 1\.05 to 1\.05"):
        found = model.elbo(x)
    expected = model.elbo(x, np.float32([[0.3, 5.0, -7.0, 2.0], [1.0, 1.0, 2.0, 0.0]]))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
