"""Every example runs as a user would run it, on a tiny Fashion-MNIST of our own making."""

import gzip
import importlib.util
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow

ROOT = pathlib.Path(__file__).parents[1]
EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.py"))
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def keras_home(tmp_path_factory):
    """A folder with the files that `keras.datasets` would download, in their format."""
    home = tmp_path_factory.mktemp("keras_home")
    folder = home / "datasets" / "fashion-mnist"
    folder.mkdir(parents=True)
    for part, count in (("train", 64), ("t10k", 40)):
        images = RNG.integers(0, 256, (count, 28, 28)).astype("uint8")
        labels = (np.arange(count) % 10).astype("uint8")
        for name, header, values in (("images-idx3", 16, images), ("labels-idx1", 8, labels)):
            with gzip.open(folder / f"{part}-{name}-ubyte.gz", "wb") as file:
                file.write(bytes(header) + values.tobytes())
    return home


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_example_runs(name, tmp_path, keras_home):
    if "jax" in name and importlib.util.find_spec("jax") is None:
        pytest.skip('not installed: pip install "keras_vae[jax]"')
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "KERAS_MAX_EPOCHS": "1",
        "KERAS_HOME": str(keras_home),
    }
    environment.pop("TF_CONFIG", None)
    path = ROOT / "examples" / name
    command = [sys.executable, str(path), *(["--fast"] if "--fast" in path.read_text() else [])]
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    assert "loss" in result.stdout  # it trained
    assert all(picture.stat().st_size > 0 for picture in tmp_path.rglob("*.png"))


def test_the_fashion_mnist_example_is_short():
    assert len((ROOT / "examples" / "fashion_mnist.py").read_text().splitlines()) <= 60
