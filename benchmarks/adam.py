"""Keras' Adam in one operation a weight, as `fit` runs it on TensorFlow, against its own twenty.

    python benchmarks/adam.py

Protocol: 2 latents, Adam at 1e-3, Fashion-MNIST; two equal models in one process train in turn over
the same images, `--rounds` epochs each after a first one. Printed is the median over the rounds of
the CPU time with Keras' own operations over that with one, and the least and the largest; above 1
one operation is faster. The loss after the last epoch is that of each.
"""

import argparse
import statistics
import time
from unittest import mock

import keras

import keras_vae
from keras_vae import optimizers

RUNS = [("seed_vae", 32, 3_200), ("vae", 32, 6_400), ("vae", 128, 12_800)]


def model(recipe, x, batch, one_kernel):
    """A model whose training step is traced."""
    keras.utils.set_random_seed(0)
    vae = getattr(keras_vae.recipes, recipe)(x.shape[1:], seed=0)
    vae.compile(keras.optimizers.Adam(1e-3))
    change = optimizers.with_one_kernel if one_kernel else lambda optimizer: None
    with mock.patch.object(optimizers, "with_one_kernel", change):
        vae.fit(x, batch_size=batch, verbose=0)
    return vae


def epoch(vae, x, batch):
    """(CPU seconds, loss)."""
    start = time.process_time()
    loss = vae.fit(x, batch_size=batch, verbose=0).history["loss"][0]
    return time.process_time() - start, loss


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    (images, _), _ = keras.datasets.fashion_mnist.load_data()
    for recipe, batch, count in RUNS:
        x = images[:count, ..., None].astype("float32") / 255
        pair = [model(recipe, x, batch, one_kernel) for one_kernel in (False, True)]
        rounds = [[epoch(vae, x, batch) for vae in pair] for _ in range(arguments.rounds)]
        ratios = [theirs[0] / ours[0] for theirs, ours in rounds]
        print(
            f"{recipe}, batch {batch}: {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f}); "
            "losses {:.3f}, {:.3f}".format(*(loss for _, loss in rounds[-1])),
            flush=True,
        )


if __name__ == "__main__":
    main()
