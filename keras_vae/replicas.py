"""Sums over tf.distribute replicas; with one device, and on other backends, the identity.

On JAX `keras.distribution` shares out one global computation, so there is nothing to sum.
"""

import json
import os

import keras
from keras import ops


def strategy(name="none"):
    """The strategy for a name: "none" (None), or "mirrored", over all GPUs or else all CPU devices.

    Where the environment variable TF_CONFIG describes a cluster of several workers, this process
    joins it whatever the name. Must come before anything else that TensorFlow does.
    """
    if name == "none" and not in_cluster():
        return None
    import tensorflow as tf

    if in_cluster():
        return tf.distribute.MultiWorkerMirroredStrategy()
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def in_cluster():
    """Whether TF_CONFIG makes this process one of several workers."""
    cluster = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
    return sum(len(tasks) for job, tasks in cluster.items() if job != "evaluator") > 1


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


def shards():
    """The number of parts that `keras.distribution` splits each batch into: 1 without it."""
    distribution = keras.distribution.distribution()
    if distribution is None:
        return 1
    mesh = distribution.device_mesh
    return mesh.shape[mesh.axis_names.index(distribution.batch_dim_name)]


def all_sum(value):
    """The sum of a tensor, or of each in a list of tensors, over all replicas."""
    replica = context()
    return value if replica is None else replica.all_reduce("SUM", value)


def all_gather(value, axis=0):
    """The rows of a tensor on all replicas, in one order on each; gradients pass through it."""
    replica = context()
    return value if replica is None else replica.all_gather(value, axis=axis)


def first_row(values):
    """The place of this replica's first row among the rows of all replicas."""
    replica = context()
    if replica is None:
        return 0
    counts = all_gather(ops.reshape(ops.cast(ops.shape(values)[0], "int32"), (1,)))
    return ops.sum(counts[: replica.replica_id_in_sync_group])


def mean(values, weights):
    """The weighted mean over the examples of all replicas, for values of (rows, …)."""
    weights = ops.reshape(weights, (-1, *[1] * (len(values.shape) - 1)))
    total = all_sum(ops.sum(weights * values, axis=0))
    return ops.divide_no_nan(total, all_sum(ops.sum(weights)))


def replica_loss(values, weights):
    """This replica's share of the global weighted mean: the shares of all replicas add up to it.

    Args:
        values: (rows,) per-example values of this replica; rows may be 0.
        weights: (rows,) weights of the examples.
    """
    return ops.divide_no_nan(ops.sum(weights * values), all_sum(ops.sum(weights)))
