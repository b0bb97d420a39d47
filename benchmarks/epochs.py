"""How long `fit` waits between two epochs, and what share of its time that is.

    python benchmarks/epochs.py

Protocol: `recipes.tutorial_vae`, 2 latents, float32, Adam at 1e-3, batches of 128 of Fashion-MNIST,
`--epochs` epochs of each kind of data, in wall time. A wait is from the end of an epoch's last
batch to the beginning of the next epoch's first. Printed are the median of the waits, the least
and the largest, and their share of the time from the first batch on.
"""

import argparse
import statistics
import time
from unittest import mock

import keras
import tensorflow as tf

import keras_vae
from keras_vae import keras_compat

BATCH = 128
AS_KERAS = mock.patch.object(keras_compat, "turn_off_autotuner", return_value=None)


class Waits(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seconds, self.first, self.last = [], None, None

    def on_train_batch_begin(self, batch, logs=None):
        now = time.perf_counter()
        if self.first is None:
            self.first = now
        elif batch == 0:
            self.seconds.append(now - self.last)

    def on_train_batch_end(self, batch, logs=None):
        self.last = time.perf_counter()

    def share(self):
        return sum(self.seconds) / (self.last - self.first)


def pipeline(x, autotuner):
    """A user's own."""
    options = tf.data.Options()
    options.autotune.enabled = autotuner
    dataset = tf.data.Dataset.from_tensor_slices(x).shuffle(len(x)).batch(BATCH)
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(options)


def waits(data, epochs):
    vae = keras_vae.recipes.tutorial_vae(seed=0)
    vae.compile(keras.optimizers.Adam(1e-3))
    found = Waits()
    vae.fit(
        data,
        batch_size=None if isinstance(data, tf.data.Dataset) else BATCH,
        epochs=epochs,
        callbacks=[found],
        verbose=0,
    )
    return found


def show(title, found):
    seconds = found.seconds
    spread = f"{statistics.median(seconds):.3f} s ({min(seconds):.3f} to {max(seconds):.3f})"
    print(f"{title}: {spread}, {100 * found.share():.1f} % of the time", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 20_000, 40_000])
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    (images, _), _ = keras.datasets.fashion_mnist.load_data()
    for count in options.images:
        x = images[:count, ..., None].astype("float32") / 255
        with AS_KERAS:
            show(f"{count} images, array, as Keras", waits(x, options.epochs))
        show(f"{count} images, array", waits(x, options.epochs))
        show(f"{count} images, own tf.data", waits(pipeline(x, True), options.epochs))
        show(
            f"{count} images, own tf.data without autotuner",
            waits(pipeline(x, False), options.epochs),
        )


if __name__ == "__main__":
    main()
