"""Uses networks of your own, and changes beta while the model trains.

    python examples/own_networks.py

The encoder has two outputs, the mean and the log-variance of q(z|x). The decoder ends in a sigmoid,
so that the likelihood is `Bernoulli(from_logits=False)`.
"""

import keras
from keras import layers

import keras_vae

(x, _), (x_test, _) = keras.datasets.fashion_mnist.load_data()
x, x_test = (a[..., None].astype("float32") / 255 for a in (x, x_test))

inputs = keras.Input((28, 28, 1))
h = layers.Dense(256, "gelu")(layers.Flatten()(inputs))
encoder = keras.Model(inputs, [layers.Dense(8)(h), layers.Dense(8)(h)])
decoder = keras.Sequential(
    [
        keras.Input((8,)),
        layers.Dense(256, "gelu"),
        layers.Dense(28 * 28, "sigmoid"),
        layers.Reshape((28, 28, 1)),
    ]
)


class RaiseBeta(keras.callbacks.Callback):
    """Raises beta to 1 over the first five epochs."""

    def on_epoch_begin(self, epoch, logs=None):
        self.model.objective.beta = min(1.0, (epoch + 1) / 5)


vae = keras_vae.VAE(encoder, decoder)
print(vae)
vae.compile(optimizer="adam")
vae.fit(x, batch_size=128, epochs=10, validation_data=x_test, callbacks=[RaiseBeta()])
print("Test loss, with its parts:", vae.evaluate(x_test, return_dict=True))
