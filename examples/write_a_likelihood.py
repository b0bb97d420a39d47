"""A likelihood of one's own: waiting times. It trains, is saved and loads like any other."""

import keras
import numpy as np

import keras_vae


@keras.saving.register_keras_serializable(package="mine")
class Exponential(keras_vae.likelihoods.Likelihood):
    low = 0.0  # the support, checked before training

    def feature_log_prob(self, x, raw):  # nats of each feature; raw: the logarithm of the rate
        return raw - x * keras.ops.exp(raw)

    def mean(self, raw):
        return keras.ops.exp(-raw)


x = np.random.default_rng(0).exponential([[1.0, 5.0, 20.0]], (2000, 3)).astype("float32")
vae = keras_vae.recipes.vae((3,), latent_dim=2, likelihood=Exponential())
vae.compile("adam")
vae.fit(x, epochs=5, validation_split=0.2)
vae.save("waiting_times.keras")
print("means", keras_vae.load_model("waiting_times.keras").generate(1000).mean(0).round(1))
