"""Several JAX devices train as one; jax_devices_worker.py runs them in its own process."""

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


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    if importlib.util.find_spec("jax") is None:
        pytest.skip('not installed: pip install "keras_vae[jax]"')
    output = tmp_path_factory.mktemp("jax") / "out.npz"
    quiet = ["-W", "error", "-W", "ignore:__array__ implementation:DeprecationWarning"]
    command = [sys.executable, *quiet, str(HERE / "jax_devices_worker.py"), str(output)]
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return read_arrays(output)


@pytest.mark.parametrize("name", ["data 2", "data 4", "model 4"])
def test_several_devices_equal_one(results, name):
    keys = ["logs", "weights", "codes", "elbo", "images"]
    assert f"{name}|logs" in results
    for key in keys:
        expected = results[f"none 1|{key}"]
        np.testing.assert_allclose(
            results[f"{name}|{key}"], expected, rtol=1e-5, atol=1e-5, err_msg=key
        )


def test_a_batch_that_does_not_divide_is_refused(results):
    assert "`batch_size` must be a multiple of 2" in str(results["refusal"])
