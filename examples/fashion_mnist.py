"""Trains a VAE on Fashion-MNIST, draws what it has learnt, saves it and uses it.

    python examples/fashion_mnist.py

The small convolutional networks train for ten epochs. The training loss ends near 262 nats.
"""

import pathlib

import keras

import keras_vae
from keras_vae import datasets, plotting

(x_train, _), (x_test, y_test) = keras.datasets.fashion_mnist.load_data()
x_train, x_test = (x[..., None].astype("float32") / 255 for x in (x_train, x_test))

vae = keras_vae.recipes.tutorial_vae(latent_dim=2)
vae.compile(optimizer=keras.optimizers.Adam(1e-3))
history = vae.fit(x_train, batch_size=32, epochs=10, validation_data=x_test)

output = pathlib.Path("fashion_mnist")
output.mkdir(exist_ok=True)
plotting.loss_curves(history.history, output / "loss.png")
plotting.reconstructions(x_test[:10], vae.predict(x_test[:10]), output / "reconstructions.png")
plotting.latent_map(vae.decode, output / "latent_map.png")
names = datasets.FASHION_MNIST_CLASSES
plotting.latent_scatter(vae.encode(x_test), y_test, output / "latent_scatter.png", names)

vae.save(output / "vae.keras")
loaded = keras_vae.load_model(output / "vae.keras")
print("The code of the first test image:", loaded.encode(x_test[0])[0])
print("Its reconstruction:", loaded.predict(x_test[0]).shape)
