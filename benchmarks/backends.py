"""Which backend trains which networks faster, on this machine.

    python benchmarks/backends.py

Protocol: `recipes.vae` (dense) and `recipes.tutorial_vae` (convolutions), 2 latents, Adam at 1e-3,
batches of 128 images of Fashion-MNIST. Each backend has a process of its own; the processes run in
turn, `--rounds` times. A process trains one epoch that is not counted, because it compiles, and
then one that is. Printed are the medians of the wall and CPU milliseconds of a step, with the least
and the largest.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

BACKENDS = ("tensorflow", "jax", "torch")
IMAGES = {"vae": 12_800, "tutorial_vae": 2_560}
BATCH = 128


def train(name):
    """Prints the wall and the CPU milliseconds of a step on the backend of this process."""
    import keras

    from keras_vae import recipes

    keras.utils.set_random_seed(0)
    (x, _), _ = keras.datasets.fashion_mnist.load_data()
    x = x[: IMAGES[name], ..., None].astype("float32") / 255
    vae = getattr(recipes, name)((28, 28, 1), seed=0)
    vae.compile(keras.optimizers.Adam(1e-3))
    vae.fit(x, batch_size=BATCH, verbose=0)
    wall, cpu = time.perf_counter(), time.process_time()
    vae.fit(x, batch_size=BATCH, verbose=0)
    took = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps([1000 * seconds * BATCH / len(x) for seconds in took]))


def milliseconds(name, backend):
    """(wall, CPU) of a step, from a process of its own."""
    command = [sys.executable, __file__, "--train", name]
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def spread(values):
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--train", choices=IMAGES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        train(arguments.train)
        return
    print("| networks | backend | wall ms a step | CPU ms a step |\n| --- | --- | --- | --- |")
    for name in IMAGES:
        found = [[milliseconds(name, b) for b in BACKENDS] for _ in range(arguments.rounds)]
        for backend, times in zip(BACKENDS, zip(*found, strict=True), strict=True):
            wall, cpu = (spread(values) for values in zip(*times, strict=True))
            print(f"| `recipes.{name}` | {backend} | {wall} | {cpu} |", flush=True)


if __name__ == "__main__":
    main()
