"""Trains on several machines. Without TF_CONFIG it starts two workers on this machine.

    python examples/multi_worker.py

On a cluster, start it on every machine with the same list of hosts and an index of its own:

    TF_CONFIG='{"cluster": {"worker": ["host0:2222", "host1:2222"]},
                "task": {"type": "worker", "index": 0}}' python examples/multi_worker.py

Worker 0 is the chief. Only the chief writes files, to a folder that all workers can read. After a
crash, start all workers again: they continue after the last whole epoch.
"""

import json
import os
import socket
import subprocess
import sys

import keras
import tensorflow as tf

import keras_vae
from keras_vae import datasets


def train():
    """Runs on each worker; the strategy must be made before anything else of TensorFlow."""
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    (x_train, _), (x_test, _) = datasets.fashion_mnist()
    with strategy.scope():
        vae = keras_vae.recipes.vae((28, 28, 1), latent_dim=16, seed=0)
        vae.compile(optimizer=keras.optimizers.Adam(1e-3))
    vae.fit(
        datasets.Batches(x_train, batch_size=256, shuffle=True),
        epochs=3,
        validation_data=datasets.Batches(x_test, batch_size=1000),
        shuffle=False,
        verbose=2 if vae.is_chief else 0,
        callbacks=[
            keras.callbacks.BackupAndRestore("multi_worker_backup"),
            keras.callbacks.ModelCheckpoint("multi_worker.keras"),
        ],
    )


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def launch(workers=2):
    """Starts the workers on this machine, and waits for them."""
    hosts = [f"127.0.0.1:{free_port()}" for _ in range(workers)]
    processes = []
    for index in range(workers):
        config = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        environment = os.environ | {"TF_CONFIG": json.dumps(config)}
        processes.append(subprocess.Popen([sys.executable, __file__], env=environment))
    sys.exit(max(process.wait() for process in processes))


if "TF_CONFIG" in os.environ:
    train()
else:
    launch()
