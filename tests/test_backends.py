"""TensorFlow, JAX and torch train alike and read each other's files; backend_worker.py trains."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from checks import read_arrays

pytestmark = pytest.mark.slow
HERE = pathlib.Path(__file__).parent
BACKENDS = ("tensorflow", "jax", "torch")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What backend_worker.py wrote, by (backend, task)."""
    missing = [name for name in BACKENDS if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (extras of the same names)")
    folder = tmp_path_factory.mktemp("backends")
    for task in ("train", "load"):
        for backend in BACKENDS:
            run(backend, folder, task)
    return {
        (backend, task): read_arrays(folder / f"{backend}-{task}.npz")
        for backend in BACKENDS
        for task in ("train", "load")
    }


def run(backend, folder, task):
    """The worker, with warnings as errors; it cannot import TensorFlow but on TensorFlow."""
    quiet = ["-W", "error", "-W", "ignore:__array__ implementation:DeprecationWarning"]
    quiet += ["-W", "ignore:`torch.jit:DeprecationWarning"]  # torch's, of its own
    command = [sys.executable, *quiet, str(HERE / "backend_worker.py"), str(folder), task]
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_twenty_steps_give_the_same_logs_and_weights(results, backend):
    expected, ours = results["tensorflow", "train"], results[backend, "train"]
    assert set(ours) == set(expected)
    for name in expected:
        tolerance = 3e-3 if "float16" in name else 1e-4
        np.testing.assert_allclose(
            ours[name], expected[name], rtol=tolerance, atol=tolerance / 10, err_msg=name
        )


@pytest.mark.parametrize("backend", BACKENDS)
def test_files_of_every_backend_predict_and_go_on_alike(results, backend):
    expected, ours = results["tensorflow", "load"], results[backend, "load"]
    assert {name.split(",")[0] for name in ours} == set(BACKENDS)
    for name in ours:
        tolerance = 1e-5 if "predictions" in name else 1e-4
        reference = expected[name.replace(name.split(",")[0], "tensorflow")]
        np.testing.assert_allclose(
            ours[name], reference, rtol=tolerance, atol=tolerance, err_msg=name
        )
