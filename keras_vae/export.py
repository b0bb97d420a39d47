"""A trained VAE as files for other runtimes: TF Serving, ONNX Runtime, LiteRT.

Every endpoint is a deterministic function: noise is an input, and no file has a random operation.
"""

import contextlib
import functools
import json
import pathlib
import tempfile
import warnings
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_vae import inference, keras_compat, saving
from keras_vae.batch import unpack, vectors
from keras_vae.typing import FilePath, Tensor

if TYPE_CHECKING:
    from keras_vae.model import VAE

FORMATS = {"tf_saved_model": "", "onnx": ".onnx", "litert": ".tflite"}
"""Names, as those of Keras, and the ends of their files."""

TABLE = "table.json"
"""What describes the columns of a table, in the folder of an export or at the end of a name."""

BACKENDS = {"tensorflow": tuple(FORMATS), "jax": ("tf_saved_model",), "torch": ("onnx",)}
"""The formats that each backend can write with a free batch size."""

COMPONENTS = {
    "encoder": {"encode": inference.mean_code},
    "decoder": {"decode": inference.decode},
    "all": {
        "encode": inference.mean_code,
        "decode": inference.decode,
        "reconstruct": inference.reconstruct,
        "generate": inference.generate,
    },
}
"""The endpoints of each component, as functions of (vae, batch)."""


def export(
    vae: "VAE",
    filepath: FilePath,
    format: str,
    component: str,
    quantize: str | None,
    representative_data: Any,
    verbose: bool,
) -> None:
    """Writes the file or folder, whole or not at all: `VAE.export`."""
    _check(vae, filepath, format, component, quantize, representative_data)
    with _in_float32(vae):
        names = _possible(vae, COMPONENTS[component])
        if format == "onnx" and component == "all":
            with saving.atomic_folder(filepath) as folder:
                for name in names:
                    _write_onnx(vae, f"{folder}/{name}.onnx", name, component)
                _write_table(vae, folder / TABLE)
        elif format == "onnx":
            with _file_and_table(vae, filepath) as file:
                _write_onnx(vae, file, names[0], component)
        elif format == "litert":
            with _file_and_table(vae, filepath) as file:
                content = _litert(vae, names, component, quantize, representative_data)
                pathlib.Path(file).write_bytes(content)
        else:
            with saving.atomic_folder(filepath) as folder:
                _write_saved_model(vae, folder, names, component)
                _write_table(vae, folder / TABLE)
    if verbose:
        print(f"Exported {', '.join(names)} to {filepath}")


def _write_table(vae, path):
    """Writes the scaling and the classes of the columns as JSON, if the model is of a table."""
    from keras_vae.tables import TableVAE  # it imports this module

    if isinstance(vae, TableVAE):
        content = json.dumps(vae.table.get_config(), indent=1, allow_nan=False)
        with saving.atomic(path) as temporary:
            pathlib.Path(temporary).write_text(content, encoding="utf-8")


@contextlib.contextmanager
def _file_and_table(vae, filepath):
    """Writes one file, and `encoder.table.json` beside `encoder.onnx` if it is of a table."""
    with saving.atomic(filepath) as file:
        yield file
        _write_table(vae, pathlib.Path(filepath).with_suffix(f".{TABLE}"))


def _write_saved_model(vae, folder, names, component):
    archive = keras.export.ExportArchive()
    for part in _parts(vae):
        archive.track(part)
    for name in names:
        function = _function(vae, COMPONENTS[component][name])
        archive.add_endpoint(name, function, input_signature=_signature(vae, name))
    archive.write_out(folder, verbose=False)


def _write_onnx(vae, file, name, component):
    model = _Exported(_parts(vae), _function(vae, COMPONENTS[component][name]))
    signature = [_signature(vae, name)]
    try:
        if keras.backend.backend() == "tensorflow":
            _know_erfc()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the converters, about their own code
            model.export(str(file), format="onnx", input_signature=signature, verbose=False)
    except ImportError as error:
        raise ImportError(
            f'`format` "onnx" needs a package: pip install "keras_vae[export]" ({error})'
        ) from error


class _Exported(keras.Model):
    """A function of a list of tensors, and the layers whose variables it uses."""

    def __init__(self, parts, function) -> None:
        super().__init__(name="exported", dtype="float32")
        self.encoder, self.posterior, self.prior, self.decoder, self.likelihood = parts
        self.function = function
        self.built = True

    def call(self, inputs: list[Tensor]) -> Tensor:
        return self.function(*inputs)


@functools.cache
def _know_erfc():
    """Teaches tf2onnx the operation of TensorFlow's exact GELU, erfc(x) = 1 - erf(x)."""
    from tf2onnx.handler import tf_op
    from tf2onnx.utils import make_name

    @tf_op("Erfc")
    class Erfc:
        @classmethod
        def version_9(cls, ctx: Any, node: Any, **kwargs: Any) -> None:
            (x,), (output,) = node.input, node.output
            dtype, shape = ctx.get_dtype(output), ctx.get_shape(output)
            ctx.remove_node(node.name)
            one = ctx.make_const(make_name("one"), np.ones((), "float32"))
            erf = ctx.make_node("Erf", [x], dtypes=[dtype], shapes=[shape])
            inputs = [one.output[0], erf.output[0]]
            ctx.make_node("Sub", inputs, outputs=[output], dtypes=[dtype], shapes=[shape])


def _litert(vae, names, component, quantize, representative_data):
    """The bytes of a file with one signature an endpoint."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _write_saved_model(vae, folder, names, component)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=names)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if quantize:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "int8":
            inputs = _representative(vae, names, representative_data)
            converter.representative_dataset = lambda: _rows(inputs)
        try:
            return converter.convert()
        except Exception as error:
            raise ValueError(
                "`format` 'litert' must be of a model whose operations LiteRT has built in, so "
                f"that the file needs no extension ({str(error).strip()[:300]}). "
                "Received: format='litert'"
            ) from error


def _representative(vae, names, x):
    """Inputs of each endpoint, as dicts of arrays, from examples x."""
    batch = x if isinstance(x, dict) else {"x": x}
    rows = len(batch["x"])
    noise = np.random.default_rng(0).normal(size=(rows, vae.prior.noise_dim))
    first = {"x": batch["x"], "z": vae.encode(x), "noise": noise}
    if batch.get("condition") is not None:
        condition = keras.ops.convert_to_tensor(batch["condition"])
        first["condition"] = keras.ops.convert_to_numpy(vectors(condition, vae.condition_dim))
    return {name: {s.name: first[s.name] for s in _signature(vae, name)} for name in names}


def _rows(inputs):
    for name, arrays in inputs.items():
        for i in range(len(next(iter(arrays.values())))):
            yield name, {key: np.asarray(a[i : i + 1], "float32") for key, a in arrays.items()}


def _parts(vae):
    """The layers that endpoints compute with."""
    return [vae.encoder, vae.posterior, vae.prior, vae.decoder, vae.likelihood]


def _function(vae, endpoint):
    """An endpoint as a function of one tensor, or of two where it takes a condition."""

    def function(x, condition=None):
        data = x if condition is None else {"x": x, "condition": condition}
        return endpoint(vae, unpack(data, vae.likelihood, vae.condition_dim))

    return function


def _signature(vae, name):
    """What the endpoint takes: a name, a shape with a free batch and a dtype for each input."""
    inputs = getattr(vae.encoder, "inputs", None)
    x_dtype = keras.backend.standardize_dtype(inputs[0].dtype) if inputs else "float32"
    first = {
        "decode": ("z", (vae.posterior.latent_dim,), "float32"),
        "generate": ("noise", (vae.prior.noise_dim,), "float32"),
    }.get(name, ("x", vae.x_shape, x_dtype))
    takes_condition = {
        "encode": vae.encoder_takes_condition,
        "decode": vae.decoder_takes_condition,
        "reconstruct": vae.encoder_takes_condition or vae.decoder_takes_condition,
        "generate": vae.decoder_takes_condition or hasattr(vae.prior, "condition_dim"),
    }[name]
    second = [("condition", (vae.condition_dim,), "float32")] if takes_condition else []
    return [
        keras.layers.InputSpec(shape=(None, *shape), dtype=dtype, name=key)
        for key, shape, dtype in (first, *second)
    ]


def _possible(vae, endpoints):
    """The names of the endpoints, but `generate` where it is no function of noise."""
    names = list(endpoints)
    if "generate" in names:
        try:
            row = [np.zeros((1, *s.shape[1:]), s.dtype) for s in _signature(vae, "generate")]
            _function(vae, inference.generate)(*map(keras.ops.convert_to_tensor, row))
        except (AttributeError, NotImplementedError):
            names.remove("generate")
            warnings.warn(
                "The endpoint `generate` is left out, because the draws of the prior "
                f"{type(vae.prior).__name__} are no function of normal noise.",
                stacklevel=4,
            )
    return names


@contextlib.contextmanager
def _in_float32(vae):
    """Computes in float32 inside: runtimes lack operations in half precision, weights have none."""
    halves = [
        layer for layer in keras_compat.flatten_layers(vae) if "float16" in layer.compute_dtype
    ]
    policies = [layer.dtype_policy for layer in halves]
    for layer in halves:
        layer.dtype_policy = "float32"
    try:
        yield
    finally:
        for layer, policy in zip(halves, policies, strict=True):
            layer.dtype_policy = policy


def _check(vae, filepath, format, component, quantize, representative_data):
    for value, name, known in (
        (format, "format", list(FORMATS)),
        (component, "component", list(COMPONENTS)),
        (quantize, "quantize", [None, "dynamic", "int8"]),
    ):
        if value not in known:
            raise ValueError(f"`{name}` must be one of {known}. Received: {name}={value!r}")
    ends = list(FORMATS.values())
    end = "" if format == "onnx" and component == "all" else FORMATS[format]
    if pathlib.Path(filepath).suffix != end and (end or pathlib.Path(filepath).suffix in ends):
        raise ValueError(
            f"`filepath` must end in {end!r} for format={format!r} and component={component!r}"
            " (a folder, where that is empty). "
            f"Received: filepath={str(filepath)!r}"
        )
    if quantize and format != "litert":
        raise ValueError(
            "`quantize` must go with format='litert', as the others are not quantised. "
            f"Received: quantize={quantize!r}, format={format!r}"
        )
    if (quantize == "int8") != (representative_data is not None):
        raise ValueError(
            "`representative_data` must be given with quantize='int8' and only then: examples "
            "from which the ranges of the integers are measured. "
            f"Received: quantize={quantize!r}, representative_data="
            f"{None if representative_data is None else type(representative_data).__name__}"
        )
    _check_model(vae, format)


def _check_model(vae, format):
    """Refuses a model that cannot be exported, or not on this backend."""
    if not vae.built:
        raise ValueError(
            "`export` must follow the first call of the model, because a file holds the shape of "
            "an example. Received: a model that is not built"
        )
    backend = keras.backend.backend()
    if format not in BACKENDS.get(backend, ()):
        raise ValueError(
            f"`format` must be one of {BACKENDS.get(backend, ())} with KERAS_BACKEND={backend}; "
            "the saved `.keras` file loads, and exports to all, with KERAS_BACKEND=tensorflow. "
            f"Received: format={format!r}"
        )
    if any(v.dtype in ("float16", "bfloat16") for v in vae.weights):
        raise ValueError(
            "`export` must be of a model with float32 weights (the policies float32, "
            "mixed_float16 and mixed_bfloat16). Received: weights in half precision"
        )
    if vae.strategy is not None:
        raise ValueError(
            "`export` must be of a model made outside a strategy's scope: save it, and load it "
            f"outside. Received: a model of {type(vae.strategy).__name__}"
        )
