"""`recipes.tutorial_vae` through `fit`, on the backend of KERAS_BACKEND."""

import keras

import keras_vae


def device():
    return str(keras.Variable(0.0).value.device)


def prepare(x, batch):
    vae = keras_vae.recipes.tutorial_vae(seed=0)
    vae.compile(keras.optimizers.Adam(1e-3))
    return lambda: vae.fit(x, batch_size=batch, verbose=0)
