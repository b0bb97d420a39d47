"""A training loop by hand, as in the tutorials: a `tf.function` of one step, called per batch."""

import keras
import networks
import tensorflow as tf


def prepare(x, batch):
    encoder, decoder = networks.encoder(), networks.decoder()
    variables = encoder.trainable_variables + decoder.trainable_variables
    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(variables)
    data = tf.data.Dataset.from_tensor_slices(x).shuffle(len(x)).batch(batch)
    data = data.prefetch(tf.data.AUTOTUNE)
    losses = keras.metrics.Mean()

    @tf.function
    def step(images):
        with tf.GradientTape() as tape:
            mean, log_variance = tf.split(encoder(images, training=True), 2, axis=1)
            z = mean + tf.exp(0.5 * log_variance) * tf.random.normal(tf.shape(mean))
            logits = decoder(z, training=True)
            entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=images, logits=logits)
            square = tf.square(mean) + tf.exp(log_variance)
            kl = 0.5 * tf.reduce_sum(square - log_variance - 1.0, axis=1)
            loss = tf.reduce_mean(tf.reduce_sum(entropy, axis=(1, 2, 3)) + kl)
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        losses(loss)

    def epoch():
        for images in data:
            step(images)
        return float(losses.result())

    return epoch
