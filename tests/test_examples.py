import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.py"))

ON_TINY_DATA = """
import runpy, sys
import keras
import numpy as np

rng = np.random.default_rng(0)
def load_data():
    parts = [rng.integers(0, 256, (n, 28, 28)).astype("uint8") for n in (64, 40)]
    return tuple((x, np.arange(len(x)) % 10) for x in parts)

keras.datasets.fashion_mnist.load_data = load_data
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_runs(name, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "KERAS_MAX_EPOCHS": "1"}
    command = [sys.executable, "-c", ON_TINY_DATA, str(ROOT / "examples" / name)]
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    for picture in tmp_path.rglob("*.png"):
        assert picture.stat().st_size > 0


def test_the_fashion_mnist_example_is_short():
    assert len((ROOT / "examples" / "fashion_mnist.py").read_text().splitlines()) <= 60
