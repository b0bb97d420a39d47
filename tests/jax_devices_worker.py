"""Trains on 1, 2 and 4 virtual JAX devices: `jax_devices_worker.py OUTPUT.npz`."""

import os
import sys

os.environ["KERAS_BACKEND"] = "jax"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
sys.modules["tensorflow"] = None  # whoever imports it fails

import jax  # noqa: E402
import keras  # noqa: E402
import numpy as np  # noqa: E402

import keras_vae  # noqa: E402
from keras_vae import networks, objectives, schedules  # noqa: E402

RNG = np.random.default_rng(0)
X, W = RNG.random((37, 6), "float32"), RNG.random(37).astype("float32")  # batches of 16, then 5


def distribution(name):
    """None, or the `keras.distribution` of a name such as "data 4"."""
    kind, count = name.split()
    if kind == "none":
        return None
    if kind == "data":
        return keras.distribution.DataParallel(devices=jax.devices()[: int(count)])
    mesh = keras.distribution.DeviceMesh((2, 2), ["batch", "model"], jax.devices())
    layout = keras.distribution.LayoutMap(mesh)
    layout["(en|de)coder.*dense.*kernel"] = (None, "model")
    return keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch")


def train():
    keras.utils.set_random_seed(0)
    vae = keras_vae.VAE(
        networks.dense_encoder((6,), units=(8,)),
        networks.dense_decoder(2, (6,), units=(8,)),
        objective=objectives.ELBO(schedules.Linear(9)),
        seed=3,
    )
    vae.compile(keras.optimizers.Adam(0.01, clipnorm=0.1))
    options = {"validation_data": (X, X, W), "verbose": 0, "shuffle": False}
    history = vae.fit(X, sample_weight=W, batch_size=16, epochs=3, **options).history
    weights = np.concatenate([np.ravel(w) for w in vae.get_weights()])
    return {
        "logs": np.array(list(history.values())),
        "weights": weights,
        "codes": vae.encode(X),
        "elbo": vae.elbo(X, batch_size=16),
        "images": vae.generate(3, seed=0),
    }


def refusal():
    vae = keras_vae.recipes.vae((6,))
    vae.compile("adam")
    try:
        vae.fit(X, batch_size=15, verbose=0)
    except ValueError as error:
        return str(error)


def main(output):
    results = {}
    for name in ("none 1", "data 2", "data 4", "model 4"):
        keras.distribution.set_distribution(distribution(name))
        for key, value in train().items():
            results[f"{name}|{key}"] = value
    results["refusal"] = refusal()
    np.savez(output, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
