"""Batches of float32 from arrays, memory maps and folders."""

import numbers
from typing import Any

import keras
import numpy as np

from keras_vae.datasets.augmentation import augmented


class Batches(keras.utils.PyDataset):
    """Batches of float32 from anything that can be indexed with an array of integers.

    8-bit values are scaled to [0, 1], others kept. The order of an epoch and all that is drawn in
    it depend on `seed` and the attribute `epoch` alone, so that a resumed run sees the data as one
    that never stopped; pass `shuffle=False` to `fit`, or Keras shuffles the batches once more.

    Args:
        source: (N, …) array, memory map or `ImageFolder`.
        batch_size: int; the last batch may be smaller.
        targets: (N, …), what to reconstruct instead of x, scaled likewise.
        sample_weight: (N,).
        shuffle: whether each epoch has an order of its own.
        seed: int, of the order, of `binarize` and of `augment`.
        binarize: whether to draw each pixel as 0 or 1 with its grey level as probability, anew in
            each epoch.
        augment: what changes x at random, anew in each epoch: a Keras layer or a list of them, such
            as `keras.layers.RandomFlip("horizontal")`, or a function of (x, a
            `numpy.random.Generator`). It sees values in [0, 1] and keeps the shape. `targets` stay.

    Raises:
        ValueError: if there are no examples, or not as many targets or weights.

    Example:

    ```python
    (x, _), (x_test, _) = keras_vae.datasets.fashion_mnist()
    vae.fit(keras_vae.datasets.Batches(x, shuffle=True), epochs=10, shuffle=False)
    ```

    Reference for `binarize`: Salakhutdinov and Murray, On the Quantitative Analysis of Deep Belief
    Networks (ICML 2008).
    """

    def __init__(
        self,
        source: Any,
        batch_size: int = 128,
        *,
        targets: Any = None,
        sample_weight: np.ndarray | None = None,
        shuffle: bool = False,
        seed: int = 0,
        binarize: bool = False,
        augment: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if len(source) == 0:
            raise ValueError(
                "`source` must hold at least one example, because there is nothing to learn from "
                "an empty one. Received: a source of length 0"
            )
        integral = isinstance(batch_size, numbers.Integral)
        if not integral or batch_size < 1:
            raise ValueError(
                "`batch_size` must be an integer of at least 1, the number of examples in a "
                f"batch. Received: batch_size={batch_size!r}"
            )
        for name, other in (("targets", targets), ("sample_weight", sample_weight)):
            if other is not None and len(other) != len(source):
                raise ValueError(
                    f"`{name}` must have one entry an example, as many as `source`. "
                    f"Received: {len(other)} for {len(source)} examples"
                )
        self.source, self.batch_size = source, batch_size
        self.targets, self.sample_weight = targets, sample_weight
        self.shuffle, self.seed, self.binarize, self.augment = shuffle, seed, binarize, augment
        self.epoch, self._begun = 0, False
        self._order: tuple[int | None, np.ndarray] = (None, np.arange(0))

    def __len__(self) -> int:
        return -(-len(self.source) // self.batch_size)

    def __getitem__(self, index: int) -> np.ndarray | tuple[np.ndarray, ...]:
        rows = self.order()[index * self.batch_size : (index + 1) * self.batch_size]
        x = as_float(self.source[rows])
        if self.augment is not None:
            x = augmented(x, self.augment, [self.seed, self.epoch, index, 1])
        if self.binarize:
            rng = np.random.default_rng([self.seed, self.epoch, index])
            x = (rng.random(x.shape, "float32") < x).astype("float32")
        if self.targets is None and self.sample_weight is None:
            return x
        y = x if self.targets is None else as_float(self.targets[rows])
        return (x, y) if self.sample_weight is None else (x, y, self.sample_weight[rows])

    def order(self) -> np.ndarray:
        """Returns the rows of the source in the order of this epoch."""
        if self._order[0] != self.epoch:
            rows = np.arange(len(self.source))
            if self.shuffle:
                rows = np.random.default_rng([self.seed, self.epoch]).permutation(rows)
            self._order = (self.epoch, rows)
        return self._order[1]

    def on_epoch_begin(self) -> None:
        self._begun = True

    def on_epoch_end(self) -> None:
        self.epoch += self._begun  # Keras also ends an epoch before the first
        self._begun = False


def as_float(x: Any) -> np.ndarray:
    """Returns an array as float32, 8-bit values scaled to [0, 1]."""
    x = np.asarray(x)
    return x.astype("float32") / 255 if x.dtype == np.uint8 else x.astype("float32")
