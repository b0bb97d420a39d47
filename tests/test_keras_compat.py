"""Private names of Keras and TensorFlow: in one file, and each with a fallback."""

import ast
import inspect
import pathlib
import sys
import warnings

import keras
import numpy as np
import pytest
from keras import ops

import keras_vae
from keras_vae import keras_compat, networks, saving
from keras_vae.networks.activations import last_activation

BACKEND = keras.backend.backend()
ROOT = pathlib.Path(keras_vae.__file__).parent
OURS = [p for p in ROOT.rglob("*.py") if p.name != "keras_compat.py"]
X = np.random.default_rng(0).uniform(size=(37, 6)).astype("float32")

only_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's trainer")


class Hidden:
    """An attribute of a class of Keras that `keras_compat` does not see, and Keras does."""

    def __init__(self, owner, name):
        self.own, self.name, self.asked = inspect.getattr_static(owner, name, None), name, 0

    def __get__(self, instance, owner=None):
        if sys._getframe(1).f_globals["__name__"] == keras_compat.__name__:
            self.asked += 1
            raise AttributeError(self.name)
        if self.name in getattr(instance, "__dict__", {}):
            return instance.__dict__[self.name]
        if self.own is None:
            raise AttributeError(self.name)
        return self.own.__get__(instance, owner)

    def __set__(self, instance, value):
        instance.__dict__[self.name] = value


@pytest.fixture
def hide(monkeypatch):
    """`hide(owner, name)` puts a `Hidden` in the place of an attribute."""

    def hide(owner, name):
        hidden = Hidden(owner, name)
        monkeypatch.setattr(owner, name, hidden, raising=False)
        return hidden

    return hide


def model(optimizer="adam"):
    keras.utils.set_random_seed(0)
    vae = keras_vae.VAE(
        networks.dense_encoder((6,), units=(8,)),
        networks.dense_decoder(2, (6,), units=(8,)),
        seed=0,
    )
    vae.compile(optimizer)
    return vae


def training(vae, folder):
    """The numbers of `fit` and `evaluate`."""
    found = dict(vae.fit(X, epochs=2, batch_size=16, validation_data=X[:9], verbose=0).history)
    return found | {"score": vae.evaluate(X, verbose=0)}


def files(vae, folder):
    """The codes of a model, of the one in its file, and of both once they are quantized."""
    found = {"codes": vae.encode(X)}
    vae.save(folder / "vae.keras")
    back = keras_vae.load_model(folder / "vae.keras", compile=False)
    found["codes of the file"] = back.encode(X)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Layer .* does not have a `quantize` method")
        vae.quantize("int8")
    found["codes, quantized"] = vae.encode(X)
    vae.save(folder / "quantized.keras")
    quantized = keras_vae.load_model(folder / "quantized.keras", compile=False)
    found["codes of the quantized file"] = quantized.encode(X)
    return found


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """What `training` and `files` give with all names in place."""
    folder = tmp_path_factory.mktemp("usual")
    return {use: use(model(), folder) for use in (training, files)}


@pytest.fixture
def check(usual, tmp_path):
    """`check(use)` compares what a new model gives with what is usual."""

    def check(use):
        found = use(model(), tmp_path)
        assert found.keys() == usual[use].keys()
        for key, value in usual[use].items():
            np.testing.assert_allclose(found[key], value, rtol=1e-5, err_msg=key)

    return check


# One place.


def private(name):
    return name.startswith("_") and not name.endswith("__")


def defined_names(tree):
    """Names that a module gives to something, attributes of `self` included."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if getattr(node.value, "id", None) in ("self", "instance"):
                yield node.attr
        elif isinstance(node, ast.alias):
            yield node.asname or node.name


def names_of_classes(tree):
    """Private names of methods and class attributes, and of attributes of `self`."""
    for node in ast.walk(tree):
        names = [node.attr] if isinstance(node, ast.Attribute) else []
        if isinstance(node, ast.ClassDef):
            names = [n for inside in node.body for n in defined_names(inside)]
        elif not isinstance(getattr(node, "ctx", None), ast.Store):
            continue
        yield from filter(private, names)


def used_names(tree):
    """(line, name) of attributes, also of those that `getattr` and its like name in a string."""
    by_string = ("getattr", "hasattr", "setattr", "delattr", "getattr_static", "attrgetter")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.lineno, node.attr
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "id", getattr(node.func, "attr", None))
            if called in by_string:
                strings = [a.value for a in node.args if isinstance(a, ast.Constant)]
                yield from ((node.lineno, s) for s in strings if isinstance(s, str))


def internal_modules(tree):
    """(line, module) of private modules that are imported, or named in a string."""
    for node in ast.walk(tree):
        named = [getattr(node, "module", None)] if isinstance(node, ast.ImportFrom) else []
        named += [node.name] if isinstance(node, ast.alias) else []
        named += [node.value] if isinstance(node, ast.Constant) else []
        for name in named:
            if isinstance(name, str) and name.startswith(("keras.src", "tensorflow.python.")):
                yield getattr(node, "lineno", 0), name


OF_ESTIMATORS = {"_validate_data", "_sklearn_output_config"}
"""What our estimators inherit from those of scikit-learn."""


def test_private_names_are_in_one_file():
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in OURS}
    ours = {name for tree in trees.values() for name in defined_names(tree)}
    ours |= {"_asdict", "_replace", "_fields"}  # of Python's named tuples
    for path, tree in trees.items():
        known = ours | (OF_ESTIMATORS if path.name == "sklearn.py" else set())
        names = [(line, n) for line, n in used_names(tree) if private(n) and n not in known]
        assert names == [], f"{path}: move these into keras_compat.py"
        modules = [m for m in internal_modules(tree) if m[1] != "tensorflow.python.keras"]
        assert modules == [], f"{path}: move these into keras_compat.py"


def test_the_check_finds_what_it_looks_for():
    tree = ast.parse(
        "from keras.src import ops\nlayer._flatten_layers()\nself._own = 1\ngetattr(a, '_hidden')"
    )
    assert {n for _, n in used_names(tree) if private(n)} >= {"_flatten_layers", "_hidden"}
    assert "_own" in set(defined_names(tree))
    assert "_flatten_layers" not in set(defined_names(tree))
    assert [m for _, m in internal_modules(tree)] == ["keras.src"]


def test_no_private_name_of_ours_is_one_of_keras():
    """Methods and attributes of our classes would replace those of Keras unawares."""
    inputs = keras.Input((3,))
    plain = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    plain.compile("adam", "mse", metrics=["mae"])
    plain.fit(np.zeros((2, 3)), np.zeros((2, 2)), verbose=0)
    objects = plain, keras.Layer(), plain.optimizer, keras.metrics.Mean()
    theirs = {name for each in objects for name in dir(each) if private(name)}
    assert {"_flatten_layers", "_symbolic_build", "_metrics"} <= theirs
    for path in OURS:
        names = set(names_of_classes(ast.parse(path.read_text(encoding="utf-8"))))
        assert names & theirs == set(), path


# Each name, missing. Keras itself goes on using it, so that only our own use is put to the test.


@pytest.mark.slow
@pytest.mark.parametrize(
    ("owner", "name", "use"),
    [
        (keras.Layer, "_flatten_layers", files),
        (keras.KerasTensor, "_keras_history", files),
        (keras.Operation, "_inbound_nodes", files),
        pytest.param(keras.Model, "_symbolic_build", training, marks=only_tensorflow),
        pytest.param(keras.Model, "_maybe_symbolic_build", training, marks=only_tensorflow),
        pytest.param(keras.Model, "_autoconvert_optionals", training, marks=only_tensorflow),
    ],
)
def test_without_a_name_models_work_as_usual(owner, name, use, hide, check):
    hidden = hide(owner, name)
    check(use)
    assert hidden.asked


@pytest.mark.parametrize("recipe", [keras_vae.recipes.tutorial_vae, keras_vae.recipes.vae])
def test_layers_are_found_in_the_same_order(recipe, hide):
    vae = recipe((28, 28, 1))
    usual = keras_compat.flatten_layers(vae)
    assert len(usual) > 10
    hide(keras.Layer, "_flatten_layers")
    assert list(map(id, keras_compat.flatten_layers(vae))) == list(map(id, usual))


def test_without_the_history_an_activation_is_unknown(hide):
    inputs = keras.Input((2,))
    outputs = keras.layers.Reshape((3, 2))(keras.layers.Dense(6, "sigmoid")(inputs))
    decoder = keras.Model(inputs, outputs)
    assert last_activation(decoder) == "sigmoid"
    hide(keras.Operation, "_inbound_nodes")
    assert last_activation(decoder) is None
    hide(keras.KerasTensor, "_keras_history")
    assert last_activation(decoder) is None


def test_without_names_of_operations_an_activation_is_unknown(monkeypatch):
    inputs = keras.Input((2,))
    decoder = keras.Model(inputs, ops.reshape(keras.layers.Dense(6, "sigmoid")(inputs), (-1, 3, 2)))
    assert last_activation(decoder) == "sigmoid"
    monkeypatch.setattr(keras_compat, "OPERATIONS_THAT_KEEP_VALUES", set())
    assert last_activation(decoder) is None


def test_without_the_argument_evaluate_checks_the_data_again(check, monkeypatch):
    given, evaluate = [], keras_vae.VAE.evaluate

    def without(self, *args, **kwargs):
        given.append(kwargs.pop("_use_cached_eval_dataset", False))
        return evaluate(self, *args, **kwargs)

    monkeypatch.setattr(keras_vae.VAE, "evaluate", without)
    check(training)
    assert any(given)


def test_an_unknown_module_of_optimizers_stays():
    config = {"module": "elsewhere.optimizers", "class_name": "Adam", "registered_name": "Adam"}
    assert saving.portable({"optimizer": config}) == {"optimizer": config}


@only_tensorflow
def test_without_the_iterators_dataset_the_autotuner_stays_on(hide, check):
    from keras.src.backend.tensorflow.trainer import TFEpochIterator

    hidden = hide(TFEpochIterator, "_distributed_dataset")
    check(training)
    assert hidden.asked


@only_tensorflow
@pytest.mark.parametrize("name", ["_maybe_symbolic_build", "_make_function"])
def test_without_a_hook_keras_trains_in_its_own_way(name, monkeypatch, check):
    """Keras does not call the method, and does not have it."""
    monkeypatch.delattr(keras_compat.TensorFlowHooks, name)
    check(training)


HANDLERS = ["_stateful_handle_non_finite_grads", "_stateless_handle_non_finite_grads"]


@pytest.mark.parametrize("missing", [False, True])
def test_without_the_handlers_skipped_steps_are_not_counted(missing, monkeypatch):
    if missing:
        for name in HANDLERS:
            monkeypatch.delattr(keras_compat.SkipHooks, name)
    guard = keras_vae.optimizers.GradientNormGuard(keras.optimizers.Adam(0.1), max_norm=1e-6)
    vae = model(guard)
    before = [ops.copy(w) for w in vae.trainable_weights]
    vae.fit(X, batch_size=16, verbose=0)
    for old, new in zip(before, vae.trainable_weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(old), ops.convert_to_numpy(new))
    assert int(guard.skipped) == (0 if missing else 3)


class ReadsWithinEpochs(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.rate = self.model.optimizer.learning_rate


@pytest.mark.skipif(BACKEND != "jax", reason="JAX alone keeps the state apart")
def test_without_synchronization_training_goes_on(hide):
    usual = model().fit(X, verbose=0, callbacks=[ReadsWithinEpochs()]).history
    hidden = hide(keras.Model, "jax_state_sync")
    history = model().fit(X, verbose=0, callbacks=[ReadsWithinEpochs()]).history
    assert history["loss"] == pytest.approx(usual["loss"], rel=1e-6)
    assert hidden.asked


@only_tensorflow
@pytest.mark.parametrize("name", ["_momentums", "_velocities", "_get_variable_index"])
def test_without_the_moments_of_adam_keras_updates_the_weights(name):
    class Renamed(keras.optimizers.Adam):
        def __getattribute__(self, asked):
            if asked == name:
                raise AttributeError(asked)
            return super().__getattribute__(asked)

    adam, weight = keras.optimizers.Adam(), keras.Variable(np.ones(3, "float32"))
    adam.build([weight])
    assert keras_compat.adam_moments(adam, weight) is not None
    assert keras_compat.adam_moments(adam, keras.Variable(np.ones(3, "float32"))) is None
    adam.__class__ = Renamed
    assert keras_compat.adam_moments(adam, weight) is None


@pytest.mark.parametrize("name", ["get_global_attribute", "set_global_attribute"])
def test_without_the_list_of_variables_a_file_is_not_measured(name, monkeypatch):
    from keras.src.backend.common import global_state

    with monkeypatch.context() as patch:
        patch.delattr(global_state, name)
        assert keras_compat.variables_made_by(lambda: 1) is None
    monkeypatch.setitem(sys.modules, "keras.src.backend.common", None)
    assert keras_compat.variables_made_by(lambda: 1) is None


def test_every_private_name_has_a_test():
    tree = ast.parse(pathlib.Path(keras_compat.__file__).read_text(encoding="utf-8"))
    constants = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
    names = {n for _, n in used_names(tree) if private(n)} | set(names_of_classes(tree))
    names |= {c for c in constants if isinstance(c, str) and private(c) and c.isidentifier()}
    names |= {module.split(".")[-1] for _, module in internal_modules(tree)}
    tested = pathlib.Path(__file__).read_text(encoding="utf-8").split("# Each name, missing")[1]
    missing = [name for name in names if name not in tested]
    assert missing == []
