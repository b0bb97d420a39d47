"""Sums over tf.distribute replicas; with one device, and on other backends, the identity.

On JAX `keras.distribution` shares out one global computation, so there is nothing to sum.
"""

import json
import os
from typing import Any

import keras
from keras import ops

from keras_vae.typing import Tensor


def strategy(name: str = "none") -> Any:
    """Returns the `tf.distribute` strategy for a name.

    Where the environment variable TF_CONFIG describes a cluster of several workers, this process
    joins it whatever the name. Must come before anything else that TensorFlow does.

    Args:
        name: "none", or "mirrored", over all GPUs or else all CPU devices.

    Returns:
        A strategy, or None for "none".
    """
    if name == "none" and not in_cluster():
        return None
    import tensorflow as tf

    if in_cluster():
        return tf.distribute.MultiWorkerMirroredStrategy()
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def in_cluster() -> bool:
    """Returns whether TF_CONFIG makes this process one of several workers."""
    cluster = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
    return sum(len(tasks) for job, tasks in cluster.items() if job != "evaluator") > 1


def context() -> Any:
    """Returns the `tf.distribute` replica context where several replicas run in step, else None."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None


def count() -> int:
    """Returns the number of replicas that run in step."""
    replica = context()
    return 1 if replica is None else replica.num_replicas_in_sync


def shards() -> int:
    """Returns the number of parts that `keras.distribution` splits each batch into.

    Without a distribution it is 1.
    """
    distribution = keras.distribution.distribution()
    if distribution is None:
        return 1
    mesh = distribution.device_mesh
    return mesh.shape[mesh.axis_names.index(distribution.batch_dim_name)]


def all_sum(value: Any) -> Any:
    """Returns the sum over all replicas of a tensor, or of each tensor in a list."""
    replica = context()
    return value if replica is None else replica.all_reduce("SUM", value)


def all_gather(value: Tensor, axis: int = 0) -> Tensor:
    """Returns the rows of a tensor on all replicas, in one order on each.

    Gradients pass through it.

    Args:
        value: this replica's rows, which may be more or fewer than on others.
        axis: the axis of the rows.

    Returns:
        Tensor with the rows of all replicas.
    """
    replica = context()
    return value if replica is None else replica.all_gather(value, axis=axis)


def first_row(values: Tensor) -> Tensor:
    """Returns the place of this replica's first row among the rows of all replicas."""
    replica = context()
    if replica is None:
        return 0
    counts = all_gather(ops.reshape(ops.cast(ops.shape(values)[0], "int32"), (1,)))
    return ops.sum(counts[: replica.replica_id_in_sync_group])


def mean(values: Tensor, weights: Tensor) -> Tensor:
    """Computes the weighted mean over the examples of all replicas.

    Args:
        values: values of this replica, (rows, …).
        weights: weights of the examples, (rows,).

    Returns:
        Tensor (…); 0 where the weights add up to 0.
    """
    weights = ops.reshape(weights, (-1, *[1] * (len(values.shape) - 1)))
    total = all_sum(ops.sum(weights * values, axis=0))
    return ops.divide_no_nan(total, all_sum(ops.sum(weights)))


def replica_loss(values: Tensor, weights: Tensor) -> Tensor:
    """Computes this replica's share of the global weighted mean.

    Args:
        values: values of this replica's examples, (rows,); rows may be 0.
        weights: weights of the examples, (rows,).

    Returns:
        A scalar tensor. The shares of all replicas add up to the mean.
    """
    return ops.divide_no_nan(ops.sum(weights * values), all_sum(ops.sum(weights)))
