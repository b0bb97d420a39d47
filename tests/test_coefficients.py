"""Numbers that may change while a model trains take effect at once, and are saved."""

import functools
import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from checks import binary, small_vae

import keras_vae
from keras_vae import likelihoods, objectives, penalties, posteriors, priors, quantized, schedules

HERE = pathlib.Path(__file__).parent
X = binary(16, (6,))
BATCHES = 4
CASES = {
    # what makes the parts with a number, where the number is, and two values of it
    "beta": (lambda v: {"objective": objectives.ELBO(v)}, "objective.beta", (1.0, 50.0)),
    "free bits": (
        lambda v: {"objective": objectives.ELBO(free_bits=v)},
        "objective.free_bits",
        (0.0, 3.0),
    ),
    "capacity": (
        lambda v: {"objective": objectives.ELBO(9.0, capacity=v)},
        "objective.capacity",
        (0.0, 30.0),
    ),
    "penalty": (lambda v: {"penalties": [penalties.DIP(v)]}, "penalties.0.weight", (0.0, 20.0)),
    "temperature": (
        lambda v: {"posterior": posteriors.Categorical(2, 3, v)},
        "posterior.temperature",
        (0.1, 100.0),
    ),
    "quantizer's temperature": (
        lambda v: {"posterior": quantized.GumbelQuantizer(2, 5, 4, v)},
        "posterior.temperature",
        (0.1, 100.0),
    ),
}

NAMES = [pytest.param(n, marks=pytest.mark.backends if n == "beta" else ()) for n in CASES]


def put(vae, path, value):
    """Sets the attribute at `path` of a model."""
    owner, name = path.rsplit(".", 1)
    setattr(get(vae, owner), name, value)


def get(vae, path):
    """Returns the attribute at `path` of a model."""
    for name in path.split("."):
        vae = vae[int(name)] if name.isdigit() else getattr(vae, name)
    return vae


class Put(keras.callbacks.Callback):
    """Sets a number to the value for each epoch or batch, through the model that it watches."""

    def __init__(self, path, values, each):
        super().__init__()
        self.path, self.values, self.each = path, values, each

    def on_epoch_begin(self, epoch, logs=None):
        if self.each == "epoch":
            put(self.model, self.path, self.values[epoch])

    def on_train_batch_begin(self, batch, logs=None):
        if self.each == "batch":
            put(self.model, self.path, self.values[batch])


def compiled(parts, rate=0.0):
    vae = small_vae((6,), **parts)
    vae.compile(keras.optimizers.SGD(rate))  # of which nothing but the number changes the loss
    return vae


def fit(vae, callback=None, epochs=1):
    """The loss of each epoch of four batches."""
    options = {"batch_size": len(X) // BATCHES, "shuffle": False, "verbose": 0}
    return vae.fit(X, epochs=epochs, callbacks=callback, **options).history["loss"]


@functools.cache
def made_with(name, value):
    """(a model made with a number, the loss of each batch of four epochs, (4, 4))."""
    means, vae = [], compiled(CASES[name][0](value))  # the logs are means since an epoch began

    def record(batch, logs):
        means.append(logs)

    fit(vae, keras.callbacks.LambdaCallback(on_train_batch_end=record), 4)
    totals = np.array([(i % BATCHES + 1) * logs["loss"] for i, logs in enumerate(means)])
    return vae, np.diff(totals.reshape(4, BATCHES), prepend=0.0, axis=1)


@functools.cache
def changed(name):
    """A model whose number a callback changed, and the loss of each of four epochs.

    The number is `a`, `b` and `a` in three epochs, and `a`, `b`, `b`, `a` in the fourth's batches.
    """
    make, path, (a, b) = CASES[name]
    vae = compiled(make(a))
    losses = fit(vae, Put(path, [a, b, a], "epoch"), 3)
    return vae, losses + fit(vae, Put(path, [a, b, b, a], "batch"))


def expected(name):
    """What the losses of `changed` must be."""
    a, b = (made_with(name, value)[1] for value in CASES[name][2])
    return [*np.mean([a[0], b[1], a[2]], axis=1), np.mean([a[3, 0], b[3, 1], b[3, 2], a[3, 3]])]


@pytest.mark.parametrize("name", NAMES)
def test_a_number_set_in_a_callback_counts_as_if_given_to_the_constructor(name):
    np.testing.assert_allclose(changed(name)[1], expected(name), rtol=1e-5)
    a, b = (made_with(name, value)[1] for value in CASES[name][2])
    assert np.median(np.abs(a - b)) > 1e-2  # or this shows nothing


def begin(vae, path, values):
    """A callback of Keras' own with the user's function, which knows the model by itself."""
    return keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: put(vae, path, values[batch])
    )


def end(vae, path, values):
    """Sets the number for the next batch when one ends."""
    values = [*values[1:], values[0]]
    return keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: put(vae, path, values[batch])
    )


@pytest.mark.parametrize("how", [begin, end])
def test_a_function_of_the_user_may_set_a_number_within_an_epoch(how):
    vae, (a, b) = compiled(CASES["beta"][0](1.0)), CASES["beta"][2]
    (found,) = fit(vae, how(vae, "objective.beta", [a, b, b, a]))
    one, other = (made_with("beta", value)[1][0] for value in (a, b))
    assert found == pytest.approx(np.mean([one[0], other[1], other[2], one[3]]), rel=1e-5)


@pytest.mark.backends
def test_a_variable_may_be_assigned_within_an_epoch():
    beta, (a, b) = keras.Variable(1.0), CASES["beta"][2]
    values = [a, b, b, a]
    callback = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: beta.assign(values[batch])
    )
    vae = compiled({"objective": objectives.ELBO(beta)})
    one, other = (made_with("beta", value)[1][0] for value in (a, b))
    mean = np.mean([one[0], other[1], other[2], one[3]])
    assert fit(vae, callback) == pytest.approx([mean], rel=1e-5)
    assert vae.objective.beta is beta


def test_a_variable_is_not_trained():
    beta = keras.Variable(2.0)
    vae = compiled({"objective": objectives.ELBO(beta)}, rate=0.1)
    fit(vae)
    assert float(keras.ops.convert_to_numpy(beta)) == 2.0
    assert all(weight is not beta for weight in vae.trainable_weights)


@pytest.mark.parametrize("name", NAMES)
def test_a_new_number_counts_in_scoring(name):
    _, path, (a, b) = CASES[name]
    (vae, _), (other, _) = changed(name), made_with(name, b)
    put(vae, path, b)
    np.testing.assert_allclose(vae.evaluate(X, verbose=0), other.evaluate(X, verbose=0), rtol=1e-5)
    put(vae, path, a)


@pytest.mark.backends
def test_a_new_number_counts_in_train_on_batch():
    vae, other = (compiled(CASES["beta"][0](value)) for value in (1.0, 50.0))
    for model in (vae, other):
        model.train_on_batch(X)
        model.reset_metrics()
    vae.objective.beta = 50.0
    np.testing.assert_allclose(vae.train_on_batch(X), other.train_on_batch(X), rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_new_number_is_saved(name, tmp_path):
    make, path, (a, b) = CASES[name]
    vae, fresh = (small_vae((6,), **make(a)) for _ in range(2))
    put(vae, path, b)
    vae.save(tmp_path / "vae.keras")
    vae.save_weights(tmp_path / "vae.weights.h5")
    fresh.load_weights(tmp_path / "vae.weights.h5")
    loaded = keras_vae.load_model(tmp_path / "vae.keras")
    assert [get(model, path) for model in (vae, fresh, loaded)] == [b, b, b]


@pytest.mark.backends
def test_a_variable_is_saved_as_the_number_it_holds(tmp_path):
    beta = keras.Variable(1.0)
    vae = compiled({"objective": objectives.ELBO(beta)})
    beta.assign(7.0)
    vae.save(tmp_path / "vae.keras")
    vae.save_weights(tmp_path / "vae.weights.h5")
    assert keras_vae.load_model(tmp_path / "vae.keras").objective.beta == 7.0
    beta.assign(1.0)
    vae.load_weights(tmp_path / "vae.weights.h5")
    assert float(keras.ops.convert_to_numpy(beta)) == 7.0


def test_a_number_reads_back_as_it_was_given():
    objective = objectives.ELBO(0.1)
    assert (objective.beta, objective.free_bits, objective.capacity) == (0.1, 0.0, None)
    objective.beta = np.float32(0.3)
    assert objective.beta == 0.3
    assert objective.get_config()["beta"] == 0.3


REFUSED = {
    "a number for a schedule": (objectives.ELBO(schedules.Linear(9)), "beta", 1.0),
    "a schedule for a number": (objectives.ELBO(1.0), "beta", schedules.Linear(9)),
    "a schedule for another": (penalties.DIP(schedules.Linear(9)), "weight", schedules.Linear(8)),
    "a number for None": (objectives.ELBO(), "capacity", 3.0),
    "None for a number": (objectives.ELBO(capacity=3.0), "capacity", None),
    "a schedule for a temperature": (
        quantized.GumbelQuantizer(2, 5, 4),
        "temperature",
        schedules.Linear(9),
    ),
    "a negative number": (objectives.ELBO(), "beta", -1.0),
    "NaN": (penalties.DIP(), "weight", float("nan")),
    "a temperature of 0": (posteriors.Categorical(2, 3), "temperature", 0.0),
    "a string": (objectives.ELBO(), "free_bits", "many"),
    "another argument of an objective": (objectives.ELBO(), "num_samples", 3),
    "of a likelihood": (likelihoods.Normal(0.5), "scale", 0.1),
    "of a prior": (priors.NormalMixture(3), "num_components", 4),
    "of a posterior": (posteriors.DiagonalNormal(2), "latent_dim", 3),
    "of a quantizer": (quantized.GumbelQuantizer(2, 5, 4), "straight_through", True),
    "of a schedule": (schedules.Linear(9), "num_steps", 8),
    "of a penalty": (penalties.MMD(), "kernel", "rbf"),
    "of a model": (small_vae((6,)), "seed", 3),
    "a part of a model": (small_vae((6,)), "likelihood", likelihoods.Normal()),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.backends
def test_what_would_not_take_effect_is_refused(case):
    part, name, value = REFUSED[case]
    before = getattr(part, name)
    with pytest.raises(ValueError, match=f"`{name}` must (.|\n)*Received: {name}="):
        setattr(part, name, value)
    assert getattr(part, name) is before or getattr(part, name) == before


@pytest.mark.backends
def test_what_a_subclass_adds_stays_free():
    class Mine(objectives.ELBO):
        def __init__(self, gamma=1.0, **kwargs):
            super().__init__(**kwargs)
            self.gamma, self.count = gamma, 0
            self.num_samples = 2  # within its constructor everything is free

    objective = Mine(beta=3.0)
    objective.gamma, objective.count, objective.note = 2.0, 1, "new"
    objective.beta = 4.0
    assert (objective.gamma, objective.count, objective.note) == (2.0, 1, "new")
    assert (objective.beta, objective.num_samples) == (4.0, 2)
    with pytest.raises(ValueError, match="`num_samples` must be given to the constructor"):
        objective.num_samples = 3


def test_a_model_of_a_subclass_keeps_its_own_attributes_free():
    class Mine(keras_vae.VAE):
        def __init__(self, *args, gamma=1.0, **kwargs):
            super().__init__(*args, **kwargs)
            self.gamma = gamma

    networks = keras_vae.networks
    vae = Mine(networks.dense_encoder((6,), (8,)), networks.dense_decoder(2, (6,), (8,)))
    vae.gamma, vae.note = 2.0, "new"
    vae.trainable = False
    assert (vae.gamma, vae.note, vae.trainable) == (2.0, "new", False)


@pytest.mark.slow
@pytest.mark.tensorflow
def test_numbers_change_on_all_replicas_as_on_one_device(tmp_path):
    command = [sys.executable, str(HERE / "coefficients_worker.py"), str(tmp_path / "out.json")]
    environment = os.environ | {"PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "out.json").read_text())
    for name, found in results.items():
        np.testing.assert_allclose(found, expected(name), rtol=1e-5, err_msg=name)
    assert set(results) == {"beta", "penalty", "quantizer's temperature"}
