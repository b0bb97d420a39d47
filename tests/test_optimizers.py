import keras
import numpy as np
import pytest
from checks import binary, small_vae

import keras_vae
from keras_vae import callbacks, likelihoods, optimizers

X = binary(32, (6,))
X[16:] *= 1e3  # the gradients of the second batch are long
pytestmark = pytest.mark.filterwarnings("ignore:`x` looks like raw counts")


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
    plain = small_vae((6,), likelihood=likelihoods.Normal(1.0))
    plain.compile(keras.optimizers.AdamW(0.01))
    guard = guarded(1e9, keras.optimizers.AdamW(0.01))
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


SCHEDULES = keras.optimizers.schedules
PLAIN = {
    "Adam": lambda: keras.optimizers.Adam(0.01),
    "falling": lambda: keras.optimizers.Adam(SCHEDULES.CosineDecay(0.1, 20), 0.8, 0.99, 1e-3),
}
OTHERS = {
    "AdamW": lambda: keras.optimizers.AdamW(0.01),
    "decay": lambda: keras.optimizers.Adam(0.01, weight_decay=0.1),
    "clipnorm": lambda: keras.optimizers.Adam(0.01, clipnorm=0.1),
    "clipvalue": lambda: keras.optimizers.Adam(0.01, clipvalue=0.1),
    "global_clipnorm": lambda: keras.optimizers.Adam(0.01, global_clipnorm=0.1),
    "EMA": lambda: keras.optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=2),
    "accumulated": lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=2),
    "scale": lambda: keras.optimizers.Adam(0.01, loss_scale_factor=8.0),
    "amsgrad": lambda: keras.optimizers.Adam(0.01, amsgrad=True),
    "SGD": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
    "LossScaleOptimizer": lambda: keras.optimizers.LossScaleOptimizer(PLAIN["Adam"]()),
}


def after_steps(optimizer, apply, constraint=None):
    """The weight and the state of an optimizer after ten steps."""
    rng = np.random.default_rng(0)
    weight = keras.Variable(rng.normal(size=(3, 4)).astype("float32"))
    weight.constraint = constraint
    optimizer.build([weight])
    for _ in range(10):
        apply([keras.ops.convert_to_tensor(rng.normal(size=(3, 4)).astype("float32"))], [weight])
    return [keras.ops.convert_to_numpy(v) for v in (weight, *optimizer.variables)]


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", [*PLAIN, *OTHERS])
def test_the_steps_of_every_optimizer_are_those_of_keras(name):
    make = (PLAIN | OTHERS)[name]
    one, two = make(), make()
    expected = after_steps(one, one.apply)
    found = after_steps(two, lambda g, w: optimizers.apply(two, g, w))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)  # 1 - 0.999 in float32


@pytest.mark.tensorflow
def test_a_constraint_of_a_weight_holds():
    adam = keras.optimizers.Adam(0.1)
    weight = after_steps(
        adam, lambda g, w: optimizers.apply(adam, g, w), keras.constraints.NonNeg()
    )[0]
    assert weight.min() == 0


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", [*PLAIN, "AdamW", "clipnorm"])
def test_a_plain_adam_makes_one_operation_of_each_update(name):
    import tensorflow as tf

    vae = small_vae((6,))
    vae.compile((PLAIN | OTHERS)[name]())
    vae.fit(X[:16], batch_size=16, verbose=0)
    batch = tf.convert_to_tensor(X[:16])
    graph = tf.function(lambda: vae.train_step((batch,))).get_concrete_function().graph
    count = sum(op.type == "ResourceApplyAdam" for op in graph.get_operations())
    assert count == (len(vae.trainable_weights) if name in PLAIN else 0)
