import functools
import importlib
import json
import os
import pathlib
import pkgutil
import subprocess
import sys

import keras
import numpy as np
import parts
import pytest
from checks import (
    binary,
    check_extremes,
    check_part,
    dtype_policy,
    read_arrays,
    small_vae,
)
from gradients import gradients
from keras import ops
from parts import PARTS

import keras_vae
from keras_vae import likelihoods, objectives, posteriors, priors, schedules
from keras_vae.part import Part, constructor_arguments, from_arguments, soft_clip


def marks(example):
    """Each check takes seconds, and on JAX half a minute: the usual run checks a few parts."""
    found = [] if example.usual else [pytest.mark.slow]
    if example.usual or keras.backend.backend() == "torch":
        found.append(pytest.mark.backends)
    return found


CHECKED = [pytest.param(name, marks=marks(example)) for name, example in PARTS.items()]


@pytest.mark.parametrize("name", CHECKED)
def test_check_part(name, tmp_path):
    check_part(PARTS[name], tmp_path / "vae.keras")


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", parts.of_role("likelihood"))
def test_a_likelihood_repeats_bit_for_bit(name):
    """TensorFlow adds three tensors in an order that depends on which one is needed no more."""
    import tensorflow as tf

    likelihood, x_shape = PARTS[name].make(), PARTS[name].x_shapes[0]
    vae = small_vae(x_shape, likelihood=likelihood)
    x, shape = binary(5, x_shape, vae), vae.decoder.output_shape[1:]
    params = tf.Variable(np.random.default_rng(0).normal(size=(1, 5, *shape)), dtype="float32")

    @tf.function
    def value_and_gradient(x):
        with tf.GradientTape() as tape:
            value = likelihood.log_prob(x, params)
        return value, tape.gradient(value, params)

    x, seen = ops.convert_to_tensor(x), set()
    for _ in range(300):
        seen.add(tuple(tensor.numpy().tobytes() for tensor in value_and_gradient(x)))
    assert len(seen) == 1


def library_parts(cls=Part):
    """All subclasses of `cls` that the library defines, in whichever module."""
    for subclass in cls.__subclasses__():
        if subclass.__module__.startswith("keras_vae."):
            yield subclass
        yield from library_parts(subclass)


def test_no_part_is_forgotten_here_or_left_unregistered():
    for module in pkgutil.walk_packages(keras_vae.__path__, "keras_vae."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    bases = ("Likelihood", "Posterior", "Prior", "Penalty", "Flow", "Quantizer", "Adversary")
    bases += ("Scaled", "NormalPosterior", "Opponent")
    classes = {c for c in library_parts() if not c.__name__.startswith("_")}
    classes = {c for c in classes if c.__name__ not in (*bases, *parts.EXCLUDED)}
    made = [example.make() for example in PARTS.values()]
    within = {type(layer) for part in made for layer in part._flatten_layers()}  # such as flows
    assert {c for c in within if issubclass(c, Part)} == classes
    names = {keras.saving.get_registered_name(c) for c in classes}
    assert {keras.saving.get_registered_object(name) for name in names} == classes
    assert all(name.startswith("keras_vae>") for name in names)


def test_the_check_catches_an_overflow_and_half_precision():
    class Overflowing(likelihoods.Bernoulli):
        def log_prob(self, x, params, mask=None):
            return ops.log(ops.exp(super().log_prob(x, params, mask)))

    class Half(objectives.ELBO):
        def loss(self, terms, step):
            return ops.cast(1e-9 * super().loss(terms, step), "float16")

    for part in ({"likelihood": Overflowing()}, {"objective": Half()}):
        with pytest.raises(AssertionError):
            check_extremes(small_vae((7,), **part), binary(6, (7,)))


def test_a_part_computes_in_float32_under_mixed_precision():
    with dtype_policy("mixed_float16"):
        posterior = posteriors.DiagonalNormal(2)
        q = posterior(np.ones((3, 4), "float16"))
    assert (posterior.compute_dtype, posterior.variable_dtype) == ("float32", "float32")
    assert all(w.dtype == "float32" for w in posterior.weights)
    assert {keras.backend.standardize_dtype(v.dtype) for v in q.values()} == {"float32"}


def test_constructor_arguments_are_read_from_the_attributes_of_their_names():
    part = priors.NormalMixture(3, name="mine")
    assert constructor_arguments(part) == {"num_components": 3}
    assert from_arguments(priors.NormalMixture, constructor_arguments(part)).num_components == 3
    with pytest.raises(ValueError, match=r"`num_components` must be given to the constructor"):
        part.num_components = 4  # compiled functions hold 3


def test_constructor_arguments_may_be_keras_objects_themselves():
    objective = objectives.ELBO(schedules.Linear(10, end=0.5), name="mine")
    config = json.loads(json.dumps(objective.get_config()))
    again = objectives.ELBO.from_config(config)
    assert (type(again.beta), again.beta.num_steps, again.beta.end) == (schedules.Linear, 10, 0.5)
    assert again.name == "mine"


def test_bounded_is_the_identity_in_the_normal_range():
    x = np.linspace(-10, 10, 101, dtype="float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(soft_clip(ops.convert_to_tensor(x))), x)


def test_bounded_has_slope_one_at_the_edges_of_the_normal_range():
    x = np.array([-10.001, -10.0, -9.999, 9.999, 10.0, 10.001], "float32")
    (slope,) = gradients(lambda x: ops.sum(soft_clip(x)), x)
    np.testing.assert_allclose(slope, np.ones(6), atol=1e-3)


def test_bounded_is_monotone_smooth_and_pulls_back_from_far_outside():
    x = np.linspace(-1e4, 1e4, 200_001).astype("float32")
    y = ops.convert_to_numpy(soft_clip(ops.convert_to_tensor(x)))
    (slope,) = gradients(lambda x: ops.sum(soft_clip(x)), x)
    assert np.abs(y).max() < 20
    assert (np.diff(y) > -1e-5).all()
    assert (slope > 0).all()
    assert np.abs(np.diff(slope)).max() < 0.03  # no jump at ±10, in steps of 0.1


LOAD_ALL = """
import pathlib
import numpy as np
import keras
import keras_vae
outputs = {}
for path in sorted(pathlib.Path("models").glob("*.keras")):
    vae = keras.saving.load_model(path)
    with np.load(path.with_suffix(".npz")) as data:
        x = dict(data) if vae.condition_dim else data["x"]
    outputs[path.stem] = np.concatenate([vae.predict(x, verbose=0).ravel(), vae.elbo(x)])
np.savez("out.npz", **outputs)
"""


@pytest.mark.slow
def test_models_of_every_part_load_in_a_new_process(tmp_path):
    examples, expected, folder = dict(PARTS), {}, tmp_path / "models"
    folder.mkdir()
    for schedule in (schedules.Linear(9), schedules.Cyclical(9)):
        make = functools.partial(objectives.ELBO, schedule)
        examples[type(schedule).__name__] = parts.Example("objective", make)
    for name, example in examples.items():
        x_shape = example.x_shapes[0]
        vae = small_vae(x_shape, **example.parts())
        x = binary(6, x_shape, vae)
        vae.save(folder / f"{name}.keras")
        np.savez(folder / f"{name}.npz", **(x if isinstance(x, dict) else {"x": x}))
        expected[name] = np.concatenate([vae.predict(x, verbose=0).ravel(), vae.elbo(x)])
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parents[1])}
    command = [sys.executable, "-c", LOAD_ALL]
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    loaded = read_arrays(tmp_path / "out.npz")
    assert set(loaded) == set(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(loaded[name], values, err_msg=name)
