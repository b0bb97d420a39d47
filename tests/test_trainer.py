import keras
import numpy as np
import pytest
import tensorflow as tf
from checks import small_vae
from reference import Reference
from scipy import sparse

import keras_vae
from keras_vae import networks, schedules

pytestmark = pytest.mark.tensorflow

RATE, BATCH = 0.05, 8
RNG = np.random.default_rng(0)
X = RNG.random((20, 6), "float32")  # batches of 8, 8 and 4
Y = RNG.random((20, 6), "float32")
W = RNG.random(20, "float32") + 0.1


def make(seed=3, **options):
    keras.utils.set_random_seed(seed)
    encoder = networks.dense_encoder((6,), units=(8,), activation="tanh")
    decoder = networks.dense_decoder(2, (6,), units=(8,), activation="tanh")
    return keras_vae.VAE(encoder, decoder, seed=seed, **options)


def compiled(optimizer=None, **options):
    vae = make()
    vae.compile(optimizer=optimizer or keras.optimizers.SGD(RATE), **options)
    return vae


def batches(*arrays):
    for start in range(0, 20, BATCH):
        yield tuple(None if a is None else a[start : start + BATCH] for a in arrays)


def reference_fit(x=X, y=None, w=None, change=lambda gradients: gradients):
    reference = Reference(make())
    for xb, yb, wb in batches(x, y, w):
        reference.descend(change(reference.gradients(xb, yb, wb)), RATE)
    return reference.vae


def assert_same_weights(vae, other, rtol=2e-5):
    for a, b in zip(vae.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6)


class Sequence(keras.utils.PyDataset):
    def __init__(self, *arrays):
        super().__init__()
        self.batches = list(batches(*arrays))

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, i):
        return self.batches[i]


def as_tf_data(*arrays):
    arrays = arrays if len(arrays) > 1 else arrays[0]
    return tf.data.Dataset.from_tensor_slices(arrays).batch(BATCH)


KINDS = {
    "arrays": lambda *a: a,
    "tf.data": lambda *a: (as_tf_data(*a),),
    "PyDataset": lambda *a: (Sequence(*a),),
    "generator": lambda *a: (batches(*a),),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("data", [(X,), (X, Y), (X, Y, W)], ids=["x", "xy", "xyw"])
def test_fit_equals_the_hand_written_loop_on_every_kind_of_data(kind, data):
    vae = compiled()
    call = KINDS[kind](*data)
    if kind == "arrays":
        named = dict(zip(("x", "y", "sample_weight"), call, strict=False))
        vae.fit(**named, batch_size=BATCH, shuffle=False, verbose=0)
    else:
        vae.fit(*call, verbose=0, steps_per_epoch=3 if kind == "generator" else None)
    assert_same_weights(vae, reference_fit(*data))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_end_of_an_epoch_waits_for_no_autotuner_but_a_users_own(kind, monkeypatch):
    autotuners, make_iterator = [], tf.data.Dataset.__iter__

    def spy(dataset):
        autotuners.append(dataset.options().autotune.enabled)
        return make_iterator(dataset)

    vae, call = compiled(), KINDS[kind]
    monkeypatch.setattr(tf.data.Dataset, "__iter__", spy)
    data = call(X, Y)
    if kind == "generator":
        vae.fit(*data, epochs=3, steps_per_epoch=1, verbose=0)
        vae.evaluate(*call(X, Y), steps=2, verbose=0)
    else:
        vae.fit(*data, epochs=3, validation_data=data if kind == "arrays" else data[0], verbose=0)
        vae.evaluate(*data, verbose=0)
    assert set(autotuners) == {None if kind == "tf.data" else False}


def test_sample_weight_without_y_is_not_ignored():
    vae = compiled()
    vae.fit(X, sample_weight=W, batch_size=BATCH, shuffle=False, verbose=0)
    assert_same_weights(vae, reference_fit(X, None, W))


@pytest.mark.parametrize(
    ("option", "change"),
    [
        ({"clipvalue": 0.1}, lambda gs: [np.clip(g, -0.1, 0.1) for g in gs]),
        ({"clipnorm": 0.1}, lambda gs: [g * min(1, 0.1 / np.linalg.norm(g)) for g in gs]),
        (
            {"global_clipnorm": 0.1},
            lambda gs: [g * 0.1 / np.sqrt(sum((h**2).sum() for h in gs)) for g in gs],
        ),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
)
def test_gradients_are_clipped(option, change):
    vae = compiled(keras.optimizers.SGD(RATE, **option))
    vae.fit(X, batch_size=BATCH, shuffle=False, verbose=0)
    assert_same_weights(vae, reference_fit(change=change))


def test_gradient_accumulation_averages_batches():
    vae = compiled(keras.optimizers.SGD(RATE, gradient_accumulation_steps=3))
    vae.fit(X, batch_size=BATCH, shuffle=False, verbose=0)
    reference = Reference(make())
    all_gradients = [reference.gradients(x) for (x,) in batches(X)]
    reference.descend([sum(gs) / 3 for gs in zip(*all_gradients, strict=True)], RATE)
    assert_same_weights(vae, reference.vae)


@pytest.mark.slow
def test_use_ema_leaves_the_average_of_the_iterates():
    vae = compiled(keras.optimizers.SGD(RATE, use_ema=True, ema_momentum=0.5))
    vae.fit(X, batch_size=BATCH, shuffle=False, verbose=0)
    reference, average = Reference(make()), None
    for (x,) in batches(X):
        reference.descend(reference.gradients(x), RATE)
        now = [w.numpy() for w in reference.vae.trainable_weights]
        average = average or now
        average = [0.5 * a + 0.5 * b for a, b in zip(average, now, strict=True)]
    trained = [w.numpy() for w in vae.trainable_weights]
    for a, b in zip(trained, average, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)


def test_steps_per_execution_runs_several_steps_a_call():
    calls = []
    counter = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: calls.append(1))
    vae = compiled(steps_per_execution=3)
    vae.fit(X, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[counter])
    assert len(calls) == 1
    assert_same_weights(vae, reference_fit())


@pytest.mark.parametrize("metrics", [None, ["mae"]])
def test_a_step_is_traced_once(metrics):
    traces, vae = [], compiled(keras.optimizers.Adam(), metrics=metrics)
    step = vae.train_step
    vae.train_step = lambda data: (traces.append(1), step(data))[1]
    for data in (X, as_tf_data(X)):
        vae.fit(data, batch_size=BATCH if data is X else None, epochs=2, verbose=0)
        assert len(traces) == 1


def test_jit_compile_runs_xla():
    losses = {}
    for jit in (False, True):
        vae = compiled(keras.optimizers.SGD(0.0), jit_compile=jit)
        logs = vae.fit(X, batch_size=20, shuffle=False, verbose=0).history
        losses[jit] = logs["reconstruction_loss"][0]
    assert losses[True] != losses[False]  # XLA draws other noise for the same seed
    assert losses[True] == pytest.approx(losses[False], rel=0.1)


@pytest.mark.parametrize("eager", [False, True])
def test_run_eagerly(eager):
    seen = []

    class Spy(keras.layers.Layer):
        def call(self, x):
            seen.append(tf.executing_eagerly())
            return x

    encoder = keras.Sequential([keras.Input((6,)), Spy()])
    vae = keras_vae.VAE(encoder, networks.dense_decoder(2, (6,), units=(8,)))
    vae.compile("sgd", run_eagerly=eager)
    vae.fit(X, verbose=0)
    assert seen[-1] is eager


@pytest.mark.slow
@pytest.mark.parametrize(("policy", "rtol"), [("mixed_float16", 0.02), ("mixed_bfloat16", 0.1)])
def test_mixed_precision_trains_as_float32_does(policy, rtol):
    before = make().get_weights()
    moves = {}
    for name in ("float32", policy):
        keras.config.set_dtype_policy(name)
        try:
            vae = compiled()
            vae.fit(X, batch_size=BATCH, shuffle=False, verbose=0, epochs=2)
        finally:
            keras.config.set_dtype_policy("float32")
        after = vae.get_weights()
        moves[name] = np.concatenate([(a - b).ravel() for a, b in zip(after, before, strict=True)])
    assert vae.encoder.compute_dtype == policy.removeprefix("mixed_")
    assert (vae.optimizer.__class__.__name__ == "LossScaleOptimizer") is (policy == "mixed_float16")
    error = np.linalg.norm(moves[policy] - moves["float32"]) / np.linalg.norm(moves["float32"])
    assert 0 < error < rtol


def test_loss_scaling_skips_an_overflow_and_goes_on():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        vae = make()
        inner = keras.optimizers.SGD(RATE)
        vae.compile(keras.optimizers.LossScaleOptimizer(inner, initial_scale=2.0**40))
        before = vae.get_weights()
        vae.fit(X[:BATCH], batch_size=BATCH, verbose=0)
        assert_same_weights(vae, type("Kept", (), {"get_weights": lambda self: before})())
        assert float(vae.optimizer.dynamic_scale) == 2.0**39
    finally:
        keras.config.set_dtype_policy("float32")


class Extra(keras.layers.Layer):
    def call(self, x):
        self.add_loss(0.25 + 0.0 * keras.ops.sum(x))
        return x


def regularised():
    keras.utils.set_random_seed(3)
    l2 = keras.regularizers.L2(0.1)
    encoder = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(8, "tanh", kernel_regularizer=l2), Extra()]
    )
    return keras_vae.VAE(encoder, networks.dense_decoder(2, (6,), units=(8,)), seed=3)


def test_regularisers_and_add_loss_are_counted_once():
    vae = regularised()
    kernel = vae.encoder.layers[0].kernel
    penalty = 0.1 * float((kernel.numpy() ** 2).sum()) + 0.25
    vae.compile(keras.optimizers.SGD(RATE))
    logs = vae.evaluate(X, verbose=0, return_dict=True)
    rest = logs["reconstruction_loss"] + logs["kl_loss"]
    assert logs["loss"] - rest == pytest.approx(penalty, rel=1e-4)

    reference = Reference(regularised())
    other = reference.vae.encoder.layers[0].kernel
    gradients = reference.gradients(X, extra=lambda: 0.1 * tf.reduce_sum(other**2))
    reference.descend(gradients, RATE)
    vae.fit(X, batch_size=20, shuffle=False, verbose=0)
    assert_same_weights(vae, reference.vae)


def test_frozen_parts_do_not_move():
    vae = make()
    vae.decoder.trainable = False
    vae.compile("adam")
    frozen, free = vae.decoder.get_weights(), vae.encoder.get_weights()
    vae.fit(X, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(frozen, vae.decoder.get_weights(), strict=True))
    assert not np.array_equal(free[0], vae.encoder.get_weights()[0])


def test_metrics_compare_the_target_with_the_reconstruction():
    vae = compiled(
        keras.optimizers.SGD(0.0),
        metrics=["mae"],
        weighted_metrics=[keras.metrics.MeanSquaredError()],
    )
    history = vae.fit(X, Y, sample_weight=W, batch_size=20, shuffle=False, verbose=0).history
    error = Y - Reference(make()).per_example(X)[2].numpy()
    assert history["mae"][0] == pytest.approx(np.abs(error).mean(), rel=1e-5)
    expected = np.average((error**2).mean(1), weights=W)
    assert history["mean_squared_error"][0] == pytest.approx(expected, rel=1e-5)


def test_logs_are_weighted_means_over_examples_whatever_the_batches():
    x = X[:17]  # the last of three batches has one row
    reference = Reference(make())
    values = [[v.numpy() for v in reference.per_example(x[i : i + 8])[:2]] for i in (0, 8, 16)]
    entropy, kl = (np.concatenate(v) for v in zip(*values, strict=True))
    vae = compiled(keras.optimizers.SGD(0.0))
    logs = vae.fit(x, sample_weight=W[:17], batch_size=8, shuffle=False, verbose=0).history
    assert list(logs) == ["loss", "reconstruction_loss", "kl_loss"]
    assert logs["reconstruction_loss"][0] == pytest.approx(np.average(entropy, weights=W[:17]))
    assert logs["kl_loss"][0] == pytest.approx(np.average(kl, weights=W[:17]), rel=1e-4)
    assert logs["loss"][0] == pytest.approx(np.average(entropy + kl, weights=W[:17]))


@pytest.mark.slow
def test_validation_is_evaluate_and_leaves_training_alone():
    alone, watched, split = compiled(), compiled(), compiled()
    alone.fit(X[:16], batch_size=BATCH, shuffle=False, verbose=0, epochs=2)
    options = {"batch_size": BATCH, "shuffle": False, "verbose": 0, "epochs": 2}
    logs = watched.fit(X[:16], validation_data=X[16:], **options).history
    assert_same_weights(watched, alone, rtol=0)
    again = watched.evaluate(X[16:], batch_size=BATCH, verbose=0, return_dict=True)
    assert logs["val_loss"][-1] == again["loss"]
    assert again == watched.evaluate(X[16:], batch_size=BATCH, verbose=0, return_dict=True)
    history = split.fit(X, validation_split=0.2, **options).history
    assert history["val_loss"] == logs["val_loss"]


@pytest.mark.parametrize("read", [np.asarray, sparse.csr_matrix])
def test_validation_has_a_batch_size_of_its_own(read):
    vae, x, sizes = small_vae((6,)), np.eye(12, 6, dtype="float32"), []
    count = keras.callbacks.LambdaCallback()
    count.on_test_batch_end = lambda batch, logs: sizes.append(batch)
    options = {"validation_data": read(x), "callbacks": [count], "verbose": 0}
    vae.fit(x, batch_size=6, validation_batch_size=3, **options)
    assert len(sizes) == 4
    vae.fit(x, batch_size=6, **options)
    assert len(sizes) == 4 + 2


def test_validation_weights_without_y_are_not_ignored():
    vae = compiled(keras.optimizers.SGD(0.0))
    logs = vae.fit(X, validation_data=(X, None, W), batch_size=20, verbose=0).history
    weighted = vae.evaluate(X, sample_weight=W, batch_size=20, verbose=0, return_dict=True)
    plain = vae.evaluate(X, batch_size=20, verbose=0, return_dict=True)
    assert logs["val_loss"][0] == weighted["loss"] != plain["loss"]


def test_beta_schedule_follows_the_optimizer_in_training_and_evaluation():
    beta = schedules.Linear(num_steps=4)
    vae = make(objective=keras_vae.objectives.ELBO(beta=beta))
    vae.compile(keras.optimizers.SGD(0.0))
    rows = []
    for _ in range(3):
        logs = vae.fit(X[:BATCH], batch_size=BATCH, verbose=0).history
        rows.append((logs["loss"][0] - logs["reconstruction_loss"][0]) / logs["kl_loss"][0])
    np.testing.assert_allclose(rows, [0.0, 0.25, 0.5], atol=1e-3)
    logs = vae.evaluate(X, verbose=0, return_dict=True)
    ratio = (logs["loss"] - logs["reconstruction_loss"]) / logs["kl_loss"]
    assert ratio == pytest.approx(0.75, abs=1e-3)


class Shrinkage(keras_vae.Part):
    """Pulls codes to the origin."""

    def loss(self, terms, step):
        return keras.ops.mean(keras.ops.sum(terms.z**2, -1), 0)


def test_penalties_are_added_and_logged_under_their_name():
    vae = make(penalties=[Shrinkage(name="shrinkage")])
    vae.compile("sgd")
    logs = vae.evaluate(X, verbose=0, return_dict=True)
    assert list(logs) == ["loss", "reconstruction_loss", "kl_loss", "shrinkage"]
    total = logs["reconstruction_loss"] + logs["kl_loss"] + logs["shrinkage"]
    assert logs["loss"] == pytest.approx(total, rel=1e-5)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits():
    a, b = compiled("adam"), compiled("adam")
    for vae in (a, b):
        keras.utils.set_random_seed(1)
        vae.fit(X, epochs=3, batch_size=BATCH, verbose=0)
    assert_same_weights(a, b, rtol=0)


def test_a_loss_in_compile_is_refused():
    with pytest.raises(ValueError, match=r"`loss` must be left out.*Received"):
        compiled(loss="mse")


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ({"gradient_accumulation_steps": 2}, "use a larger batch instead"),
        ({"use_ema": True, "ema_overwrite_frequency": 3}, "use the `SwapEMAWeights` callback"),
    ],
)
def test_what_keras_cannot_run_on_replicas_is_refused(optimizer, message):
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        vae = compiled(keras.optimizers.SGD(RATE, **optimizer))
    with pytest.raises(ValueError, match=rf"{message}.*Received: "):
        vae.fit(X)


def test_batch_normalisation_over_each_replicas_own_rows_is_refused():
    class Two:  # as a strategy with two replicas says of itself
        num_replicas_in_sync = 2

    encoder = keras.Sequential([keras.Input((6,)), keras.layers.BatchNormalization()])
    vae = keras_vae.VAE(encoder, networks.dense_decoder(2, (6,), units=(8,)))
    vae.compile("sgd")
    vae._strategy = Two()
    with pytest.raises(ValueError, match=r"must be made with `synchronized=True`.*Received"):
        vae.check_strategy()


def test_fit_before_compile_is_refused():
    with pytest.raises(ValueError, match="compile"):
        make().fit(X)
