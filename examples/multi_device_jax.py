"""Trains on all devices that JAX sees; on a machine with one CPU, on two virtual devices.

    python examples/multi_device_jax.py

The batch is the global batch. `keras.distribution` divides it among the devices, and N devices
train like one. TensorFlow is not needed.
"""

import os

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")  # of CPUs only

import keras

import keras_vae

devices = keras.distribution.DataParallel()  # all there are; before the model is made
keras.distribution.set_distribution(devices)
count = devices.device_mesh.shape[0]
print("Devices:", count)

(x_train, _), (x_test, _) = keras.datasets.fashion_mnist.load_data()
x_train, x_test = (x[..., None].astype("float32") / 255 for x in (x_train, x_test))

vae = keras_vae.recipes.vae((28, 28, 1), latent_dim=16)
vae.compile(optimizer=keras.optimizers.Adam(1e-3))
vae.fit(x_train, batch_size=128 * count, epochs=5, validation_data=x_test)
vae.save("multi_device_jax.keras")
