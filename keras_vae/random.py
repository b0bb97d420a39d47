"""Noise that is the same on one device and on many, and whose state is saved with the model."""

import keras
import numpy as np
from keras import ops

from keras_vae import replicas


def new_seed():
    """A seed that obeys `keras.utils.set_random_seed`."""
    return int(np.random.randint(2**31 - 1))


def stream(seed, index):
    """The `index`-th of many unrelated seeds made from one.

    Neighbouring integers will not do: on torch Keras adds the step to the seed, so that seeds
    5 and 6 would share their noise.
    """
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0] >> 1)


def normal(shape, seed, axis=0):
    """Standard normal noise of a shape whose `axis` runs over the examples of this replica."""
    return _rows_of_global_draw(
        lambda s: keras.random.normal(s, dtype="float32", seed=seed), shape, axis
    )


def uniform(shape, seed, axis=0):
    """Noise uniform in [0, 1), like `normal`."""
    return _rows_of_global_draw(
        lambda s: keras.random.uniform(s, dtype="float32", seed=seed), shape, axis
    )


def gumbel(noise):
    """Uniform noise as Gumbel noise: the largest of log-probabilities with it is a draw of them."""
    return -ops.log(-ops.log(ops.clip(noise, 1e-7, 1 - 1e-7)))


def share_dropout(layer):
    """Makes a Dropout layer mask like one device would: on replicas, with rows of a global mask."""
    if hasattr(layer, "call_on_one_device") or layer.noise_shape is not None:
        return
    layer.call_on_one_device = layer.call

    def call(inputs, training=False):
        if not training or layer.rate == 0 or replicas.context() is None:
            return layer.call_on_one_device(inputs, training=training)
        mask = _rows_of_global_draw(
            lambda s: keras.random.dropout(
                ops.ones(s, inputs.dtype), layer.rate, seed=layer.seed_generator
            ),
            ops.shape(inputs),
            axis=0,
        )
        return inputs * mask

    layer.call = call


def _rows_of_global_draw(draw, shape, axis):
    """`draw(shape)`; on N replicas each draws the global batch's noise and takes its own rows.

    A seed generator gives every replica the same numbers, so this is what makes N replicas
    differ from each other and equal one device.
    """
    replica = replicas.context()
    if replica is None:
        return draw(shape)
    import tensorflow as tf

    rows = shape[axis]
    counts = replica.all_gather(tf.reshape(tf.cast(rows, "int32"), [1]), axis=0)
    first = tf.reduce_sum(counts[: replica.replica_id_in_sync_group])
    noise = draw((*shape[:axis], tf.reduce_sum(counts), *shape[axis + 1 :]))
    own = ops.take(noise, tf.range(first, first + counts[replica.replica_id_in_sync_group]), axis)
    return tf.ensure_shape(own, [n if isinstance(n, int) else None for n in shape])
