"""The memory that training `recipes.vae` takes, by the size of the images.

    python benchmarks/images/memory.py
    python benchmarks/images/memory.py --sizes 512 --batch-size 8

Protocol: a process of its own for each size fits the model to two batches of noise, for two epochs.
The peak is that of the process's resident memory, less what it has after it has imported
keras_vae and TensorFlow.
"""

import argparse
import resource
import subprocess
import sys
import time

import numpy as np


def peak():
    """Returns the peak of this process's resident memory, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def measure(shape, batch_size):
    import keras

    import keras_vae

    likelihood = keras_vae.likelihoods.Normal("optimal")
    vae = keras_vae.recipes.vae(shape, latent_dim=32, likelihood=likelihood)
    vae.compile(keras.optimizers.Adam(1e-3))
    x = np.random.default_rng(0).uniform(size=(2 * batch_size, *shape)).astype("float32")
    before, start = peak(), time.process_time()
    vae.fit(x, batch_size=batch_size, epochs=2, verbose=0)
    seconds = time.process_time() - start
    print(
        f"| {shape} | {batch_size} | {vae.count_params():,} | {peak() - before:.2f} | {peak():.2f}"
    )
    print(f"{seconds:.0f} CPU seconds", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=[64, 128, 256, 512])
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--volume", action="store_true", help="cubes of one channel, not squares")
    parser.add_argument("--worker", type=int, nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        measure(tuple(arguments.worker), arguments.batch_size)
        return
    print(
        "| shape | batch | weights | GB for training | GB of the process |\n|---|---|---|---|---|"
    )
    for size in arguments.sizes:
        shape = [size] * 3 + [1] if arguments.volume else [size, size, 3]
        options = ["--batch-size", arguments.batch_size, "--worker", *shape]
        subprocess.run([sys.executable, __file__, *map(str, options)], check=True)


if __name__ == "__main__":
    main()
