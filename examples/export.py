"""Exports a model for TF Serving, ONNX Runtime and LiteRT, and compares what each file computes.

pip install "keras_vae[export]"
python examples/export.py
"""

import pathlib

import keras
import numpy as np
import onnxruntime
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

import keras_vae

(x_train, _), (x_test, _) = keras.datasets.fashion_mnist.load_data()
x_train, x_test = (x[..., None].astype("float32") / 255 for x in (x_train, x_test))

keras.utils.set_random_seed(0)
vae = keras_vae.recipes.tutorial_vae((28, 28, 1), latent_dim=2)
vae.compile(optimizer="adam")
vae.fit(x_train, batch_size=128, epochs=1)

output = pathlib.Path("exported")
output.mkdir(exist_ok=True)
vae.export(output / "saved_model")
vae.export(output / "onnx", format="onnx")
vae.export(output / "vae.tflite", format="litert")
encoder = {"format": "litert", "component": "encoder"}
vae.export(output / "dynamic.tflite", quantize="dynamic", **encoder)
sample = x_train[:300]
vae.export(output / "int8.tflite", quantize="int8", representative_data=sample, **encoder)

x = x_test[:1000]
codes = vae.encode(x)


def litert(name):
    """The codes that a LiteRT file gives."""
    runner = Interpreter(str(output / name)).get_signature_runner("encode")
    return runner(x=x)["output_0"]


served = tf.saved_model.load(str(output / "saved_model"))
session = onnxruntime.InferenceSession(str(output / "onnx" / "encode.onnx"))
found = {
    "saved_model": served.encode(x).numpy(),
    "onnx/encode.onnx": session.run(None, {session.get_inputs()[0].name: x})[0],
    "vae.tflite": litert("vae.tflite"),
    "dynamic.tflite": litert("dynamic.tflite"),
    "int8.tflite": litert("int8.tflite"),
}
print(f"Error of the codes, whose standard deviation is {codes.std():.3f}:")
for name, values in found.items():
    error = np.abs(values - codes)
    files = [p for p in [output / name, *(output / name).rglob("*")] if p.is_file()]
    size = sum(p.stat().st_size for p in files) / 1024
    print(f"{name:18} mean {error.mean():.1e}, largest {error.max():.1e}, {size:6.0f} kB")
