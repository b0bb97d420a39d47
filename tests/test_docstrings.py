"""Every `Example:` of a docstring runs as it stands there, on tiny data.

An example may use what a reader has at hand: the documented object by its own name, `keras`, `np`,
`pathlib`, what `from keras_vae import *` gives, the names of `MADE` and the files of `FILES`.
"""

import ast
import functools
import importlib
import pathlib
import re

import keras
import numpy as np
import pandas as pd
import pytest

import keras_vae
from keras_vae import datasets

ROOT = pathlib.Path(__file__).parents[1]
PATHS = [p for package in ("keras_vae", "keras_vae_cli") for p in (ROOT / package).rglob("*.py")]
SOURCES = {path: path.read_text() for path in sorted(PATHS)}
SECTION = re.compile(r"^ *Examples?:", flags=re.M)
CODE = re.compile(r"[^`]*(?:```python\n(?P<block>.*?)```|`(?P<inline>[^`]+)`)", flags=re.S)
RNG = np.random.default_rng(0)


def docstrings(node, name):
    """(name, docstring) of a module, class or function, and of what it defines."""
    yield name, ast.get_docstring(node) or ""
    for child in node.body:
        if isinstance(child, (ast.ClassDef, ast.FunctionDef)):
            yield from docstrings(child, f"{name}.{child.name}")


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def examples():
    """(module, name within it, code) of every example."""
    for path, source in SOURCES.items():
        module = module_name(path)
        for name, docstring in docstrings(ast.parse(source), module):
            for text in SECTION.split(docstring)[1:]:
                found = CODE.match(text)
                code = (found["block"] or found["inline"]) if found else ""
                yield module, name.removeprefix(f"{module}."), code


EXAMPLES = list(examples())
TENSORFLOW_ONLY = ("VAE.export",)  # to ONNX


def parameters():
    for module, name, code in EXAMPLES:
        marks = [pytest.mark.tensorflow] if name in TENSORFLOW_ONLY else []
        yield pytest.param(module, name, code, id=f"{module}.{name}", marks=marks)


# What examples may use without making it, each made only for an example that names it. The model is
# of images of 28 x 28 pixels, has two latents, and is compiled but not trained.


def images(count):
    return RNG.random((count, 28, 28, 1), "float32")


def encoder():
    return keras_vae.networks.dense_encoder((28, 28, 1), units=(8,))


def decoder():
    return keras_vae.networks.dense_decoder(2, (28, 28, 1), units=(8,))


def vae():
    model = keras_vae.VAE(encoder(), decoder())
    model.compile("adam")
    return model


def posterior():
    made = keras_vae.posteriors.DiagonalNormal(2)
    made.build((None, 8))
    return made


def classifier():
    return keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten()])


def frame():
    made = {"age": RNG.integers(0, 90, 32), "children": RNG.integers(0, 4, 32)}
    made |= {"height": RNG.normal(170.0, 9.0, 32).round(1), "price": RNG.random(32).round(2) + 1}
    made |= {"smoker": RNG.random(32) < 0.5, "sex": RNG.choice(["f", "m"], 32)}
    made |= {"colour": RNG.choice(["red", "green"], 32), "size": RNG.choice(["S", "M"], 32)}
    made |= {"admitted": np.datetime64("2024-01-01") + RNG.integers(0, 99, 32), "country": "NL"}
    made["height"][::5] = np.nan
    return pd.DataFrame(made | {"name": [f"person {i}" for i in range(32)]})


def table():
    return keras_vae.tables.Table.infer(frame())


def table_vae():
    model = keras_vae.recipes.table_vae(frame())
    model.compile("adam")
    return model


MADE = {
    "x": lambda: images(32),
    "x_train": lambda: images(32),
    "x_test": lambda: images(32),
    "y": lambda: np.arange(32) % 4,
    "y_train": lambda: np.arange(32) % 4,
    "y_test": lambda: np.arange(32) % 4,
    "factors": lambda: RNG.integers(0, 3, (32, 2)),
    "measurements": lambda: RNG.random((64, 3)),
    "encoder": encoder,
    "decoder": decoder,
    "vae": vae,
    "network": classifier,
    "posterior": posterior,
    "features": lambda: RNG.random((4, 8), "float32"),
    "q": lambda: {name: np.zeros((4, 2), "float32") for name in ("mean", "log_variance")},
    "mean": lambda: np.zeros((4, 2), "float32"),
    "log_variance": lambda: np.zeros((4, 2), "float32"),
    "z": lambda: np.zeros((3, 4, 2), "float32"),
    "seed_generator": lambda: keras.random.SeedGenerator(0),
    "df": frame,
    "ages": lambda: frame()["age"].to_numpy("float64"),
    "table": table,
    "arrays": lambda: table().to_arrays(frame()),
}
OF_TABLES = MADE | {"vae": table_vae}
OF_GRIDS = MADE | {
    "vae": lambda: keras_vae.recipes.kl_autoencoder((28, 28, 1), filters=(4, 8)),
    "photo": lambda: RNG.random((40, 60, 1), "float32"),
    "latents": lambda: RNG.random((2, 7, 7, 4), "float32"),
}


def photos(folder):
    folder.mkdir()
    for i in range(4):
        keras.utils.save_img(folder / f"{i}.png", RNG.random((8, 8, 3)))


def shards(folder):
    folder.mkdir()
    for i in range(2):
        np.save(folder / f"{i}.npy", images(4))


FILES = {
    "photos": photos,
    "shards": shards,
    "measurements.npy": lambda path: np.save(path, RNG.random((20, 3), "float32")),
    "vae.keras": lambda path: vae().save(path),
    "vae.weights.h5": lambda path: vae().save_weights(path),
}


def reader(module, name, code):
    """The names that a reader has; makes the files that the code mentions."""
    tree = list(ast.walk(ast.parse(code)))
    for path in {node.value for node in tree if isinstance(node, ast.Constant)} & FILES.keys():
        FILES[path](pathlib.Path(path))
    used = {node.id for node in tree if isinstance(node, ast.Name)}
    own = name.split(".")[0]
    ready = OF_TABLES if "tables" in module or "df" in used else MADE
    ready = OF_GRIDS if "latent_grids" in module else ready
    return {
        "__name__": "example",
        "keras": keras,
        "np": np,
        "pathlib": pathlib,
        "keras_vae": keras_vae,
        **{public: getattr(keras_vae, public) for public in keras_vae.__all__},
        **{made: ready[made]() for made in used & ready.keys()},
        own: getattr(importlib.import_module(module), own),
    }


# What takes long or is downloaded is replaced by something small of the same kind.


def few_shapes(num_images, image_size=64, seed=0):
    return datasets.shapes(32, image_size, seed)


def fashion_mnist():
    return tuple((images(n)[..., 0].astype("uint8"), np.arange(n) % 10) for n in (32, 16))


@pytest.fixture(autouse=True)
def _tiny(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", fashion_mnist)
    vgg16 = functools.partial(keras.applications.VGG16, weights=None)
    monkeypatch.setattr(keras.applications, "VGG16", vgg16)
    monkeypatch.setattr(datasets.files, "shapes", few_shapes)
    monkeypatch.setattr(datasets.ShapeGrid, "sizes", (3, 2, 2, 4, 4))
    compile_eagerly = functools.partialmethod(keras_vae.VAE.compile, run_eagerly=True)
    monkeypatch.setattr(keras_vae.VAE, "compile", compile_eagerly)  # faster for one step
    keras.config.set_max_epochs(1)
    yield
    keras.config.set_max_epochs(None)


@pytest.mark.filterwarnings("ignore:Limiting epochs")
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")  # of Keras
@pytest.mark.filterwarnings("ignore:The argument `latents`:DeprecationWarning")  # the example
@pytest.mark.parametrize(("module", "name", "code"), list(parameters()))
def test_the_example_runs(module, name, code):
    assert code, "the example has neither code in backticks nor a block of Python"
    names = reader(module, name, code)
    exec(compile(code, f"<example of {name}>", "exec"), names)


STATED = [(*e[:2], *e[2].split("  # ")) for e in EXAMPLES if re.fullmatch(r".+  # .+", e[2])]
"""Examples of one line with their value behind it."""


@pytest.mark.parametrize(("module", "name", "code", "stated"), STATED)
def test_the_value_is_the_stated_one(module, name, code, stated):
    names = reader(module, name, code)
    exec(f"value = {code}", names)
    assert names["value"] == ast.literal_eval(stated)


def test_no_example_is_missed():
    assert len(EXAMPLES) == sum(len(SECTION.findall(s)) for s in SOURCES.values()) > 150
