"""Exported files, read by the runtimes that they are for in processes without keras_vae."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from checks import binary, dtype_policy, small_vae

import keras_vae_cli as cli
from keras_vae import VAE, posteriors, priors, quantized

pytestmark = pytest.mark.tensorflow

ROOT = pathlib.Path(__file__).parents[1]
ROWS = 3
NAMES = ("encode", "decode", "reconstruct", "generate")
PATHS = {"tf_saved_model": "saved_model", "onnx": "onnx", "litert": "model.tflite"}

READERS = {
    "tf_saved_model": """
import tensorflow as tf

def load(folder, name):
    model = tf.saved_model.load(f"{folder}/saved_model")
    graph = model.signatures[name].graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    return lambda *inputs: getattr(model, name)(*inputs), [node.op for node in nodes]
""",
    "onnx": """
sys.modules["tensorflow"] = None
import onnx
import onnxruntime

def load(folder, name):
    path = f"{folder}/onnx/{name}.onnx"
    session = onnxruntime.InferenceSession(path)
    names = [i.name for i in session.get_inputs()]
    run = lambda *inputs: session.run(None, dict(zip(names, inputs)))[0]
    return run, [node.op_type for node in onnx.load(path).graph.node]
""",
    "litert": """
sys.modules["tensorflow"] = None
from ai_edge_litert.interpreter import Interpreter

def load(folder, name):
    model = Interpreter(f"{folder}/model.tflite")
    runner = model.get_signature_runner(name)
    def run(*inputs):
        keys = sorted(runner.get_input_details(), key=["x", "z", "noise", "condition"].index)
        return runner(**dict(zip(keys, inputs)))["output_0"]
    return run, [op["op_name"] for op in model._get_ops_details()]
""",
}
READER = """
import json, pathlib, sys
import numpy as np
sys.modules["keras"] = sys.modules["keras_vae"] = None  # cannot be imported
{load}
found = {{}}
for case in sorted(pathlib.Path(sys.argv[1]).glob("*/*.npz")):
    with np.load(case) as arrays:
        inputs = [arrays[key] for key in sorted(arrays) if key != "output"]
        output = arrays["output"]
    run, operations = load(case.parent, case.stem)
    error = float(np.abs(np.asarray(run(*inputs)) - output).max())
    random = [op for op in operations if "random" in op.lower() or "flex" in op.lower()]
    found[f"{{case.parent.name}} {{case.stem}}"] = (error, random, len(operations))
print(json.dumps(found))
"""


def models():
    with dtype_policy("mixed_float16"):
        half = small_vae()
    return {
        "mixture": small_vae(prior=priors.NormalMixture(3)),
        "condition": small_vae(prior=priors.ConditionalNormal(4)),
        "classes": small_vae(posterior=posteriors.Categorical(2, 3)),
        "half": half,
    }


def expected(vae):
    """Inputs and output of each endpoint, by the methods that users call."""
    rng = np.random.default_rng(0)
    x = binary(ROWS, vae.x_shape)
    z = rng.normal(size=(ROWS, vae.posterior.latent_dim)).astype("float32")
    noise = rng.normal(size=(ROWS, vae.prior.noise_dim)).astype("float32")
    condition, batch = None, x
    if vae.condition_dim:
        condition = np.eye(vae.condition_dim, dtype="float32")[:ROWS]
        batch = {"x": x, "condition": condition}
    drawn = keras.ops.convert_to_numpy(vae._prior_for(condition).from_noise(noise))
    outputs = {
        "encode": (x, vae.encode(batch)),
        "decode": (z, vae.decode(z, condition=condition)),
        "reconstruct": (x, vae.predict(batch, verbose=0)),
        "generate": (noise, vae.decode(drawn, condition=condition)),
    }
    return {
        name: {"a": first, "output": output} | ({"b": condition} if vae.condition_dim else {})
        for name, (first, output) in outputs.items()
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Every model in every format, and what each endpoint should give."""
    root = tmp_path_factory.mktemp("exported")
    for case, vae in models().items():
        (root / case).mkdir()
        for name, arrays in expected(vae).items():
            np.savez(root / case / f"{name}.npz", **arrays)
        for format, path in PATHS.items():
            vae.export(root / case / path, format, verbose=False)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("format", READERS)
def test_the_runtime_computes_what_the_model_does(folder, format):
    code = READER.format(load=READERS[format])
    result = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr[-2000:]
    found = json.loads(result.stdout.splitlines()[-1])
    assert len(found) == 4 * len(NAMES)
    for case, (error, random, operations) in found.items():
        assert error < (5e-3 if case.startswith("half") else 1e-5), case  # half: in float32 there
        assert operations > 3
        assert not random, case


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "format"), [("jax", "tf_saved_model"), ("torch", "onnx")])
def test_other_backends(tmp_path, backend, format):
    pytest.importorskip(backend, reason=f"{backend} is not installed")
    code = f"""
import keras, numpy as np
from keras_vae import VAE, networks
vae = VAE(networks.dense_encoder((5,), (8,)), networks.dense_decoder(2, (5,), (8,)))
vae.export(r"{tmp_path / PATHS[format]}", "{format}", verbose=False)
for name in ("encode", "decode"):
    x = np.random.default_rng(0).uniform(size=(3, 5 if name == "encode" else 2)).astype("float32")
    output = getattr(vae, name)(x)
    np.savez(rf"{tmp_path}/{{name}}.npz", a=x, output=output)
"""
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=300)
    reader = READER.format(load=READERS[format]).replace("*/*.npz", "*.npz")
    command = [sys.executable, "-c", reader, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    found = json.loads(result.stdout.splitlines()[-1])
    assert len(found) == 2
    assert max(error for error, *_ in found.values()) < 1e-5


def test_export_leaves_the_model_and_its_precision_alone(tmp_path):
    with dtype_policy("mixed_float16"):
        vae = small_vae()
    x = binary(4, vae.x_shape)
    before = vae.encode(x)
    vae.export(tmp_path / "saved", component="encoder", verbose=False)
    np.testing.assert_array_equal(vae.encode(x), before)
    assert vae.encoder.layers[-1].compute_dtype == "float16"


@pytest.mark.slow
@pytest.mark.parametrize("quantize", ["dynamic", "int8"])
def test_quantised_encoder(tmp_path, quantize):
    from ai_edge_litert.interpreter import Interpreter

    vae, x = small_vae(), binary(64, (5, 3, 1))
    path = tmp_path / "encoder.tflite"
    data = {"representative_data": x} if quantize == "int8" else {}
    vae.export(path, "litert", False, "encoder", quantize, **data)
    runner = Interpreter(str(path)).get_signature_runner("encode")
    codes, exact = runner(x=x)["output_0"], vae.encode(x)
    assert np.abs(codes - exact).max() < 0.1 * exact.std()


@pytest.mark.slow
def test_a_uniform_prior_of_codes_is_exported_and_an_autoregressive_one_left_out(tmp_path):
    posterior = quantized.FiniteScalarQuantizer(2, (3, 2))
    make = {"posterior": posterior, "seed": 0}
    encoder = keras.Sequential([keras.Input((5,)), keras.layers.Dense(4)])
    decoder = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)])
    vae = VAE(encoder, decoder, **make)
    vae.export(tmp_path / "uniform", "onnx", verbose=False)
    assert (tmp_path / "uniform" / "generate.onnx").exists()
    vae = VAE(encoder, decoder, prior=quantized.AutoregressiveCodes(2, 6, 4), **make)
    with pytest.warns(UserWarning, match="`generate` is left out"):
        vae.export(tmp_path / "ordered", "onnx", verbose=False)
    names = {path.name for path in (tmp_path / "ordered").iterdir()}
    assert names == {"encode.onnx", "decode.onnx", "reconstruct.onnx"}


def test_an_export_is_replaced_and_another_folder_is_not(tmp_path):
    vae, target = small_vae(), tmp_path / "saved"
    for _ in range(2):
        vae.export(target, component="decoder", verbose=False)
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="`filepath` must be a new or empty folder"):
        vae.export(tmp_path, component="decoder", verbose=False)
    assert (tmp_path / "notes.txt").exists()


def test_a_failed_export_leaves_what_was_there(tmp_path, monkeypatch):
    vae, path = small_vae(), tmp_path / "decoder.onnx"
    path.write_bytes(b"old")
    monkeypatch.setattr(keras.Model, "export", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        vae.export(path, "onnx", component="decoder")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("path", "arguments", "message"),
    [
        ("m", {"format": "openvino"}, "`format` must be one of"),
        ("m", {"component": "prior"}, "`component` must be one of"),
        ("m", {"quantize": "int4"}, "`quantize` must be one of"),
        ("m", {"quantize": "int8"}, "`quantize` must go with"),
        ("m", {"format": "onnx", "component": "encoder"}, "`filepath` must end in '.onnx'"),
        ("m.onnx", {"format": "onnx"}, "`filepath` must end in ''"),
        ("m.h5", {"format": "litert"}, "`filepath` must end in '.tflite'"),
        ("m.tflite", {"format": "litert", "quantize": "int8"}, "`representative_data` must be"),
    ],
)
def test_bad_arguments_are_refused(tmp_path, path, arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        small_vae().export(tmp_path / path, **arguments)
    assert "Received: " in str(error.value)
    assert not list(tmp_path.iterdir())


def test_command_line(tmp_path, capsys):
    vae = small_vae()
    vae.fit(binary(4, vae.x_shape), verbose=0)
    vae.save(tmp_path / "vae.keras")
    path = tmp_path / "decoder.onnx"
    command = ["export", str(tmp_path / "vae.keras"), "--format", "onnx"]
    cli.main([*command, "--component", "decoder", "--output", str(path)])
    assert path.stat().st_size > 0
    assert "Exported decode" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="`filepath` must end"):
        cli.main([*command, "--output", str(path)])
