"""What single containers and arguments do, beside the table of `test_containers.py`."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from checks import small_vae

import keras_vae
from keras_vae import data_adapters, networks

pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
X = np.random.default_rng(0).random((8, 4)).astype("float32")
FRAME = pd.DataFrame(X, columns=list("abcd"))


@pytest.fixture(scope="module")
def vae():
    vae = small_vae((4,))
    vae.compile(keras.optimizers.SGD(0.0))
    return vae


@pytest.fixture(scope="module")
def conditional():
    keras.utils.set_random_seed(0)
    return keras_vae.VAE(
        networks.dense_encoder((4,), (8,), condition_dim=3),
        networks.dense_decoder(2, (4,), (8,), condition_dim=3),
    )


def with_column(values):
    return FRAME.assign(b=values)


DATES = pd.date_range("2026-01-01", periods=8)
REFUSED = {
    "strings": (with_column(list("uvwxuvwx")), "column 'b'"),
    "categories": (with_column(pd.Categorical(list("uvwxuvwx"))), "column 'b'"),
    "dates": (with_column(DATES), "column 'b'"),
    "durations": (with_column(DATES - DATES[0]), "column 'b'"),
    "complex": (with_column(np.full(8, 1j)), "column 'b'"),
    "objects": (with_column(pd.Series([[1]] * 8, dtype=object)), "column 'b'"),
    "missing": (with_column(pd.array([1, 0, None, 1] * 2, "Int64")), "2 missing.*column 'b'"),
    "nan": (FRAME.where(FRAME.b > FRAME.b.min()), "1 missing.*column 'a'"),
    "polars null": (pl.DataFrame(X).with_columns(column_1=None), "column 'column_1'"),
    "polars text": (pl.DataFrame(X).with_columns(column_1=pl.lit("u")), "column 'column_1'"),
    "same names": (FRAME.set_axis(list("abbd"), axis=1), r"repeated columns \['b'\]"),
    "lazy": (pl.DataFrame(X).lazy(), "LazyFrame"),
    "index": (FRAME.index, "Index"),
    "no columns": (FRAME[[]], "without columns"),
    "complex array": (X * 1j, "complex"),
    "dates array": (X.astype("datetime64[s]"), "dates"),
    "text array": (X.astype(str), "text"),
    "records": (np.zeros(8, [("a", "f4"), ("b", "f4")]), "dtype="),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_number_is_refused_by_name(vae, name):
    x, what = REFUSED[name]
    with pytest.raises(ValueError, match=rf"(?s)^`x` must .*Received: .*{what}"):
        vae.fit(x, verbose=0)


@pytest.mark.parametrize("kind", ["ragged", "sparse", "string", "complex"])
def test_tensors_that_are_no_dense_numbers_are_refused(vae, kind):
    tf = pytest.importorskip("tensorflow")
    x = {
        "ragged": lambda: tf.ragged.constant([[0.5], [0.5, 0.5]]),
        "sparse": lambda: tf.sparse.from_dense(X),
        "string": lambda: tf.constant(X.astype(str)),
        "complex": lambda: tf.complex(X, X),
    }[kind]()
    with pytest.raises(ValueError, match=r"(?s)^`x` must .*Received: x"):
        vae.encode(x)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nested", "sparse", "complex"])
def test_torch_tensors_that_are_no_dense_numbers_are_refused(vae, kind):
    torch = pytest.importorskip("torch")
    t = torch.from_numpy(X)
    x = {
        "nested": lambda: torch.nested.nested_tensor([t[0], t[0, :2]], layout=torch.jagged),
        "sparse": t.to_sparse,
        "complex": lambda: t * 1j,
    }[kind]()
    with pytest.raises(ValueError, match=r"(?s)^`x` must .*Received: x"):
        vae.encode(x)


def test_half_precision_of_torch_and_long_doubles_are_numbers(vae):
    torch = pytest.importorskip("torch")
    x = np.round(X)
    for given in (torch.from_numpy(x).bfloat16(), torch.from_numpy(x).half(), np.longdouble(x)):
        np.testing.assert_allclose(vae.encode(given), vae.encode(x), atol=1e-6)


def test_missing_values_of_a_frame_may_come_with_a_mask(vae):
    holes = X > 0.2
    for frame in (
        FRAME.where(holes),
        FRAME.where(holes).astype("Float32"),
        pl.DataFrame(np.where(holes, X, np.nan)).fill_nan(None),
    ):
        mask = pd.DataFrame(holes) if isinstance(frame, pd.DataFrame) else pl.DataFrame(holes)
        expected = vae.elbo({"x": np.where(holes, X, np.nan), "mask": holes})
        np.testing.assert_allclose(vae.elbo({"x": frame, "mask": mask}), expected, rtol=1e-6)


@pytest.mark.parametrize("make", [pd.Series, lambda w: pl.Series("w", w), lambda w: w[:, None]])
def test_weights_of_any_kind_count_by_position(vae, make):
    weights = np.eye(1, 8, dtype="float32")[0]
    frame = FRAME.set_index(np.arange(8)[::-1])
    found, expected = (
        vae.evaluate(x, sample_weight=w, verbose=0, return_dict=True)["loss"]
        for x, w in ((frame, make(weights)), (X, weights))
    )
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("make", [pd.Series, lambda c: pl.Series("c", c), lambda c: c[:, None]])
def test_conditions_of_any_kind_count_by_position(conditional, make):
    classes = np.arange(8) % 3
    expected = conditional.encode({"x": X, "condition": classes})
    found = conditional.encode({"x": FRAME[::-1], "condition": make(classes[::-1])})
    np.testing.assert_allclose(found[::-1], expected, atol=1e-6)


@pytest.mark.slow
def test_one_condition_for_all_rows(conditional):
    vector = np.float32([0, 0, 1])
    expected = conditional.encode({"x": X, "condition": np.full(8, 2)})
    for condition in (2, [2], vector, vector[None], pd.Series(vector)):
        found = conditional.encode({"x": X, "condition": condition})
        np.testing.assert_allclose(found, expected, atol=1e-6)
    pipeline = ({"x": X[i : i + 4], "condition": vector} for i in (0, 4))
    np.testing.assert_allclose(conditional.encode(pipeline), expected, atol=1e-6)
    with pytest.raises(ValueError, match=r"(?s)^`condition` must .*Received: .*give 2"):
        conditional.encode({"x": X[:3], "condition": [0, 0, 1]})
    with pytest.raises(ValueError, match=r"(?s)^`condition` must .*Received: .*'c'"):
        conditional.encode({"x": X, "condition": pd.Series(list("uvwxuvwx"), name="c")})


@pytest.mark.slow
@pytest.mark.parametrize("make", [np.array, pd.Series, lambda v: pl.Series("v", v), list])
def test_one_column_is_the_x_of_a_model_of_one_feature(make):
    vae, values = small_vae((1,)), X[:, 0]
    np.testing.assert_allclose(vae.elbo(make(values)), vae.elbo(values[:, None]), rtol=1e-6)
    vae.fit(make(values), make(values), verbose=0)


def test_a_mapping_need_not_be_a_dict(vae, tmp_path):
    np.savez(tmp_path / "x.npz", x=X, mask=np.ones_like(X))
    with np.load(tmp_path / "x.npz") as arrays:
        np.testing.assert_allclose(vae.elbo(arrays), vae.elbo(X), rtol=1e-6)


def test_rows_in_a_file_are_read_a_batch_at_a_time(tmp_path):
    rows = np.memmap(tmp_path / "x", "float32", "w+", shape=(100, 4))
    read = data_adapters.as_array(rows)
    assert not isinstance(read, np.ndarray)
    assert read[3:5].shape == (2, 4)
    assert read[np.array([7, 3, 7])].shape == (3, 4)


def of_sparse(path):
    return pytest.importorskip("scipy.sparse").csr_matrix(X)


def of_a_memory_map(path):
    np.save(path / "x.npy", X)
    return np.load(path / "x.npy", mmap_mode="r")


def of_hdf5(path):
    return pytest.importorskip("h5py").File(path / "x.h5", "w").create_dataset("x", data=X)


@pytest.mark.parametrize("make", [of_sparse, of_a_memory_map, of_hdf5])
def test_rows_that_are_read_later_are_split_as_arrays_are(make, tmp_path):
    def history(x):
        options = {"validation_split": 0.3, "shuffle": False, "batch_size": 2}
        return small_vae((4,)).fit(x, **options, verbose=0).history

    wanted, got = history(X), history(make(tmp_path))
    assert got.keys() == wanted.keys()
    assert "val_loss" in got
    for name, values in wanted.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-6)


@pytest.mark.parametrize("make", [of_sparse, of_a_memory_map, of_hdf5])
def test_badly_scaled_rows_that_are_read_later_cause_a_warning(make, tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "X", np.random.default_rng(0).poisson(50.0, (20, 4)) * 1.0)
    model = small_vae((4,), likelihood=keras_vae.likelihoods.Poisson())
    with pytest.warns(UserWarning, match="looks like raw counts"):
        model.fit(make(tmp_path), verbose=0)


@pytest.mark.parametrize("method", ["encode", "elbo", "predict", "fit"])
def test_a_scalar_beside_a_condition_is_refused(conditional, method):
    with pytest.raises(ValueError, match=r"`x` must have the shape .* Received: x with shape"):
        getattr(conditional, method)({"x": np.float32(0.5), "condition": [1]})


def test_a_split_that_leaves_nothing_is_refused(vae, tmp_path):
    with pytest.raises(ValueError, match=r"`validation_split` must leave .* Received: .*0.95"):
        vae.fit(of_a_memory_map(tmp_path), validation_split=0.95, verbose=0)


def run_in_a_new_process(code):
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_the_package_imports_no_library_of_frames_itself():
    """Keras imports pandas, and scikit-learn narwhals, where they are installed."""
    code = """
import builtins
real, found = builtins.__import__, []

def traced(name, names=None, *args, **kwargs):
    importer = (names or {}).get("__name__", "")
    if name.split(".")[0] in ("pandas", "polars", "narwhals", "h5py", "torch"):
        found.append((importer, name))
    return real(name, names, *args, **kwargs)

builtins.__import__ = traced
import numpy as np
import keras_vae
n = keras_vae.networks
vae = keras_vae.VAE(n.dense_encoder((4,), (8,)), n.dense_decoder(2, (4,), (8,)))
vae.encode(np.zeros((4, 4))), vae.elbo([[0.5] * 4])
print([pair for pair in found if pair[0].startswith("keras_vae")])
"""
    found = run_in_a_new_process(code)
    assert found.stdout.strip().endswith("[]"), found


def test_frames_without_narwhals_name_the_extra(vae, monkeypatch):
    monkeypatch.setitem(sys.modules, "narwhals.stable.v2", None)
    with pytest.raises(ImportError, match=r"keras_vae\[tables\]"):
        vae.encode(FRAME)


LISTS = {
    "x": lambda rows: (rows,),
    "x and y": lambda rows: (rows, rows),
    "dict": lambda rows: ({"x": rows},),
}


@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
@pytest.mark.parametrize("form", LISTS)
def test_rows_in_a_list_are_read_in_a_generator_too(vae, form):
    def generator():
        yield LISTS[form](list(X[:5]))
        yield LISTS[form](list(X[5:]))

    np.testing.assert_allclose(vae.encode(generator()), vae.encode(X), rtol=1e-5)
    loss = vae.fit(generator(), verbose=0).history["loss"][0]
    assert loss == pytest.approx(vae.evaluate(X, verbose=0, return_dict=True)["loss"], rel=0.1)


@pytest.mark.parametrize("method", ["fit", "encode", "elbo", "predict", "evaluate"])
def test_a_list_of_more_than_three_is_no_batch(vae, method):
    with pytest.raises(ValueError, match=r"(?s)^`x` must yield x, .*Received: .*list of 4 elem"):
        getattr(vae, method)(list(X[:4]) for _ in range(2))
