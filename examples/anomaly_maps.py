"""Finds what does not belong in a photograph, pixel by pixel.

    python examples/anomaly_maps.py path/to/photos
    python examples/anomaly_maps.py

A corner of each test image is replaced by the middle of another one. Without a folder the images
are drawn scenes.
"""

import argparse
import pathlib

import keras
import numpy as np

import keras_vae
from keras_vae import datasets, likelihoods, plotting

parser = argparse.ArgumentParser()
parser.add_argument("folder", nargs="?", default="colour_shapes")
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--fast", action="store_true", help="only see that it works")
arguments = parser.parse_args()

splits = datasets.load(arguments.folder)
count = 256 if arguments.fast else len(splits.train)
train = datasets.Batches(splits.train[:count], batch_size=64, shuffle=True)
shape = splits.train.shape[1:]

vae = keras_vae.recipes.vae(shape, latent_dim=32, likelihood=likelihoods.Normal("optimal"))
vae.compile(keras.optimizers.Adam(1e-3, beta_2=0.99))
vae.fit(train, epochs=1 if arguments.fast else arguments.epochs, shuffle=False)

images = datasets.Batches(splits.test, batch_size=len(splits.test))[0][::7][:10]
size = shape[0] // 4
place, centre = slice(0, size), slice(2 * size, 3 * size)
changed = images.copy()
changed[:, place, place] = images[::-1, centre, centre]

scores = vae.explain(changed)
is_patch = np.zeros(changed.shape[:3], bool)
is_patch[:, place, place] = True
nats = scores.sum(axis=-1)
print(f"nats of a pixel in the patches: {nats[is_patch].mean():.1f}")
print(f"nats of a pixel elsewhere:      {nats[~is_patch].mean():.1f}")
pathlib.Path("anomaly_maps").mkdir(exist_ok=True)
plotting.anomaly_maps(changed, scores, "anomaly_maps/maps.png")
print("Look at anomaly_maps/maps.png")
