"""Which containers the methods take, and what they do with bad data, as a table.

The outcome of a cell (container, method, case) is "works", "warns" (works, with a warning),
"refused" (a ValueError that names the argument, before the first step) or "-" (does not apply).
"""

import itertools
import tempfile

import keras
import numpy as np
import pytest

import keras_vae

ROWS, FEATURES, LATENT, BATCH = 8, 4, 2, 4

CASES = ("good", "nan", "outside", "shape", "labels", "empty")

TABLE = """
method            good   nan      outside  shape    labels   empty
fit               works  refused  refused  refused  refused  refused
validate          works  refused  refused  refused  refused  refused
evaluate          works  refused  refused  refused  refused  refused
predict           works  refused  warns    refused  -        refused
encode            works  refused  warns    refused  -        refused
infer             works  refused  warns    refused  -        refused
decode            works  refused  -        refused  -        refused
elbo              works  refused  refused  refused  refused  refused
log_likelihood    works  refused  refused  refused  refused  refused
anomaly_score     works  refused  refused  refused  refused  refused
diagnose          works  refused  refused  refused  refused  refused
impute            works  refused  refused  refused  -        refused
interpolate       works  refused  warns    refused  -        refused
train_on_batch    works  refused  refused  refused  refused  refused
test_on_batch     works  refused  refused  refused  refused  refused
predict_on_batch  works  refused  warns    refused  -        refused
fit_prior         works  refused  refused  refused  refused  refused
"""
"""The outcomes for every container, but for `CANNOT` and `NOT_IN_BATCHES`."""

CANNOT = {
    "numpy_int": {"nan"},
    "numpy_uint8": {"nan"},
    "numpy_bool": {"nan", "outside"},
    "tensorflow_int": {"nan"},
    "torch_uint8": {"nan"},
    "pandas_bool": {"nan", "outside"},
    "pandas_nullable_int": {"nan"},
    "memory_mapped": {"empty"},
}
"""Cases that a container cannot hold: they do not apply."""

NOT_IN_BATCHES = {"decode", "impute", "train_on_batch", "test_on_batch", "predict_on_batch"}
"""Methods that refuse every pipeline, because they take arrays alone."""


PACKAGES = {
    "jax": "jax",
    "torch": "torch",
    "torch_uint8": "torch",
    "torch_with_gradient": "torch",
    "data_loader": "torch",
}
"""Packages of containers that the extra `test` does not install."""


def skip_without_package(container):
    """Skips the test where the package of the container is not installed."""
    if container in PACKAGES:
        pytest.importorskip(PACKAGES[container])


def expected(container, method, case):
    """The outcome of a cell."""
    header, *lines = (line.split() for line in TABLE.strip().splitlines())
    outcomes = {name: dict(zip(header[1:], row, strict=True)) for name, *row in lines}
    outcome = outcomes[method][case]
    if outcome == "-" or case in CANNOT.get(container, ()):
        return "-"
    return "refused" if container in PIPELINES and method in NOT_IN_BATCHES else outcome


# Containers that hold the data: functions of a NumPy array.


def _tensorflow(x):
    import tensorflow as tf

    return tf.constant(x)


def _jax(x):
    import jax.numpy as jnp

    return jnp.asarray(x)


def _torch(x):
    import torch

    return torch.from_numpy(np.array(x))


def _torch_with_gradient(x):
    return _torch(x.astype("float32")).requires_grad_() * 1.0


def _two_dimensional(x):
    return x[:, None] if np.ndim(x) == 1 else x


def _frame(x):
    import pandas as pd

    columns = [f"c{i}" for i in range(np.size(x, 1) if np.ndim(x) > 1 else 1)]
    return pd.DataFrame(_two_dimensional(x), columns=columns)


def _shuffled_frame(x):
    """Rows count by their position, whatever the index says."""
    frame = _frame(x)
    return frame.set_index(np.random.default_rng(0).permutation(len(x)))


def _polars(x):
    import polars as pl

    frame = _frame(x)
    return pl.DataFrame({name: frame[name].to_numpy() for name in frame})


def _series(library):
    """A series of a one-dimensional array, a frame of others."""

    def make(x):
        if np.ndim(x) > 1:
            return _frame(x) if library == "pandas" else _polars(x)
        module = __import__(library)
        return module.Series(x) if library == "pandas" else module.Series("s", x)

    return make


def _sparse(kind):
    def make(x):
        from scipy import sparse

        return getattr(sparse, kind)(_two_dimensional(x))

    return make


def _memory_mapped(x):
    with tempfile.TemporaryFile() as file:
        values = np.memmap(file, x.dtype, "w+", shape=x.shape)
    values[:] = x
    return values


_NUMBER = itertools.count()


def _hdf5(x):
    import h5py

    name = f"{next(_NUMBER)}.h5"
    file = h5py.File(name, "w", driver="core", backing_store=False)
    return file.create_dataset("x", data=x)


def _mapping(x):
    """A mapping of x; arrays where there can be none: codes, y and masks."""
    return x


def _with_dtype(make, dtype):
    return lambda x: make(x.astype(dtype))


def _numpy(x):
    return x


CONTAINERS = {
    "numpy": _numpy,
    "numpy_float64": _with_dtype(_numpy, "float64"),
    "numpy_float16": _with_dtype(_numpy, "float16"),
    "numpy_int": _with_dtype(_numpy, "int64"),
    "numpy_uint8": _with_dtype(_numpy, "uint8"),
    "numpy_bool": _with_dtype(_numpy, "bool"),
    "not_contiguous": lambda x: np.asfortranarray(x)[::-1][::-1],
    "list": lambda x: x.tolist(),
    "list_of_arrays": list,
    "tensorflow": _tensorflow,
    "tensorflow_int": _with_dtype(_tensorflow, "int64"),
    "jax": _jax,
    "torch": _torch,
    "torch_uint8": _with_dtype(_torch, "uint8"),
    "torch_with_gradient": _torch_with_gradient,
    "pandas": _frame,
    "pandas_shuffled": _shuffled_frame,
    "pandas_bool": _with_dtype(_frame, "bool"),
    "pandas_series_y": _series("pandas"),
    "pandas_nullable": lambda x: _frame(x).astype("Float32"),
    "pandas_nullable_int": lambda x: _frame(x).astype("Int64"),
    "polars": _polars,
    "polars_series_y": _series("polars"),
    "csr_matrix": _sparse("csr_matrix"),
    "csc_matrix": _sparse("csc_matrix"),
    "coo_matrix": _sparse("coo_matrix"),
    "csr_array": _sparse("csr_array"),
    "coo_array": _sparse("coo_array"),
    "masked_array": np.ma.masked_array,
    "memory_mapped": _memory_mapped,
    "hdf5": _hdf5,
    "mapping": _mapping,
}


# Pipelines of batches: functions of x, and of y and sample weights where there are such.


def _batches(arrays):
    arrays = arrays if len(arrays) > 1 else [*arrays, None]
    for i in range(0, len(arrays[0]), BATCH):
        batch = tuple(a[i : i + BATCH] for a in arrays if a is not None)
        yield batch if len(batch) > 1 else batch[0]


def _generator(*arrays):
    return _batches(arrays)


def _generator_of_frames(*arrays):
    return (
        tuple(map(_frame, batch)) if isinstance(batch, tuple) else _frame(batch)
        for batch in _batches(arrays)
    )


def _tf_data(*arrays):
    import tensorflow as tf

    arrays = arrays if len(arrays) > 1 else arrays[0]
    return tf.data.Dataset.from_tensor_slices(arrays).batch(BATCH)


class _Sequence(keras.utils.PyDataset):
    def __init__(self, batches):
        super().__init__()
        self.batches = list(batches)

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        batch = self.batches[index]
        return batch if isinstance(batch, tuple) else (batch,)


def _py_dataset(*arrays):
    return _Sequence(_batches(arrays))


def _py_dataset_of_sparse(*arrays):
    x, *others = arrays
    batches = _batches([x, *others])
    sparse = _sparse("csr_matrix")
    return _Sequence((sparse(b[0]), *b[1:]) if others else sparse(b) for b in batches)


def _data_loader(*arrays):
    from torch.utils import data

    return data.DataLoader(data.TensorDataset(*map(_torch, arrays)), batch_size=BATCH)


PIPELINES = {
    "tf_data": _tf_data,
    "py_dataset": _py_dataset,
    "py_dataset_of_sparse": _py_dataset_of_sparse,
    "generator": _generator,
    "generator_of_frames": _generator_of_frames,
    "data_loader": _data_loader,
}


# Cases: x (or codes z) and y.


def data(case, columns=FEATURES):
    """(x, y) of a case, x of zeros and ones where it is good."""
    x = np.random.default_rng(columns).integers(0, 2, (ROWS, columns)).astype("float32")
    if case in ("nan", "outside"):
        x[0, 0] = {"nan": np.nan, "outside": 3.0}[case]
    x = {"shape": np.tile(x, 2), "empty": x[:0]}.get(case, x)
    return x, np.arange(len(x)) % 3 if case == "labels" else None


# Methods: functions of a model and a `given(rows, *columns)` that puts arrays into the container.


def _fit(vae, x, y, **options):
    history = vae.fit(x, y, epochs=1, shuffle=False, verbose=0, **options).history
    return {name: values[-1] for name, values in history.items()}


def _validate(vae, x, y, batch_size=BATCH):
    given = (x,) if y is None else (x, y)  # a list of two rows would be x and y
    given = x if y is None and not isinstance(x, list) else given
    logs = _fit(vae, data("good")[0], None, validation_data=given, batch_size=BATCH)
    return {name: value for name, value in logs.items() if name.startswith("val_")}


def _fit_prior(vae, x, y, batch_size=BATCH):
    options = {"batch_size": batch_size} | ({} if y is None else {"y": y})
    prior = keras_vae.priors.LearnedNormal()
    fitted = vae.fit_prior(x, prior, epochs=1, shuffle=False, verbose=0, **options)
    return fitted.elbo(data("good")[0])


def _scores(name, **options):
    return lambda vae, x, y, **more: getattr(vae, name)(x, y, **options, **more)


def _inputs(name, **options):
    return lambda vae, x, y, **more: getattr(vae, name)(x, **options, **more)


METHODS = {
    "fit": _fit,
    "validate": _validate,
    "evaluate": _scores("evaluate", verbose=0, return_dict=True),
    "predict": _inputs("predict", verbose=0),
    "encode": _inputs("encode"),
    "infer": _inputs("infer"),
    "decode": _inputs("decode"),
    "elbo": _scores("elbo", num_samples=2),
    "log_likelihood": _scores("log_likelihood", num_samples=3),
    "anomaly_score": _scores("anomaly_score", num_samples=2),
    "diagnose": _scores("diagnose", num_samples=2),
    "impute": lambda vae, x, mask, **more: vae.impute(x, mask, num_samples=2, **more),
    "interpolate": lambda vae, a, b, **more: vae.interpolate(a, b, 3),
    "train_on_batch": lambda vae, x, y, **more: vae.train_on_batch(x, y),
    "test_on_batch": lambda vae, x, y, **more: vae.test_on_batch(x, y),
    "predict_on_batch": lambda vae, x, y, **more: vae.predict_on_batch(x),
    "fit_prior": _fit_prior,
}


def call(vae, container, method, case):
    """Calls a method of `vae` on the data of a case in a container, and returns its result."""
    x, y = data(case, LATENT if method == "decode" else FEATURES)
    if method == "interpolate":
        x, y = x[:1], data("good")[0][1:2]
    if method == "impute":
        y = np.ones(x.shape, x.dtype)
        y[1:2, :2] = 0
    if container not in PIPELINES:
        make = CONTAINERS[container]
        more = {"batch_size": BATCH}
        return METHODS[method](vae, make(x), None if y is None else make(y), **more)
    make = PIPELINES[container]
    if method in ("interpolate", "impute"):
        return METHODS[method](vae, make(x), make(y))
    return METHODS[method](vae, make(x) if y is None else make(x, y), None)
