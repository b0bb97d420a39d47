"""What a strategy costs: one replica under MirroredStrategy against none, in turn.

    python benchmarks/replicas.py

Protocol: `recipes.tutorial_vae` on 12,800 Fashion-MNIST images, batch 128, Adam; an epoch to warm
up, then epochs in pairs, first without and then with the strategy, in one process. Prints the
median milliseconds of a step of each, wall and CPU, and the median of the ratios of the pairs.
"""

import argparse
import contextlib
import time

import keras
import numpy as np
import tensorflow as tf

import keras_vae

BATCH = 128


def make(scope):
    with scope:
        vae = keras_vae.recipes.tutorial_vae(seed=0)
        vae.compile(optimizer="adam")
    return vae


def epoch(vae, data):
    """(wall, CPU) milliseconds a step."""
    wall, cpu = time.perf_counter(), time.process_time()
    vae.fit(data, verbose=0)
    steps = len(data)
    return np.array([time.perf_counter() - wall, time.process_time() - cpu]) * 1000 / steps


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--images", type=int, default=12_800)
    arguments = parser.parse_args()
    (x, _), _ = keras.datasets.fashion_mnist.load_data()
    x = x[: arguments.images, ..., None].astype("float32") / 255
    data = tf.data.Dataset.from_tensor_slices(x).batch(BATCH)
    models = [
        make(contextlib.nullcontext()),
        make(tf.distribute.MirroredStrategy(["CPU:0"]).scope()),
    ]
    for vae in models:
        epoch(vae, data)
    times = np.array([[epoch(vae, data) for vae in models] for _ in range(arguments.pairs)])
    for name, (wall, cpu) in zip(("none", "one replica"), np.median(times, 0), strict=True):
        print(f"{name:12} {wall:8.2f} ms a step, {cpu:8.2f} ms of CPU")
    ratios = times[:, 1] / times[:, 0]
    print(
        f"ratio, median of pairs: wall {np.median(ratios[:, 0]):.3f}, "
        f"CPU {np.median(ratios[:, 1]):.3f}"
    )


if __name__ == "__main__":
    main()
