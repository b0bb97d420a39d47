"""The same seed on the same machine gives the same bits."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae import datasets, recipes

pytestmark = pytest.mark.tensorflow

X = np.random.default_rng(0).random((96, 6), "float32")
DATA = {
    "arrays": lambda: {"x": X, "batch_size": 16},
    "Batches": lambda: {"x": datasets.Batches(X, 16, shuffle=True), "shuffle": False},
    "tf.data": lambda: {
        "x": tf.data.Dataset.from_tensor_slices(X)
        .shuffle(96, seed=1)
        .batch(16)
        .map(lambda x: x * 0.9, num_parallel_calls=2)
        .prefetch(2)
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DATA)
def test_fitting_twice_gives_the_same_bits(name):
    runs = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        vae = recipes.vae((6,), 2)
        vae.compile("adam")
        history = vae.fit(**DATA[name](), epochs=2, verbose=0).history
        runs.append([*vae.get_weights(), history["loss"], vae.generate(4, seed=0)])
    for a, b in zip(*runs, strict=True):
        np.testing.assert_array_equal(a, b)


TWO_REPLICAS = """
import hashlib, keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from keras_vae import datasets, recipes
keras.utils.set_random_seed(3)
x = np.random.default_rng(0).random((90, 6), "float32")
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    vae = recipes.vae((6,), 2)
    vae.compile("adam")
vae.fit(datasets.Batches(x, 16, shuffle=True), epochs=2, shuffle=False, verbose=0)
print(hashlib.sha256(b"".join(w.tobytes() for w in vae.get_weights())).hexdigest())
"""


@pytest.mark.slow
def test_two_replicas_give_the_same_bits_in_two_processes():
    command = [sys.executable, "-c", TWO_REPLICAS]
    options = {"capture_output": True, "text": True, "timeout": 200, "check": True}
    runs = [subprocess.run(command, **options) for _ in range(2)]
    first, second = (run.stdout.strip().splitlines()[-1] for run in runs)
    assert len(first) == 64
    assert first == second
