"""The smallest `keras.Model` with a `train_step` of its own and three means in its logs."""

import keras
import networks
import tensorflow as tf


class VAE(keras.Model):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = networks.encoder(), networks.decoder()
        names = ("loss", "reconstruction_loss", "kl_loss")
        self.means = [keras.metrics.Mean(name=name) for name in names]

    @property
    def metrics(self):
        return self.means

    def train_step(self, images):
        with tf.GradientTape() as tape:
            mean, log_variance = tf.split(self.encoder(images, training=True), 2, axis=1)
            z = mean + tf.exp(0.5 * log_variance) * tf.random.normal(tf.shape(mean))
            probabilities = tf.sigmoid(self.decoder(z, training=True))
            entropy = keras.losses.binary_crossentropy(images, probabilities)
            reconstruction = tf.reduce_mean(tf.reduce_sum(entropy, axis=(1, 2)))
            square = tf.square(mean) + tf.exp(log_variance)
            kl = tf.reduce_mean(0.5 * tf.reduce_sum(square - log_variance - 1.0, axis=1))
            loss = reconstruction + kl
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        for tracker, value in zip(self.means, (loss, reconstruction, kl), strict=True):
            tracker.update_state(value)
        return {tracker.name: tracker.result() for tracker in self.means}


def prepare(x, batch):
    vae = VAE()
    vae.compile(keras.optimizers.Adam(1e-3))
    return lambda: vae.fit(x, batch_size=batch, verbose=0)
