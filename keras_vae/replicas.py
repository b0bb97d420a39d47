"""Sums over tf.distribute replicas; with one device, and on other backends, the identity."""

import keras
from keras import ops


def context():
    """The tf.distribute replica context where several replicas run in step, else None."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None


def count():
    """The number of replicas that run in step."""
    replica = context()
    return 1 if replica is None else replica.num_replicas_in_sync


def all_sum(value):
    """The sum of a tensor, or of each in a list of tensors, over all replicas."""
    replica = context()
    return value if replica is None else replica.all_reduce("SUM", value)


def share_of_mean(values, weights):
    """This replica's share of the global weighted mean: the shares of all replicas add up to it.

    Args:
        values: (rows,) per-example values of this replica; rows may be 0.
        weights: (rows,) weights of the examples.
    """
    return ops.divide_no_nan(ops.sum(weights * values), all_sum(ops.sum(weights)))
