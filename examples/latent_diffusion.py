"""Trains a KL autoencoder on images, a small flow-matching model on its latents, and samples.

    python examples/latent_diffusion.py path/to/images
    python examples/latent_diffusion.py --fast

Without a folder it draws some images first; `--fast` trains for a few steps, to see that it runs.
"""

import argparse
import pathlib

import keras
import numpy as np
from keras import layers, ops

import keras_vae
from keras_vae import datasets, plotting

STEPS = 50
"""Steps from noise to a sample."""


def images_of(folder, count):
    """The images of a folder, 64 x 64, or drawn shapes of 32 x 32, in [0, 1]."""
    if folder is None:
        return datasets.shapes(count, image_size=32)[0].astype("float32") / 255
    return np.concatenate(list(datasets.Batches(datasets.ImageFolder(folder, image_size=(64, 64)))))


class Noised(keras.utils.PyDataset):
    """Latents on the straight way to noise, at random times, with the direction of the way."""

    def __init__(self, latents, steps, batch_size=64):
        super().__init__()
        self.latents, self.steps, self.batch_size = latents, steps, batch_size
        self.random = np.random.default_rng(0)

    def __len__(self):
        return self.steps

    def __getitem__(self, index):
        z = self.latents[self.random.integers(len(self.latents), size=self.batch_size)]
        noise = self.random.normal(size=z.shape).astype("float32")
        time = self.random.random((self.batch_size, 1), "float32")
        share = time[:, :, None, None]
        return ((1 - share) * z + share * noise, time), noise - z


@keras.saving.register_keras_serializable(package="example")
class Waves(layers.Layer):
    """Sines and cosines of the time, (B, 1), as (B, 2 count)."""

    def __init__(self, count=16, **kwargs):
        super().__init__(**kwargs)
        self.count = count

    def call(self, time):
        angles = time * ops.exp(ops.linspace(0.0, 6.0, self.count))
        return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)

    def get_config(self):
        return {**super().get_config(), "count": self.count}


def block(x, time, width):
    """Two convolutions that know the time, and a way around them."""
    hidden = layers.Activation("silu")(layers.GroupNormalization(8)(x))
    hidden = layers.Conv2D(width, 3, padding="same")(hidden)
    hidden = layers.Add()([hidden, layers.Reshape((1, 1, width))(layers.Dense(width)(time))])
    hidden = layers.Activation("silu")(layers.GroupNormalization(8)(hidden))
    hidden = layers.Conv2D(width, 3, padding="same")(hidden)
    return layers.Add()([x if x.shape[-1] == width else layers.Conv2D(width, 1)(x), hidden])


def unet(shape, width):
    """From noised latents and the time to the direction of the way."""
    inputs, time = keras.Input(shape), keras.Input((1,))
    waves = layers.Dense(4 * width, activation="silu")(Waves()(time))
    fine = block(layers.Conv2D(width, 3, padding="same")(inputs), waves, width)
    coarse = layers.Conv2D(2 * width, 3, strides=2, padding="same")(fine)
    coarse = block(block(coarse, waves, 2 * width), waves, 2 * width)
    coarse = layers.Conv2DTranspose(width, 4, strides=2, padding="same")(coarse)
    x = block(layers.Concatenate()([fine, coarse]), waves, width)
    return keras.Model((inputs, time), layers.Conv2D(shape[-1], 3, padding="same")(x))


def samples(network, shape, count):
    """Latents at the end of the way back, from noise, in equal steps."""
    z = np.random.default_rng(1).normal(size=(count, *shape)).astype("float32")
    for step in range(STEPS, 0, -1):
        time = np.full((count, 1), step / STEPS, "float32")
        z = z - network.predict_on_batch((z, time)) / STEPS
    return z


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("folder", nargs="?", type=pathlib.Path)
parser.add_argument("--fast", action="store_true")
parser.add_argument("--epochs", type=int, default=20)
arguments = parser.parse_args()
epochs, width = (1, 16) if arguments.fast else (arguments.epochs, 64)
x = images_of(arguments.folder, 200 if arguments.fast else 4000)

keras.utils.set_random_seed(0)
filters = (8, 16) if arguments.fast else (32, 64)
vae = keras_vae.recipes.kl_autoencoder(x.shape[1:], filters=filters, discriminator=True)
vae.compile(keras.optimizers.Adam(1e-3))
vae.fit(x, epochs=epochs, batch_size=32)
latents = vae.fit_latents(x).encode_latents(x)
print(f"latents {latents.shape[1:]}: mean {latents.mean():.2f}, deviation {latents.std():.2f}")

network = unet(latents.shape[1:], width)
network.compile(keras.optimizers.Adam(1e-3, use_ema=True, ema_momentum=0.995), "mse")
network.fit(Noised(latents, steps=5 if arguments.fast else 200), epochs=epochs)
images = vae.decode_latents(samples(network, latents.shape[1:], 36))
plotting.image_grid(np.clip(images, 0.0, 1.0), "samples.png")
print("Look at samples.png")
