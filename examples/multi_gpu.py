"""Trains on all GPUs of one machine; on a machine without a GPU, on its CPU.

    python examples/multi_gpu.py

The batch is the global batch. It is divided among the devices, and N devices train like one.
"""

import keras
import tensorflow as tf

import keras_vae
from keras_vae import datasets

strategy = tf.distribute.MirroredStrategy()
print("Devices in step:", strategy.num_replicas_in_sync)

(x_train, _), (x_test, _) = datasets.fashion_mnist()

with strategy.scope():  # model and optimizer are made here; all else is as on one device
    vae = keras_vae.recipes.vae((28, 28, 1), latent_dim=16)
    vae.compile(optimizer=keras.optimizers.Adam(1e-3))

vae.fit(
    datasets.Batches(x_train, batch_size=128 * strategy.num_replicas_in_sync, shuffle=True),
    epochs=5,
    validation_data=datasets.Batches(x_test, batch_size=1000),
    shuffle=False,
)
vae.save("multi_gpu.keras")
