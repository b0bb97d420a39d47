"""Runs a function of a model over any data in batches: eagerly, or with Keras' predict."""

import functools
import operator
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from keras_vae import batch as batches
from keras_vae import data_adapters, inference, replicas
from keras_vae.trainers import Predictor
from keras_vae.typing import Tensor

if TYPE_CHECKING:
    from keras_vae.model import VAE

_map = keras.tree.map_structure

BATCH_SIZE = 128
"""Default batch size for arrays."""
_BATCHES_A_PART = 50  # of what `predict` computes at a time


class Function(Predictor):
    """`function(vae, batch)` as a model, for Keras' batching, progress bar and strategies."""

    def __init__(self, vae: "VAE", function: Callable) -> None:
        super().__init__(dtype="float32", autocast=False)
        self.vae, self.function = vae, function
        self.supports_jit = not (vae.freezes_noise and _draws_noise(function))
        self.built = True

    def call(self, x: Any, training: bool = False) -> Any:
        return self.function(self.vae, self.unpack(x))

    def unpack(self, x: Any) -> batches.Batch:
        return batches.unpack(x, self.vae.likelihood, self.vae.condition_dim)


class CheckedFunction(Function):
    """The same, in a tuple with `good`: 1 for each example without bad values, (B,).

    An integer, because workers do not gather booleans.

    Of a batch with a `target` it must lie in the support; what is only encoded must be finite.
    """

    def call(self, x: Any, training: bool = False) -> tuple[Any, Tensor]:
        batch = self.unpack(x)
        is_scored = isinstance(x, dict) and "target" in x
        good = self._can_be_scored(batch) if is_scored else inference.finite_input(self.vae, batch)
        return self.function(self.vae, batch), ops.cast(good, "int32")

    def _can_be_scored(self, batch):
        edge = self.vae.likelihood.to_edge(batch.target)  # as it is scored
        return self.vae._is_good(batch._replace(target=edge))


class Runner:
    """Runs `function(vae, batch)` over arrays and pipelines.

    Args:
        vae: the model.
        function: returns a tensor, or a dict of them, with a row for each example.
    """

    def __init__(self, vae: "VAE", function: Callable) -> None:
        self.vae, self.function = vae, function
        self.model = self._made(Function)

    def _made(self, kind):
        with self.vae.strategy_scope():
            return kind(self.vae, self.function)

    @functools.cached_property
    def checked(self) -> CheckedFunction:
        return self._made(CheckedFunction)

    def run(
        self, x: Any, batch_size: int | None = None, compiled: bool = False, **options: Any
    ) -> Any:
        """Runs the function over data.

        What fills no batch is computed eagerly: a graph for it takes longer than the work.

        Args:
            x: checked arrays or a pipeline.
            batch_size: number of examples at a time, 128 by default.
            compiled: whether one small batch has a graph too.
            options: other arguments of `keras.Model.predict`.

        Returns:
            NumPy array, or a dict of them, with a row for each example.

        Raises:
            ValueError: if a batch of a pipeline held bad values, once all have run.
        """
        if not data_adapters.in_memory(x):
            return self._run_pipeline(x, **options)
        rows, shards = data_adapters.rows_of(x), replicas.shards()
        batch_size = batch_size or BATCH_SIZE
        if shards > 1:  # equal parts for all devices
            return self._run_filled(x, rows, batch_size, shards, **options)
        if rows <= batch_size and not compiled:
            return self._eagerly(_rows(x, slice(None)))
        predict = functools.partial(self.model.predict, batch_size=batch_size, **options)
        on_jax = keras.backend.backend() == "jax"  # where each call moves all variables
        if any(options.values()):  # such as one progress bar
            return predict(_rows(x, slice(None)))
        if on_jax or self.vae.strategy is not None:
            return _in_parts(x, rows, _BATCHES_A_PART * batch_size, predict, predict)
        size = min(rows, batch_size)
        return _in_parts(x, rows, size, self.model.predict_on_batch, self._eagerly)

    def _run_pipeline(self, x, callbacks=None, **options):
        """Raises ValueError if a batch held bad values, once all have run."""
        callbacks = [data_adapters.OutputCheck(), *keras.tree.flatten(callbacks or [])]
        with warnings.catch_warnings():  # of a generator that ends, as it should here
            warnings.filterwarnings("ignore", message="Your input ran out of data")
            return self.checked.predict(x, callbacks=callbacks, **options)[0]

    def _eagerly(self, x):
        if self.vae.slow_eagerly:
            return self.model.predict_on_batch(x)
        return _map(ops.convert_to_numpy, self.model(x, training=False))

    def _run_filled(self, x, rows, batch_size, shards, **options):
        x = _map(lambda a: data_adapters.with_more_rows(a, -rows % shards), x)
        outputs = self.model.predict(x, batch_size=batch_size + -batch_size % shards, **options)
        return _map(lambda a: a[:rows], outputs)


def _rows(x, own):
    """The same rows of all arrays; those in a file or a sparse matrix are read here."""
    return _map(operator.itemgetter(own), x)


def _in_parts(x, rows, size, function, for_the_rest):
    """What `function` gives for `size` rows at a time, put in place.

    `predict` keeps a large output three times, and has a pipeline that small models wait for.
    """
    outputs = None
    for start in range(0, rows, size):
        own = slice(start, start + size)
        found = (function if start + size <= rows else for_the_rest)(_rows(x, own))
        if outputs is None:
            outputs = _map(lambda a: np.empty((rows, *a.shape[1:]), a.dtype), found)
        for whole, values in zip(*map(keras.tree.flatten, (outputs, found)), strict=True):
            whole[own] = values
    return outputs


class Runners:
    """Runners made on demand, and made anew where the model's variables have changed.

    No list or dict of the VAE's own: Keras would save its content.
    """

    def __init__(self, vae: "VAE") -> None:
        self.vae = vae
        self.made: dict[tuple, Runner] = {}
        self.variables: tuple[int, ...] | None = None

    def get(self, function: Callable, *arguments: Any) -> Runner:
        """Returns the `Runner` of `function(vae, batch, *arguments)`."""
        variables = tuple(map(id, self.vae.variables))  # others after quantize or enable_lora
        if variables != self.variables:
            self.made, self.variables = {}, variables
        key = (function, *arguments)
        if key not in self.made:
            call = functools.partial(_call, function, arguments)
            self.made[key] = Runner(self.vae, call)
        return self.made[key]

    def clear(self) -> None:
        """Forgets all, as after `compile`."""
        self.made = {}


def _draws_noise(call):
    """Whether a function of `Runners` is marked by `inference.with_noise`."""
    return getattr(getattr(call, "args", (call,))[0], "draws_noise", False)


def _call(function, arguments, vae, batch):
    return function(vae, batch, *arguments)
