"""Functions of a VAE as models of their own, for Keras' batching, progress bar and strategies."""

import functools
import operator

import keras
import numpy as np
from keras import ops

from keras_vae import replicas, validation

_map = keras.tree.map_structure

BATCH_SIZE = 128
"""Of arrays for which the user names none."""
_BATCHES_A_PART = 50  # of what `predict` computes


class Endpoint(keras.Model):
    """`function(x)`, with the variables of a VAE."""

    def __init__(self, vae, function):
        super().__init__(dtype="float32")
        self.vae, self.function = vae, function
        self.built = True

    def call(self, x, training=False):
        return self.function(x)

    def run(self, x, batch_size=None, compiled=False, **options):
        """The NumPy output (or dict of them) for an array, or for any other input of `predict`.

        What fills no batch is computed eagerly: a graph for it takes longer than the work. With
        `compiled` one small batch has a graph too.
        """
        if not validation.is_array(x):
            return self.predict(x, **options)
        rows, shards = len(keras.tree.flatten(x)[0]), replicas.shards()
        batch_size = batch_size or BATCH_SIZE
        if shards > 1:  # equal parts for all devices
            return self._run_filled(x, rows, batch_size, shards, **options)
        if rows <= batch_size and not compiled:
            return self._eagerly(x)
        predict = functools.partial(self.predict, batch_size=batch_size, **options)
        if any(options.values()):  # such as one progress bar
            return predict(x)
        on_jax = keras.backend.backend() == "jax"  # where each call moves all variables
        if on_jax or self.vae.strategy is not None:
            return _in_parts(x, rows, _BATCHES_A_PART * batch_size, predict, predict)
        return _in_parts(x, rows, min(rows, batch_size), self.predict_on_batch, self._eagerly)

    def _eagerly(self, x):
        return _map(ops.convert_to_numpy, self(x, training=False))

    def _run_filled(self, x, rows, batch_size, shards, **options):
        x = _map(lambda a: validation.with_more_rows(a, -rows % shards), x)
        outputs = self.predict(x, batch_size=batch_size + -batch_size % shards, **options)
        return _map(lambda a: a[:rows], outputs)


def _in_parts(x, rows, size, function, for_the_rest):
    """What `function` gives for `size` rows at a time, put in place.

    `predict` keeps a large output three times, and has a pipeline that small models wait for.
    """
    outputs = None
    for start in range(0, rows, size):
        own = slice(start, start + size)
        part = _map(operator.itemgetter(own), x)
        found = (function if start + size <= rows else for_the_rest)(part)
        if outputs is None:
            outputs = _map(lambda a: np.empty((rows, *a.shape[1:]), a.dtype), found)
        for whole, values in zip(*map(keras.tree.flatten, (outputs, found)), strict=True):
            whole[own] = values
    return outputs


class Endpoints:
    """Endpoints made on demand. No list or dict of the VAE's own: Keras would save its content."""

    def __init__(self, vae):
        self.vae, self.made = vae, {}

    def get(self, name, *arguments):
        """The endpoint for the method `_name(x, *arguments)` of the VAE."""
        key = (name, *arguments)
        if key not in self.made:
            method = getattr(self.vae, f"_{name}")
            with self.vae.strategy_scope():
                self.made[key] = Endpoint(self.vae, lambda x: method(x, *arguments))
        return self.made[key]
