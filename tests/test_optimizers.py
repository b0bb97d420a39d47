import keras
import numpy as np
import pytest
from checks import binary, on_tensorflow, small_vae

import keras_vae
from keras_vae import callbacks, likelihoods, optimizers

X = binary(32, (6,))
X[16:] *= 1e3  # the gradients of the second batch are long


def guarded(max_norm=50.0, inner=None):
    vae = small_vae((6,), likelihood=likelihoods.Normal(1.0))
    vae.compile(optimizers.GradientNormGuard(inner or keras.optimizers.Adam(0.01), max_norm))
    return vae


def fit(vae, x, **options):
    counter = callbacks.SkippedSteps()
    options = {"batch_size": 16, "shuffle": False, "verbose": 0, "callbacks": [counter]} | options
    return vae.fit(x, **options).history


def test_a_long_step_is_skipped_and_counted():
    vae = guarded()
    assert fit(vae, X, epochs=2)["skipped_steps"] == [1, 2]
    assert int(vae.optimizer.iterations) == 2


def test_a_skipped_step_changes_nothing():
    vae = guarded()
    before = vae.get_weights()
    fit(vae, X[16:])
    assert int(vae.optimizer.iterations) == 0
    for a, b in zip(before, vae.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_steps_within_the_norm_are_those_of_the_inner_optimizer():
    plain, guard = small_vae((6,), likelihood=likelihoods.Normal(1.0)), guarded(1e9)
    assert fit(guard, X)["loss"] == fit(plain, X)["loss"]
    for a, b in zip(plain.get_weights(), guard.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_norm_is_that_of_all_gradients_together():
    guard = optimizers.GradientNormGuard(keras.optimizers.SGD(), max_norm=5.0)
    three, four = np.full((1, 1), 3.0, "float32"), np.full((1,), 4.0, "float32")
    assert bool(guard.check_finite([three, None, four]))
    assert not bool(guard.check_finite([three, four + 0.01]))
    assert not bool(guard.check_finite([three * np.nan]))


def test_the_count_is_saved_and_goes_on(tmp_path):
    vae = guarded()
    fit(vae, X)
    vae.save(tmp_path / "vae.keras")
    vae = keras_vae.load_model(tmp_path / "vae.keras")
    assert vae.optimizer.max_norm == 50.0
    assert fit(vae, X)["skipped_steps"] == [2]


@pytest.mark.parametrize("max_norm", [0, -1.0, np.nan, "1"])
def test_a_norm_is_positive(max_norm):
    with pytest.raises(ValueError, match=r"`max_norm` must be.*Received"):
        optimizers.GradientNormGuard(keras.optimizers.SGD(), max_norm)


ADAMS = {
    "Adam": lambda: keras.optimizers.Adam(0.01),
    "AdamW": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1, beta_1=0.8, epsilon=1e-3),
    "falling": lambda: keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 20)),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01)),
    "guarded": lambda: optimizers.GradientNormGuard(keras.optimizers.Adam(0.01), 1e9),
    "accumulated": lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=2),
    "amsgrad": lambda: keras.optimizers.Adam(0.01, amsgrad=True),
}


@on_tensorflow
@pytest.mark.parametrize("name", ADAMS)
def test_one_kernel_takes_the_steps_of_keras(name):
    rng = np.random.default_rng(0)
    start = rng.normal(size=(3, 4)).astype("float32")
    gradients = [rng.normal(size=(3, 4)).astype("float32") for _ in range(10)]
    ends = []
    for change in (lambda optimizer: None, optimizers.with_one_kernel):
        optimizer, weight = ADAMS[name](), keras.Variable(start)
        optimizer.build([weight])
        change(optimizer)
        for gradient in gradients:
            optimizer.apply([keras.ops.convert_to_tensor(gradient)], [weight])
        ends.append([keras.ops.convert_to_numpy(v) for v in (weight, *optimizer.variables)])
    for theirs, ours in zip(*ends, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)  # 1 - 0.999 in float32


@on_tensorflow
def test_one_kernel_takes_the_steps_of_keras_in_rows_of_an_embedding():
    ends = []
    for change in (lambda optimizer: None, optimizers.with_one_kernel):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.layers.Embedding(5, 2), keras.layers.Flatten()])
        model.compile(keras.optimizers.Adam(0.1), "mse")
        change(model.optimizer)
        model.fit(np.array([[1], [3], [1]]), np.ones((3, 2)), epochs=3, verbose=0)
        ends.append(model.get_weights()[0])
    np.testing.assert_allclose(*ends, rtol=1e-4)


@on_tensorflow
@pytest.mark.parametrize("name", ["Adam", "scaled", "guarded"])
def test_fit_takes_one_kernel_a_weight(name):
    vae = small_vae((6,))
    vae.compile(ADAMS[name]())
    vae.fit(X[:16], batch_size=16, verbose=0)
    assert _operations(vae).count("ResourceApplyAdam") == len(vae.trainable_weights)


def _operations(vae):
    """Types of the operations of a training step."""
    import tensorflow as tf

    batch = tf.convert_to_tensor(X[:16])
    graph = tf.function(lambda: vae.train_step((batch,))).get_concrete_function().graph
    definition = graph.as_graph_def()
    nodes = [*definition.node, *(n for f in definition.library.function for n in f.node_def)]
    return [node.op for node in nodes]
