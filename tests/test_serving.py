"""Keras' backends without gradients answer like TensorFlow, from its files.

serving_worker.py makes the files and asks, in a process for each backend.
"""

import importlib.util
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from checks import read_arrays

HERE = pathlib.Path(__file__).parent
NEEDS = {"numpy": "jax", "openvino": "openvino"}
"""The package that each backend needs; Keras' NumPy backend imports JAX."""

FIT = """
import numpy as np, keras_vae
vae = keras_vae.recipes.vae((6,), units=(4,))
vae.compile("adam")
x = np.zeros((4, 6), "float32")
for train in (vae.fit, vae.train_on_batch, vae.fit_prior):
    try:
        train(x)
    except ValueError as error:
        print(error)
"""


def run(backend, *arguments):
    """A Python process on a backend; what it printed."""
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": path}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    return done.stdout


def skip_without(backend):
    needed = NEEDS[backend]
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f'not installed: {needed} (pip install "keras_vae[{needed}]")')


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The folder of the files, and what TensorFlow answers."""
    folder = tmp_path_factory.mktemp("served")
    for task in ("write", "answer"):
        run("tensorflow", HERE / "serving_worker.py", folder, task)
    return folder, read_arrays(folder / "tensorflow.npz")


@pytest.mark.slow
@pytest.mark.parametrize("backend", NEEDS)
def test_every_recipe_answers_as_on_tensorflow(expected, backend):
    skip_without(backend)
    folder, wanted = expected
    run(backend, HERE / "serving_worker.py", folder, "answer")
    found = read_arrays(folder / f"{backend}.npz")
    errors = [f"{name}: {text}" for name, text in found.items() if name.endswith("|error")]
    assert not errors, "\n".join(errors)
    assert set(found) == set(wanted)
    for name, values in found.items():
        assert np.isfinite(values).all(), name
        if "random" not in name:
            np.testing.assert_allclose(values, wanted[name], rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("backend", NEEDS)
def test_training_is_refused_in_a_sentence_that_names_the_backends_that_train(backend):
    skip_without(backend)
    lines = run(backend, "-c", FIT).splitlines()
    assert len(lines) == 3
    for line in lines:
        assert line.startswith("`KERAS_BACKEND` must be one of 'tensorflow', 'jax' and 'torch'")
        assert line.endswith(f"Received: KERAS_BACKEND='{backend}'")
