"""The Python of each page of the documentation runs in order, in an empty namespace.

Data are small, every `fit` has one epoch, and models compile eagerly, which is faster here. A block
that cannot run has a comment before it, such as `<!-- not run: needs two GPUs -->`.
"""

import functools
import pathlib
import re

import keras
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

import keras_vae

ROOT = pathlib.Path(__file__).parents[1]
BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>[^\n]+) -->\n+)?^```python\n(?P<code>.*?)^```", re.S | re.M
)
PAGES = sorted(path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md"))
TABLES = ("filling_gaps", "index", "new_rows", "odd_rows")
SLOW = ("data", "export", "getting_started", "parts", *(f"tables/{page}" for page in TABLES))
TENSORFLOW_ONLY = ("devices", "export")  # a strategy, and LiteRT
RNG = np.random.default_rng(0)


def blocks(path):
    """The code of the blocks of a page that run."""
    text = (ROOT / "docs" / path).read_text(encoding="utf-8")
    return [found["code"] for found in BLOCK.finditer(text) if not found["reason"]]


def parameters():
    for path in PAGES:
        if blocks(path):
            name = path.with_suffix("").as_posix()
            marks = [pytest.mark.slow] if name in SLOW else []
            marks += [pytest.mark.tensorflow] if name in TENSORFLOW_ONLY else []
            yield pytest.param(path, marks=marks, id=name)


def fashion_mnist():
    parts = [RNG.integers(0, 256, (n, 28, 28)).astype("uint8") for n in (64, 32)]
    return tuple((x, (np.arange(len(x)) % 10).astype("uint8")) for x in parts)


@pytest.fixture(autouse=True)
def _reader(monkeypatch, tmp_path):
    """A folder with the files that the pages mention, and data that are small."""
    (tmp_path / "photos").mkdir()
    for i in range(12):
        keras.utils.save_img(tmp_path / "photos" / f"{i}.png", RNG.random((8, 8, 3)))
    data = load_breast_cancer(as_frame=True)
    tumours = data.data.assign(diagnosis=data.target_names[data.target])
    tumours[:100].to_csv(tmp_path / "your.csv", index=False)
    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", fashion_mnist)
    compile_eagerly = functools.partialmethod(keras_vae.VAE.compile, run_eagerly=True)
    monkeypatch.setattr(keras_vae.VAE, "compile", compile_eagerly)
    monkeypatch.chdir(tmp_path)
    keras.config.set_max_epochs(1)
    yield
    keras.config.set_max_epochs(None)


@pytest.mark.filterwarnings("ignore:Limiting epochs")
@pytest.mark.parametrize("path", list(parameters()))
def test_the_code_of_a_page_runs(path):
    names = {"__name__": "__main__"}
    for code in blocks(path):
        exec(compile(code, str(path), "exec"), names)


def test_every_block_of_python_is_found():
    text = "".join((ROOT / "docs" / path).read_text(encoding="utf-8") for path in PAGES)
    assert len(BLOCK.findall(text)) == len(re.findall(r"^```python", text, flags=re.M)) > 40
