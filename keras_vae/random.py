"""Noise that is the same on one device and on many, and whose state is saved with the model."""

import contextlib

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


class RowSharedSeed:
    """A seed for `normal` and `uniform` whose noise is fixed and the same for every example.

    What an example gets then depends neither on the other examples, nor on their order, nor on the
    batch size. Each call with the same instance gives other noise, so make a new instance for each
    use. It has no variable, and therefore can be made inside of a traced function.

    Args:
        seed: Integer.

    Example:

    ```python
    z = posterior.sample(q, num_samples=16, seed=keras_vae.random.RowSharedSeed(0))
    ```
    """

    def __init__(self, seed=0):
        self.seed, self.calls = seed, 0

    def next(self):
        """Returns the integer seed of the next random operation."""
        self.calls += 1
        return stream(self.seed, self.calls)


def normal(shape, seed, axis=0):
    """Standard normal noise of a shape whose `axis` runs over the examples of this replica."""
    return _noise(keras.random.normal, shape, seed, axis)


def uniform(shape, seed, axis=0):
    """Noise uniform in [0, 1), like `normal`."""
    return _noise(keras.random.uniform, shape, seed, axis)


def _noise(draw, shape, seed, axis):
    if isinstance(seed, RowSharedSeed):
        one_row = (*shape[:axis], 1, *shape[axis + 1 :])
        return ops.broadcast_to(draw(one_row, dtype="float32", seed=seed.next()), shape)
    return rows_of_global_draw(lambda s: draw(s, dtype="float32", seed=seed), shape, axis)


def unseeded_state():
    """Returns the state of torch's own generators, from which Dropout draws there; else None."""
    if keras.backend.backend() != "torch":
        return None
    import torch

    return torch.get_rng_state(), torch.cuda.get_rng_state_all()


@contextlib.contextmanager
def unseeded_noise(state):
    """Repeats the noise that followed an `unseeded_state()`; afterwards all goes on as before."""
    if state is None:
        yield
        return
    import torch

    with torch.random.fork_rng(range(len(state[1]))):
        torch.set_rng_state(state[0])
        torch.cuda.set_rng_state_all(state[1])
        yield


def gumbel(noise):
    """Uniform noise as Gumbel noise: the largest of log-probabilities with it is a draw of them."""
    return -ops.log(-ops.log(ops.clip(noise, 1e-7, 1 - 1e-7)))


def rows_of_global_draw(draw, shape, axis=0):
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
