"""Functions of a VAE as models of their own, for Keras' batching, progress bar and strategies."""

import operator

import keras
import numpy as np
from keras import ops

from keras_vae import replicas, validation

BATCH_SIZE = 128
"""Of arrays for which the user names none."""
_BATCHES_A_PART = 50


class Endpoint(keras.Model):
    """`function(x)`, with the variables of a VAE."""

    def __init__(self, vae, function):
        super().__init__(dtype="float32")
        self.vae, self.function = vae, function
        self.built = True

    def call(self, x, training=False):
        return self.function(x)

    def run(self, x, batch_size=None, **options):
        """The NumPy output (or dict of them) for an array, or for any other input of `predict`.

        One batch is computed eagerly: compiling a graph for it would take longer than the work.
        """
        if not validation.is_array(x):
            return self.predict(x, **options)
        batch_size, shards = batch_size or BATCH_SIZE, replicas.shards()
        rows = len(x["x"] if isinstance(x, dict) else x)
        if shards > 1:  # equal parts for all devices
            return self._run_filled(x, rows, batch_size, shards, **options)
        if rows <= batch_size:
            return keras.tree.map_structure(ops.convert_to_numpy, self(x, training=False))
        return self.predict(x, batch_size=batch_size, **options)

    def run_in_parts(self, x, batch_size=None, verbose=0):
        """As `run`, for an array whose output is large: `predict` alone keeps it three times.

        With a progress bar in one part, as there should be one bar.
        """
        rows = len(keras.tree.flatten(x)[0])
        part = _BATCHES_A_PART * (batch_size or BATCH_SIZE)
        if verbose or rows <= part:
            return self.run(x, batch_size, verbose=verbose)
        outputs = None
        for start in range(0, rows, part):
            rows_of_part = slice(start, start + part)
            piece = keras.tree.map_structure(operator.itemgetter(rows_of_part), x)
            found = self.run(piece, batch_size, verbose=0)
            if outputs is None:
                outputs = np.empty((rows, *found.shape[1:]), found.dtype)
            outputs[rows_of_part] = found
        return outputs

    def _run_filled(self, x, rows, batch_size, shards, **options):
        x = keras.tree.map_structure(lambda a: validation.with_more_rows(a, -rows % shards), x)
        outputs = self.predict(x, batch_size=batch_size + -batch_size % shards, **options)
        return keras.tree.map_structure(lambda a: a[:rows], outputs)


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
