"""Trains a VAE on your own images: a folder as it is, with images of any size and kind.

    python examples/own_images.py path/to/images

Without a folder it draws some images first.
"""

import pathlib
import sys

import keras

import keras_vae
from keras_vae import callbacks, datasets


def drawn_folder(count=500):
    """A folder of drawn shapes as PNG files."""
    folder = pathlib.Path("drawn_shapes")
    folder.mkdir(exist_ok=True)
    images, _ = datasets.colour_shapes(count, image_size=32)
    for i, image in enumerate(images):
        keras.utils.save_img(folder / f"{i:04}.png", image, scale=False)
    return folder


folder = sys.argv[1] if len(sys.argv) > 1 else drawn_folder()
images = datasets.ImageFolder(folder, image_size=32)
print(images)
train, test = images.split()

flips = keras.layers.RandomFlip("horizontal")
vae = keras_vae.recipes.vae(train.shape[1:], latent_dim=16)
vae.compile(optimizer=keras.optimizers.Adam(1e-3))
vae.fit(
    datasets.Batches(train, batch_size=32, shuffle=True, augment=flips),
    epochs=20,
    validation_data=test,
    shuffle=False,
    callbacks=[callbacks.Pictures(datasets.Batches(test, batch_size=10)[0], "own_images")],
)
vae.save("own_images/vae.keras")
print("Look at own_images/reconstructions.png and own_images/samples.png")
