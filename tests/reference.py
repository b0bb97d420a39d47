"""A second implementation of training, by hand: what `fit` must agree with."""

import keras
import numpy as np
import tensorflow as tf

from keras_vae import random


class Reference:
    """Gradients of the mean negative ELBO of a Bernoulli VAE, with the noise that `fit` draws."""

    def __init__(self, vae, beta=1.0):
        self.vae, self.beta = vae, beta
        self.noise = keras.random.SeedGenerator(random.stream(vae.seed, 0))

    def per_example(self, x, y=None):
        """(reconstruction loss, KL, reconstruction) of each example, as tensors."""
        vae, target = self.vae, tf.convert_to_tensor(x if y is None else y)
        features = vae.encoder(x, training=True)
        mean = vae.posterior.mean_layer(features)
        log_variance = vae.posterior.log_variance_layer(features)
        noise = keras.random.normal((1, *mean.shape), seed=self.noise)[0]
        logits = vae.decoder(mean + tf.sqrt(tf.exp(log_variance)) * noise, training=True)
        entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=logits)
        entropy = tf.reduce_sum(tf.reshape(entropy, (len(x), -1)), 1)
        variance = tf.exp(log_variance)
        kl = tf.reduce_sum(0.5 * (mean**2 + variance - tf.math.log(variance) - 1.0), 1)
        return entropy, kl, tf.sigmoid(logits)

    def gradients(self, x, y=None, weights=None, extra=lambda: 0.0):
        """Gradients for the trainable weights of the VAE on one batch."""
        weights = np.ones(len(x), "float32") if weights is None else weights
        with tf.GradientTape() as tape:
            entropy, kl, _ = self.per_example(x, y)
            total = tf.reduce_sum(weights * (entropy + self.beta * kl)) / weights.sum()
            loss = total + extra()
        gradients = tape.gradient(loss, self.vae.trainable_weights)
        return [g.numpy() for g in gradients]

    def descend(self, gradients, rate):
        """One step of plain gradient descent."""
        for weight, gradient in zip(self.vae.trainable_weights, gradients, strict=True):
            weight.assign_sub(rate * gradient)
