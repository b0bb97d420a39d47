"""The machine's limit: products of two matrices of 2048 x 2048 in float32, by TensorFlow."""

import tensorflow as tf

SIZE, PRODUCTS = 2048, 20
OPERATIONS = PRODUCTS * 2 * SIZE**3  # of an epoch


def prepare(x, batch):
    a, b = tf.random.normal((2, SIZE, SIZE))

    def epoch():
        for _ in range(PRODUCTS):
            product = tf.matmul(a, b)
        return float(product[0, 0])

    return epoch
