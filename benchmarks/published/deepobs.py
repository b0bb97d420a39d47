"""DeepOBS's convolutional VAE on Fashion-MNIST, re-run.

    python benchmarks/published/deepobs.py --epochs 10 --seeds 1

Protocol (Schneider et al., DeepOBS, arXiv:1903.05499, test problem `fmnist_vae`, and the published
runs of its Adam baseline, rate 1.585e-4): 60,000 images in [0, 1], batches of 64, 8 latents, 4 x 4
convolutions of 64 channels with dropout of 0.2 after each, leaky ReLU of slope 0.3; the loss is the
summed squared error plus the KL. That is the negative ELBO of a normal likelihood with variance
1/2, less its constant. Test loss: the mean over the 10,000 test images, one draw each.

Published, seed 43: 29.68 after the first epoch, 27.60 after the second, 24.63 after the tenth.

Stopped, it goes on where it was when started again.
"""

import argparse
import math
import pathlib

import keras
import numpy as np
from keras import layers

import keras_vae
from keras_vae import callbacks, datasets, likelihoods, posteriors

RATE, BATCH, LATENTS, PIXELS = 1.5848931925e-4, 64, 8, 28 * 28
CONSTANT = PIXELS * 0.5 * math.log(2 * math.pi * 0.5)  # of the normal density
PUBLISHED = {1: 29.68, 2: 27.60, 10: 24.63}


def leaky():
    return layers.LeakyReLU(0.3)


def encoder():
    x = inputs = keras.Input((28, 28, 1))
    for strides in (2, 2, 1):
        x = layers.Conv2D(64, 4, strides, padding="same", activation=leaky())(x)
        x = layers.Dropout(0.2)(x)
    return keras.Model(inputs, layers.Flatten()(x))


def decoder():
    x = inputs = keras.Input((LATENTS,))
    for units in (24, 49):
        x = layers.Dense(units, activation=leaky())(x)
    x = layers.Reshape((7, 7, 1))(x)
    for strides in (2, 1):
        x = layers.Conv2DTranspose(64, 4, strides, padding="same", activation="relu")(x)
        x = layers.Dropout(0.2)(x)
    x = layers.Conv2DTranspose(64, 4, padding="same", activation="relu")(x)
    x = layers.Dense(PIXELS, "sigmoid")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Reshape((28, 28, 1))(x))


def run(seed, epochs, x, x_test, folder):
    """Test losses after each epoch."""
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(seed)
    likelihood = likelihoods.Normal(math.sqrt(0.5))
    parts = (posteriors.DiagonalNormal(LATENTS), None, likelihood)
    vae = keras_vae.VAE(encoder(), decoder(), *parts, seed=seed)
    vae.compile(keras.optimizers.Adam(RATE, epsilon=1e-8))
    vae.fit(
        datasets.Batches(x, BATCH, shuffle=True, seed=seed),
        epochs=epochs,
        validation_data=x_test,
        validation_batch_size=500,
        shuffle=False,
        verbose=2,
        callbacks=[
            callbacks.HistoryFile(folder / "history.csv"),
            callbacks.Backup(folder / "backup"),
        ],
    )
    return np.array(callbacks.read_history(folder / "history.csv")["val_loss"]) - CONSTANT


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--output", default="runs/deepobs", help="folder for what it leaves")
    arguments = parser.parse_args()
    (x, _), (x_test, _) = keras.datasets.fashion_mnist.load_data()
    data = (x[..., None], x_test[..., None].astype("float32") / 255)
    folder = pathlib.Path(arguments.output)
    seeds = range(arguments.seeds)
    runs = np.array([run(s, arguments.epochs, *data, folder / str(s)) for s in seeds])
    for epoch in sorted(PUBLISHED.keys() & set(range(1, arguments.epochs + 1))):
        losses, published = runs[:, epoch - 1], PUBLISHED[epoch]
        print(
            f"after {epoch}: {losses.mean():.2f} ± {losses.std():.2f}, published {published}: "
            f"{100 * (losses.mean() / published - 1):+.1f} %"
        )


if __name__ == "__main__":
    main()
