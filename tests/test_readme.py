"""The Python of the README runs as it stands there, on tiny data."""

import pathlib
import re

import keras
import numpy as np
import pytest

import keras_vae

ROOT = pathlib.Path(__file__).parents[1]
RNG = np.random.default_rng(0)


def python_blocks(path):
    return re.findall(r"```python\n(.*?)```", (ROOT / path).read_text(), flags=re.S)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch, tmp_path):
    def load_data():
        parts = [RNG.integers(0, 256, (n, 28, 28)).astype("uint8") for n in (32, 16)]
        return tuple((x, np.arange(len(x)) % 10) for x in parts)

    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", load_data)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def one_epoch():
    keras.config.set_max_epochs(1)
    yield
    keras.config.set_max_epochs(None)


@pytest.mark.usefixtures("one_epoch")
@pytest.mark.filterwarnings("ignore:Limiting epochs")
def test_code_runs():
    names = {"__name__": "__main__"}
    for block in python_blocks("README.md"):
        exec(compile(block, "README.md", "exec"), names)


def test_the_example_of_a_part_is_a_density_and_trains():
    names = {"keras": keras, "keras_vae": keras_vae}
    exec(python_blocks("README.md")[-1], names)
    vae = names["vae"]
    x = RNG.exponential(size=(64, 30)).astype("float32")
    vae.compile("adam")
    losses = vae.fit(x, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    with pytest.raises(ValueError, match="must lie in"):
        vae.fit(-x)
    weights = vae.get_weights()
    for seed in range(16):  # from 16 starts, without a second trace
        rng = np.random.default_rng(seed)
        vae.set_weights([rng.permutation(w.ravel()).reshape(w.shape) for w in weights])
        x = rng.exponential(10.0 ** (seed % 4), size=(64, 30)).astype("float32")
        assert np.isfinite(vae.fit(x, epochs=3, verbose=0).history["loss"]).all()
    grid = np.arange(0.0005, 20, 0.001, dtype="float32")[:, None]
    density = np.exp(names["Exponential"]().log_prob(grid, np.full((1, 1, 1), 0.7, "float32")))
    assert density.sum() * 0.001 == pytest.approx(1.0, abs=1e-3)
