"""Generates each class of Fashion-MNIST on demand, with a VAE that is given the class."""

import keras

import keras_vae
from keras_vae import plotting

(x, labels), (x_test, labels_test) = keras.datasets.fashion_mnist.load_data()
x, x_test = (a[..., None].astype("float32") / 255 for a in (x, x_test))

vae = keras_vae.recipes.conditional_vae((28, 28, 1), condition_dim=10, latent_dim=8)
vae.compile("adam")
vae.fit(
    {"x": x, "condition": labels},
    epochs=5,
    batch_size=128,
    validation_data={"x": x_test, "condition": labels_test},
)
classes = [i // 10 for i in range(100)]  # ten of each, row by row
plotting.image_grid(vae.generate(100, condition=classes, temperature=0.9), path="classes.png")
