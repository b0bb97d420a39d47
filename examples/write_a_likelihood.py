"""Defines a likelihood of waiting times. It trains, is saved and loads like any other."""

import keras
import numpy as np

import keras_vae


@keras.saving.register_keras_serializable(package="mine")
class Exponential(keras_vae.likelihoods.Likelihood):
    """Waiting times; the decoder emits the logarithm of the rate."""

    low = 0.0  # the support, checked before training

    def feature_log_prob(self, x, params):  # nats of each feature, for each draw of z
        log_rate = keras_vae.part.soft_clip(params)  # within ±20, so that exp does not overflow
        return log_rate - x * keras.ops.exp(log_rate)

    def mean(self, params):
        return keras.ops.exp(-keras_vae.part.soft_clip(params))

    def sample(self, params, seed):
        uniform = keras_vae.random.uniform(keras.ops.shape(params), seed)
        return -keras.ops.log1p(-uniform) * self.mean(params)


x = np.random.default_rng(0).exponential([[1.0, 5.0, 20.0]], (2000, 3)).astype("float32")
vae = keras_vae.recipes.vae((3,), latent_dim=2, likelihood=Exponential())
vae.compile("adam")
vae.fit(x, epochs=5, validation_split=0.2)
vae.save("waiting_times.keras")
drawn = keras_vae.load_model("waiting_times.keras").generate(1000, sample=True)
print("means", drawn.mean(0).round(1), "standard deviations", drawn.std(0).round(1))
