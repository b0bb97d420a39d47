"""Ladders on Fashion-MNIST: against a plain VAE of the same size, and the KL of every group.

    python benchmarks/hierarchy.py --seconds 360

Protocol: 60,000 grey images, Bernoulli likelihood, batches of 128, Adam at 1e-3, one seed. Every
model trains for the same CPU seconds of the process, to the end of the epoch in which they run out;
its log p(x) is importance-weighted, 200 draws for each of the first 1,000 test images. The plain
VAE has as many latents as the two groups together, and the width that brings it to the ladder's
number of parameters. The ladder of six groups has 32 channels; a group is dead below 0.1 nat.
"""

import argparse
import time

import keras

from keras_vae import VAE, networks
from keras_vae.hierarchical import HierarchicalVAE, TopDown, bottom_up

TWO = [(16,), (32,)]
SIX = [(2, 2, 4), (2, 2, 4), (4, 4, 2), (4, 4, 2), (7, 7, 1), (7, 7, 1)]


class Stopwatch(keras.callbacks.Callback):
    """Ends training once the process has used its CPU seconds."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def on_train_begin(self, logs=None):
        self.start = time.process_time()

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = time.process_time() - self.start >= self.seconds


def ladder(groups, width):
    shape = (28, 28, 1)
    return HierarchicalVAE(bottom_up(shape, groups, width), TopDown(groups, shape, width), seed=0)


def plain(parameters, latent_dim=48):
    """The dense VAE whose number of parameters is nearest."""

    def make(width):
        encoder = networks.dense_encoder((28, 28, 1), units=4 * (width,))
        decoder = networks.dense_decoder(latent_dim, (28, 28, 1), units=4 * (width,))
        return VAE(encoder, decoder, seed=0)

    width = min(range(200, 700, 4), key=lambda w: abs(_count(w, latent_dim) - parameters))
    return make(width)


def _count(width, latent_dim):
    return 2 * 784 * width + 6 * width * width + 3 * latent_dim * width


def run(name, vae, x, x_test, seconds):
    """One row of the table."""
    vae.compile(keras.optimizers.Adam(1e-3))
    watch = Stopwatch(seconds)
    history = vae.fit(x, epochs=1000, batch_size=128, verbose=2, callbacks=[watch]).history
    used = time.process_time() - watch.start
    logs = vae.evaluate(x_test, batch_size=500, verbose=0, return_dict=True)
    groups = {key: value for key, value in logs.items() if key[:3] == "kl_" and key != "kl_loss"}
    row = [name, f"{vae.count_params():,}", len(history["loss"]), f"{used:.0f}"]
    row += [
        f"{-logs['loss']:.2f}",
        f"{vae.log_likelihood(x_test[:1000], num_samples=200).mean():.2f}",
    ]
    row.append(", ".join(f"{value:.2f}" for value in groups.values()))
    print("|", " | ".join(map(str, row)), "|", flush=True)
    if groups:
        print("dead:", [key for key, value in groups.items() if value < 0.1] or "none", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=360)
    arguments = parser.parse_args()
    (x, _), (x_test, _) = keras.datasets.fashion_mnist.load_data()
    x, x_test = (a[..., None].astype("float32") / 255 for a in (x, x_test))
    print("| model | parameters | epochs | CPU s | test ELBO | log p(x) | KL of each group |")
    print("|", " | ".join(7 * ["---"]), "|", flush=True)
    keras.utils.set_random_seed(0)
    two = ladder(TWO, 256)
    run("two groups, dense", two, x, x_test, arguments.seconds)
    keras.utils.set_random_seed(0)
    run("plain, dense", plain(two.count_params()), x, x_test, arguments.seconds)
    keras.utils.set_random_seed(0)
    run("six groups, convolutions", ladder(SIX, 32), x, x_test, arguments.seconds)


if __name__ == "__main__":
    main()
