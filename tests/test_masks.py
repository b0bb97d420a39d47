"""Two masks: what the encoder sees, and what the likelihood counts."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from checks import binary, small_vae
from scipy import stats

import keras_vae
from keras_vae import VAE, data_adapters, likelihoods, networks, penalties, posteriors

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning"),
]

RNG = np.random.default_rng(0)
ROWS, FEATURES, LATENT, CLASSES, SCALE = 12, 4, 2, 3, 0.5


def linear_vae(uses_z=True, y_features=FEATURES, **parts):
    """A conditional VAE with linear networks; p(x|z, c) = N(W z + V c + b, 0.5²)."""
    keras.utils.set_random_seed(0)
    vae = VAE(
        networks.dense_encoder((FEATURES,), (), condition_dim=CLASSES),
        networks.dense_decoder(LATENT, (y_features,), (), condition_dim=CLASSES),
        likelihood=likelihoods.Normal(SCALE),
        seed=0,
        **parts,
    )
    kernel = np.random.default_rng(1).normal(size=(LATENT + CLASSES, y_features))
    kernel[:LATENT] *= uses_z
    bias = np.linspace(-1, 1, y_features)
    vae.decoder.set_weights([kernel.astype("float32"), bias.astype("float32")])
    vae.compile(keras.optimizers.SGD(0.0), metrics=["mae"], run_eagerly=True)
    return vae, kernel, bias


def batch_of(features=FEATURES):
    """A dict with both masks; NaN where neither mask is True. Some entries are in both."""
    x = RNG.normal(size=(ROWS, features)).astype("float32")
    seen, counted = RNG.random((2, ROWS, features)) > 0.5
    x[~seen & ~counted] = np.nan
    condition = np.arange(ROWS) % CLASSES
    return {"x": x, "condition": condition, "mask": seen, "target_mask": counted}


def reconstruction(batch, kernel, bias, z=None, target=None):
    """log p(x|z, c) of the entries that count, by SciPy, (K, B)."""
    z = np.zeros((1, ROWS, LATENT)) if z is None else z
    one_hot = np.eye(CLASSES)[batch["condition"]]
    means = z @ kernel[:LATENT] + one_hot @ kernel[LATENT:] + bias
    values = stats.norm(means, SCALE).logpdf(batch["x"] if target is None else target)
    return np.where(batch["target_mask"], values, 0.0).sum(-1)


def of_encoder(vae, batch):
    """The parameters of q(z|x) for the entries that the encoder sees, and the KL in closed form."""
    q = vae.infer({**of_input(batch), "x": np.where(batch["mask"], batch["x"], 0.0)})
    variance = np.exp(q["log_variance"])
    return q, 0.5 * np.sum(variance + q["mean"] ** 2 - 1 - q["log_variance"], axis=-1)


def of_input(batch):
    return {key: batch[key] for key in ("x", "condition")}


class OneBatch(keras.utils.PyDataset):
    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return (self.batch,)


def frames(batch):
    pandas = pytest.importorskip("pandas")
    flat = {key: value for key, value in batch.items() if key != "condition"}
    return {key: pandas.DataFrame(value) for key, value in flat.items()} | {
        "condition": pandas.Series(batch["condition"])
    }


def masked(batch):
    x = np.ma.MaskedArray(np.nan_to_num(batch["x"]), np.isnan(batch["x"]))
    everywhere = {"mask": batch["mask"], "target_mask": batch["target_mask"]}
    return {"x": x, "condition": batch["condition"], **everywhere}


CONTAINERS = {
    "arrays": lambda batch: batch,
    "frames": frames,
    "masked array": masked,
    "tf.data": lambda batch: tf.data.Dataset.from_tensor_slices(batch).batch(5),
    "generator": lambda batch: ({k: v[i : i + 5] for k, v in batch.items()} for i in (0, 5, 10)),
    "generator of frames": lambda batch: (frames(batch) for _ in range(1)),
    "PyDataset": OneBatch,
}


def loader(batch):
    torch = pytest.importorskip("torch")
    rows = [{key: value[i] for key, value in batch.items()} for i in range(ROWS)]
    return torch.utils.data.DataLoader(rows, batch_size=5)


CONTAINERS["DataLoader"] = loader


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("num_samples", [1, 4])
def test_the_elbo_counts_the_target_mask_and_the_encoder_sees_the_mask(container, num_samples):
    vae, kernel, bias = linear_vae()
    batch = batch_of()
    q, kl = of_encoder(vae, batch)
    points = posteriors.score_points(num_samples, LATENT)[:, None]
    z = q["mean"] + np.exp(0.5 * q["log_variance"]) * points
    expected = reconstruction(batch, kernel, bias, z).mean(axis=0) - kl
    found = vae.elbo(CONTAINERS[container](batch), num_samples=num_samples)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def of_logs(vae, container, batch, weights):
    """Makes the logs of each method that gives some, for weights in the container."""
    method = {"fit": lambda: vae.fit(batch, sample_weight=weights, batch_size=ROWS, verbose=0)}
    method["evaluate"] = lambda: vae.evaluate(
        batch, sample_weight=weights, return_dict=True, verbose=0
    )
    method["train_on_batch"] = lambda: vae.train_on_batch(
        batch, sample_weight=weights, return_dict=True
    )
    method["test_on_batch"] = lambda: vae.test_on_batch(
        batch, sample_weight=weights, return_dict=True
    )
    method["validation"] = lambda: vae.fit(batch, validation_data=(batch, None, weights), verbose=0)
    found = method[container]()
    if container in ("fit", "validation"):
        found = {name: values[0] for name, values in found.history.items()}
    prefix = "val_" if container == "validation" else ""
    return {name: found[prefix + name] for name in ("loss", "reconstruction_loss", "mae")}


METHODS = ("fit", "evaluate", "train_on_batch", "test_on_batch", "validation")


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_logs_count_the_target_mask(method, weighted):
    vae, kernel, bias = linear_vae(uses_z=False)  # so that the noise plays no part
    batch, weights = batch_of(), np.linspace(0.1, 2.0, ROWS).astype("float32")
    shares = weights / weights.sum() if weighted else np.full(ROWS, 1 / ROWS)
    loss = -shares @ reconstruction(batch, kernel, bias)[0]
    _, kl = of_encoder(vae, batch)
    logs = of_logs(vae, method, batch, weights if weighted else None)
    np.testing.assert_allclose(logs["reconstruction_loss"], loss, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(logs["loss"], loss + shares @ kl, rtol=1e-4, atol=1e-5)
    means = np.eye(CLASSES)[batch["condition"]] @ kernel[LATENT:] + bias
    off = np.where(batch["target_mask"], np.abs(batch["x"] - means), 0.0)
    np.testing.assert_allclose(logs["mae"], off.mean(), rtol=1e-4, atol=1e-5)


def test_a_pipeline_with_weights_counts_the_target_mask():
    vae, kernel, bias = linear_vae(uses_z=False)
    batch, weights = batch_of(), np.linspace(0.1, 2.0, ROWS).astype("float32")
    expected = -(weights / weights.sum()) @ reconstruction(batch, kernel, bias)[0]
    rows = (batch, np.nan_to_num(batch["x"], nan=7.0), weights)
    data = tf.data.Dataset.from_tensor_slices(rows).batch(5)
    for logs in (vae.fit(data, verbose=0).history, vae.evaluate(data, return_dict=True, verbose=0)):
        np.testing.assert_allclose(
            np.ravel(logs["reconstruction_loss"]), expected, rtol=1e-4, atol=1e-5
        )


def test_the_log_likelihood_is_that_of_what_counts():
    vae, kernel, bias = linear_vae(uses_z=False)
    vae.posterior.set_weights([np.zeros_like(w) for w in vae.posterior.get_weights()])  # q = p(z)
    batch = batch_of()
    expected = reconstruction(batch, kernel, bias)[0]
    for data in (batch, CONTAINERS["tf.data"](batch)):
        found = vae.log_likelihood(data, num_samples=3)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_target_of_another_shape_has_a_mask_of_its_own():
    vae, kernel, bias = linear_vae(uses_z=False, y_features=2)
    batch, y = batch_of(), RNG.normal(size=(ROWS, 2)).astype("float32")
    batch["x"] = np.where(batch["mask"], batch["x"], np.nan)
    batch["target_mask"] = RNG.random((ROWS, 2)) > 0.5
    _, kl = of_encoder(vae, batch)
    expected = reconstruction(batch, kernel, bias, target=y)[0] - kl
    y = np.where(batch["target_mask"], y, np.nan)
    np.testing.assert_allclose(vae.elbo(batch, y), expected, rtol=1e-4, atol=1e-5)
    logs = vae.evaluate(batch, y, return_dict=True, verbose=0)
    np.testing.assert_allclose(logs["loss"], -expected.mean(), rtol=1e-4, atol=1e-5)


def test_without_a_target_mask_the_mask_counts():
    vae, *_ = linear_vae()
    batch = batch_of()
    alone = {key: value for key, value in batch.items() if key != "target_mask"}
    same = vae.elbo({**batch, "target_mask": batch["mask"]})
    np.testing.assert_array_equal(vae.elbo(alone), same)


def test_a_target_mask_alone_lets_the_encoder_see_all():
    vae, kernel, bias = linear_vae(uses_z=False)
    batch = batch_of()
    batch["x"] = np.nan_to_num(batch["x"])
    alone = {key: value for key, value in batch.items() if key != "mask"}
    _, kl = of_encoder(vae, {**batch, "mask": np.ones_like(batch["mask"])})
    np.testing.assert_allclose(
        vae.elbo(alone), reconstruction(batch, kernel, bias)[0] - kl, rtol=1e-4, atol=1e-5
    )


def test_imputation_and_codes_go_by_the_mask():
    vae, *_ = linear_vae()
    batch = batch_of()
    alone = {key: value for key, value in batch.items() if key != "target_mask"}
    np.testing.assert_array_equal(vae.encode(batch), vae.encode(alone))
    filled = [vae.impute(data, num_samples=5) for data in (batch, alone)]
    np.testing.assert_array_equal(*filled)
    np.testing.assert_array_equal(filled[0][batch["mask"]], batch["x"][batch["mask"]])


def test_what_a_masked_array_lacks_never_counts():
    vae, *_ = linear_vae()
    batch = batch_of()
    counted = {**masked(batch), "target_mask": np.ones((ROWS, FEATURES), bool)}
    known = ~np.isnan(batch["x"])
    np.testing.assert_array_equal(vae.elbo(counted), vae.elbo({**batch, "target_mask": known}))


def spoiled(where, value):
    """A batch of zeros and ones with one other value, at an entry of a kind."""
    x = binary(8, (6,))
    seen, counted = np.zeros((2, 8, 6), bool)
    seen[:, :4], counted[:, 2:5] = True, True
    x[3, {"seen": 0, "both": 2, "counted": 4, "neither": 5}[where]] = value
    return {"x": x, "mask": seen, "target_mask": counted}


CHECKED = [
    ("seen", np.nan, "`x` must be finite"),
    ("both", np.nan, "`x` must be finite"),
    ("counted", np.nan, "`x` must be finite"),
    ("neither", np.nan, None),
    ("seen", 3.0, None),
    ("both", 3.0, "`x` must lie in"),
    ("counted", 3.0, "`x` must lie in"),
    ("neither", 3.0, None),
]


@pytest.mark.parametrize(("where", "value", "message"), CHECKED)
def test_values_are_checked_where_they_are_used(where, value, message):
    vae, batch = small_vae((6,)), spoiled(where, value)
    if message is None:
        assert np.isfinite(vae.elbo(batch)).all()
        return
    for run in (vae.elbo, vae.train_on_batch, vae.log_likelihood):
        with pytest.raises(ValueError, match=rf"{message}.*Received: x"):
            run(batch)


@pytest.mark.parametrize(("where", "value", "message"), CHECKED)
def test_values_of_later_batches_are_counted_where_they_are_used(where, value, message):
    vae, good = small_vae((6,)), spoiled("neither", 0.0)
    vae.compile("adam", run_eagerly=True)
    for run in (vae.fit, vae.elbo):
        data = (batch for batch in (good, spoiled(where, value)))
        if message is None:
            run(data, verbose=0)
            continue
        with pytest.raises(ValueError, match=r"1 examples with bad values, the first in batch 1"):
            run(data, verbose=0)


def test_values_just_outside_the_support_count_as_its_edge_where_they_count():
    vae, batch = small_vae((6,)), spoiled("counted", 1.05)
    at_edge = vae.elbo(spoiled("counted", 1.0))
    with pytest.warns(UserWarning, match="scored as its edge"):
        np.testing.assert_allclose(vae.elbo(batch), at_edge, rtol=1e-6)


@pytest.mark.parametrize(
    "target_mask", [np.ones((8, 5)), np.ones(8), np.full((8, 6), 0.5), np.full((8, 6), 2)]
)
def test_a_bad_target_mask_is_refused(target_mask):
    batch = {**spoiled("neither", 0.0), "target_mask": target_mask}
    vae = small_vae((6,))
    for run in (vae.fit, vae.elbo, vae.encode):
        with pytest.raises(ValueError, match=r"`target_mask` must .*: .*Received: target_mask"):
            run(batch)


def test_rows_are_repeated_for_devices_with_both_masks(monkeypatch):
    monkeypatch.setattr(data_adapters.replicas, "shards", lambda: 5)
    vae, *_ = linear_vae()
    batch = batch_of()
    found = data_adapters.for_fit(vae, {"x": batch, "batch_size": 5})
    for key in batch:
        assert len(found["x"][key]) == 15
        np.testing.assert_array_equal(found["x"][key][12:], batch[key][:3])
    np.testing.assert_array_equal(found["sample_weight"], [1.0] * 12 + [0.0] * 3)


def test_a_perceptual_penalty_does_not_see_what_does_not_count():
    network = keras.Sequential([keras.Input((6,)), keras.layers.Dense(6, use_bias=False)])
    vae = small_vae((6,), penalties=[penalties.Perceptual(network)])
    batch, values = spoiled("neither", 0.0), []
    for bias in (0.0, 5.0):
        weights = vae.decoder.get_weights()
        weights[-1][[0, 1, 5]] = bias  # of features that do not count
        vae.decoder.set_weights(weights)
        values.append(vae.evaluate(batch, return_dict=True, verbose=0)["perceptual"])
    np.testing.assert_allclose(*values, rtol=1e-6)
    assert values[0] > 0


def test_a_ladder_counts_the_target_mask():
    keras.utils.set_random_seed(0)
    groups = [(2,), (3,)]
    ladder = keras_vae.hierarchical.HierarchicalVAE(
        keras_vae.hierarchical.bottom_up((6,), groups, 8),
        keras_vae.hierarchical.TopDown(groups, (6,), 8),
        seed=0,
    )
    batch = spoiled("neither", np.nan)
    nothing = {**batch, "target_mask": np.zeros((8, 6), bool)}
    found = ladder.diagnose(nothing)
    assert found["reconstruction_loss"] == 0
    assert found["kl_loss"] == pytest.approx(ladder.diagnose(batch)["kl_loss"])
    assert ladder.diagnose(batch)["reconstruction_loss"] > 0
