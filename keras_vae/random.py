"""Noise that is the same on one device and on many, and whose state is saved with the model."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vae import replicas
from keras_vae.typing import Seed, Tensor


def new_seed() -> int:
    """Returns a seed that obeys `keras.utils.set_random_seed`."""
    return int(np.random.randint(2**31 - 1))


def stream(seed: int | np.integer, index: int) -> int:
    """Returns the `index`-th of many unrelated seeds made from one.

    Neighbouring integers will not do: on torch Keras adds the step to the seed, so that seeds
    5 and 6 would share their noise.

    Args:
        seed: Integer.
        index: Number of the seed, from 0.

    Returns:
        Integer of 31 bits.
    """
    return int(np.random.SeedSequence([int(seed), int(index)]).generate_state(1)[0] >> 1)


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

    def __init__(self, seed: int = 0) -> None:
        self.seed, self.calls = seed, 0

    def next(self) -> int:
        """Returns the integer seed of the next random operation."""
        self.calls += 1
        return stream(self.seed, self.calls)


def normal(shape: tuple[Any, ...], seed: Seed, axis: int = 0) -> Tensor:
    """Draws standard normal noise.

    Args:
        shape: Shape of the noise.
        seed: Integer, `keras.random.SeedGenerator` or `RowSharedSeed`.
        axis: Axis of the shape that runs over the examples of this replica.

    Returns:
        Tensor of the shape, float32.
    """
    return _noise(keras.random.normal, shape, seed, axis)


def uniform(shape: tuple[Any, ...], seed: Seed, axis: int = 0) -> Tensor:
    """Draws noise that is uniform in [0, 1).

    Args:
        shape, seed, axis: As for `normal`.

    Returns:
        Tensor of the shape, float32.
    """
    return _noise(keras.random.uniform, shape, seed, axis)


def _noise(draw, shape, seed, axis):
    if isinstance(seed, RowSharedSeed):
        one_row = (*shape[:axis], 1, *shape[axis + 1 :])
        return ops.broadcast_to(draw(one_row, dtype="float32", seed=seed.next()), shape)
    return rows_of_global_draw(lambda s: draw(s, dtype="float32", seed=seed), shape, axis)


def unseeded_state() -> tuple[Any, Any] | None:
    """Returns the state of torch's own generators, from which Dropout draws there; else None."""
    if keras.backend.backend() != "torch":
        return None
    import torch

    return torch.get_rng_state(), torch.cuda.get_rng_state_all()


@contextlib.contextmanager
def unseeded_noise(state: tuple[Any, Any] | None) -> Iterator[None]:
    """Repeats the noise that followed an `unseeded_state()`; afterwards all goes on as before."""
    if state is None:
        yield
        return
    import torch

    with torch.random.fork_rng(range(len(state[1]))):
        torch.set_rng_state(state[0])
        torch.cuda.set_rng_state_all(state[1])
        yield


def gumbel(noise: Tensor) -> Tensor:
    """Turns uniform noise into Gumbel noise.

    The largest of log-probabilities with such noise added is a draw of them.

    Args:
        noise: Tensor of uniform noise in [0, 1).

    Returns:
        Tensor like `noise`.
    """
    return -ops.log(-ops.log(ops.clip(noise, 1e-7, 1 - 1e-7)))


def rows_of_global_draw(
    draw: Callable[[Any], Tensor], shape: tuple[Any, ...], axis: int = 0
) -> Tensor:
    """Draws this replica's rows of noise for the batch of all replicas.

    A seed generator gives every replica the same numbers. So on N replicas each draws the noise of
    the global batch and takes its own rows. This makes the replicas differ from each other, and
    together equal one device.

    Args:
        draw: Function of a shape that returns a tensor.
        shape: Shape of this replica's noise.
        axis: Axis of the shape that runs over the examples of this replica.

    Returns:
        Tensor of the shape; on one device `draw(shape)`.
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
