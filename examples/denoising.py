"""Removes noise: the model sees noisy images and learns to reconstruct the clean ones.

python examples/denoising.py
"""

import pathlib

import keras
import numpy as np

import keras_vae
from keras_vae import plotting

(x_train, _), (x_test, _) = keras.datasets.fashion_mnist.load_data()
x_train, x_test = (x[..., None].astype("float32") / 255 for x in (x_train, x_test))
rng = np.random.default_rng(0)


def noisy(x):
    """x with normal noise, still in [0, 1]."""
    return np.clip(x + rng.normal(0, 0.3, x.shape), 0, 1).astype("float32")


vae = keras_vae.recipes.vae((28, 28, 1), latent_dim=32)
vae.compile(optimizer="adam", metrics=["mae"])  # the error against the clean image
vae.fit(noisy(x_train), x_train, batch_size=128, epochs=5, validation_data=(noisy(x_test), x_test))

output = pathlib.Path("denoising")
output.mkdir(exist_ok=True)
damaged = noisy(x_test[:10])
plotting.reconstructions(
    damaged,
    vae.predict(damaged),
    output / "denoised.png",
    title="Noisy images, what the model makes of them, and the clean ones",
    targets=x_test[:10],
)
print("Mean absolute error of the noisy images:", np.abs(damaged - x_test[:10]).mean())
print("and of the denoised:", np.abs(vae.predict(damaged) - x_test[:10]).mean())
