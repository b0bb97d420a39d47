"""Pipelines of batches: tf.data, PyDataset, generators, torch DataLoaders."""

import itertools
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops


def unpack(batch: Any) -> tuple[Any, Any, Any]:
    """Returns x, y and sample_weight of a batch; as in Keras, a list counts as a tuple."""
    if isinstance(batch, (list, tuple)) and len(batch) not in (1, 2, 3):
        raise ValueError(
            "`x` must yield x, (x, y) or (x, y, sample_weight) for each batch, because a list or "
            "tuple is read as these; give the rows of a batch as one array. "
            f"Received: x that yields a {type(batch).__name__} of {len(batch)} elements"
        )
    return keras.utils.unpack_x_y_sample_weight(batch)


def is_pipeline(data: Any) -> bool:
    """Returns whether `data` yields batches."""
    return any(accepts(data) for accepts, _ in KINDS)


def peek(data: Any, argument: str = "x") -> tuple[Any, Any]:
    """Returns a pipeline together with its first batch, losing nothing of it.

    Args:
        data: what may be a pipeline.
        argument: its name in messages.

    Returns:
        Tuple (data, first batch). The batch is None for a pipeline that is already distributed.

    Raises:
        ValueError: if `data` is not a pipeline, or has no first batch.
    """
    for accepts, first_of in KINDS:
        if accepts(data):
            data, first = first_of(data, argument)
            return data, first
    raise ValueError(
        f"`{argument}` must be an array, a data frame, a dict of them, a tf.data.Dataset, a "
        "PyDataset, a torch DataLoader or a generator of batches. "
        f"Received: {argument}={data!r:.100}"
    )


def packed(x: Any, y: Any = None, sample_weight: Any = None) -> tuple[Any, ...]:
    """Returns (x, y, sample_weight) as the tuple that Keras wants of a pipeline."""
    parts = (x, y, sample_weight)
    return parts[: 3 if sample_weight is not None else 2 if y is not None else 1]


def for_keras(data: Any, first: Any, read: Callable[[Any], tuple[Any, ...]]) -> Any:
    """Returns a pipeline of which Keras takes every batch.

    Args:
        data: a pipeline.
        first: its first batch.
        read: function of a batch that returns a tuple of arrays, for batches that Keras does not
            take, such as frames, sparse matrices, and an array that is not in a tuple.

    Returns:
        `data` itself where Keras takes all of its batches, else a pipeline of the arrays.
    """
    bare = isinstance(data, keras.utils.PyDataset) and type(first) is np.ndarray  # Keras takes it
    if bare or _is_plain(first) or _yields_tensors(data):
        return data
    return _mapped(data, read)


def _is_plain(batch):
    """Whether Keras takes a batch as it is."""
    if not isinstance(batch, tuple):
        return False
    tensors = (type(value) is np.ndarray or ops.is_tensor(value) for value in _values(batch))
    condition = batch[0].get("condition") if _is_tuple_of_dict(batch) else None
    one_for_all = condition is not None and len(np.shape(condition)) < 2
    return all(tensors) and not one_for_all


def _is_tuple_of_dict(batch):
    return isinstance(batch, tuple) and bool(batch) and isinstance(batch[0], dict)


def _values(batch):
    """The arrays of a tuple of arrays and dicts; a list of rows is one value."""
    parts = (part.values() if isinstance(part, dict) else [part] for part in batch)
    return [value for part in parts for value in part if value is not None]


def _yields_tensors(data):
    return is_tf_dataset(data) or _is_loader(data)


def as_dicts(data: Any, read: Callable[[Any], dict[str, Any]]) -> Any:
    """Returns the batches of a pipeline as a dict each, to be scored.

    Args:
        data: a pipeline.
        read: function of a batch that returns a dict of arrays with `target`, and with `weights`
            where there are any.

    Returns:
        A pipeline of such dicts.
    """
    if is_tf_dataset(data):
        import tensorflow as tf

        return data.map(tf.autograph.experimental.do_not_convert(lambda *batch: _as_dict(batch)))
    return _mapped(data, lambda batch: (read(batch),))


def _mapped(data, function):
    """A function of each batch of a PyDataset, or of anything that is iterated over once."""
    if isinstance(data, keras.utils.PyDataset):
        return _Mapped(data, function)
    return (function(tuple(b) if isinstance(b, list) else b) for b in data)


def _as_dict(batch):
    x, y, weights = unpack(batch[0] if len(batch) == 1 else batch)
    parts = dict(x) if isinstance(x, dict) else {"x": x}
    more = {"target": parts["x"] if y is None else y, "weights": weights}
    return parts | {name: value for name, value in more.items() if value is not None}


def batches(data: Any) -> Iterator[Any]:
    """Iterates once over the batches of what `as_dicts` returned."""
    if isinstance(data, keras.utils.PyDataset):
        dataset = data
        data = (dataset[i] for i in range(dataset.num_batches))
    return (batch[0] if isinstance(batch, tuple) else batch for batch in data)


class _Mapped(keras.utils.PyDataset):
    """A function of the batches of another PyDataset."""

    def __init__(self, data: Any, function: Callable) -> None:
        super().__init__(data.workers, data.use_multiprocessing, data.max_queue_size)
        self.data, self.function = data, function

    @property
    def num_batches(self) -> int | None:
        return self.data.num_batches

    def __getitem__(self, index: int) -> Any:
        return self.function(self.data[index])

    def on_epoch_begin(self) -> None:
        self.data.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.data.on_epoch_end()


def _no_batch(data, argument):
    return ValueError(
        f"`{argument}` must hold at least one batch, because there is nothing to learn from "
        f"an empty dataset. Received: {argument}={type(data).__name__} without a batch"
    )


def _first(iterable, data, argument):
    for batch in iterable:
        return batch
    raise _no_batch(data, argument)


def is_tf_dataset(data: Any) -> bool:
    """Returns whether `data` is a `tf.data.Dataset`; does not import TensorFlow."""
    tf = sys.modules.get("tensorflow")
    return tf is not None and isinstance(data, tf.data.Dataset)


def _peek_tf_dataset(data, argument):
    import tensorflow as tf

    for spec in tf.nest.flatten(data.element_spec):
        if isinstance(spec, (tf.RaggedTensorSpec, tf.SparseTensorSpec)):
            raise ValueError(
                f"`{argument}` must yield dense tensors, every example of the same shape: pad "
                "ragged batches and give a mask, or densify them. "
                f"Received: {argument} that yields {type(spec).__name__}"
            )
    return data, _first(data.take(1), data, argument)


def _is_distributed(data):
    tf = sys.modules.get("tensorflow")
    return tf is not None and isinstance(data, tf.distribute.DistributedDataset)


def _peek_py_dataset(data, argument):
    if data.num_batches == 0:
        raise _no_batch(data, argument)
    return data, data[0]


def _peek_generator(data, argument):
    first = _first(data, data, argument)
    # a generator again, because Keras takes no other iterator
    return (batch for batch in itertools.chain([first], data)), first


def _is_loader(data):
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(data, torch.utils.data.DataLoader)


def _peek_loader(data, argument):
    """The first batch, with torch's random state put back, so that the order is not changed."""
    import torch

    own = data.generator
    state = None if own is None else own.get_state()
    with torch.random.fork_rng(devices=[]):
        first = _first(data, data, argument)
    if own is not None:
        own.set_state(state)
    return data, tuple(first) if isinstance(first, list) else first


KINDS = (
    (is_tf_dataset, _peek_tf_dataset),
    (_is_distributed, lambda data, argument: (data, None)),
    (lambda data: isinstance(data, keras.utils.PyDataset), _peek_py_dataset),
    (lambda data: isinstance(data, types.GeneratorType), _peek_generator),
    (_is_loader, _peek_loader),
)
"""Pairs of functions: whether `data` is of the kind; `(data, first batch)` of it."""


class RowBatches(keras.utils.PyDataset):
    """Batches of arrays that are read a batch at a time, each epoch in an order of its own.

    Args:
        data: (x, y, sample_weight), trees of arrays and `RowSource`s or None.
        batch_size: int.
        shuffle: whether to shuffle; the order obeys `keras.utils.set_random_seed`.
        rows: which rows of the data.
    """

    def __init__(
        self, data: tuple[Any, Any, Any], batch_size: int, shuffle: bool, rows: range
    ) -> None:
        super().__init__()
        self.data, self.batch_size, self.shuffle, self.rows = data, batch_size, shuffle, rows
        self.on_epoch_end()

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        batch = (keras.tree.map_structure(lambda a: a[rows], d) for d in self.data if d is not None)
        return tuple(batch)

    def on_epoch_end(self) -> None:
        self.order = np.array(self.rows)
        if self.shuffle:
            np.random.shuffle(self.order)
