"""How long a model of a table trains: until what was held out of it is predicted best.

A table with gaps holds out some of its known cells, as the model will fill gaps of these rows; a
complete table holds out rows. Weights are averaged over the last steps, which predicts better than
the weights of one step.
"""

import dataclasses
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vae import data_adapters
from keras_vae.likelihoods.scaled import Scaled
from keras_vae.tables.table import LARGE

LEARNING_RATE = 1e-3
STEPS = 6_000
"""Optimizer steps of the longest training."""
MOST_EPOCHS = 800
"""Epochs of the longest training, of tables with few rows."""
PATIENCE = 1_500
"""Steps without a better prediction after which training stops."""
CHECKED = 100
"""Steps, at least, between two predictions of what is held out."""
AVERAGED = 500
"""Steps over which weights are averaged."""
HELD_OUT = 0.1
"""The share of rows or cells that is held out."""
MOST_ROWS = 2_000
"""Rows that are predicted, at most."""
GAPS = 0.02
"""A table with a larger share of missing cells is trained to fill gaps."""
_DRAWS = 20
_FEWEST = 100  # held-out cells from which the spread of errors is estimated


def batch_size_for(rows: int) -> int:
    """Returns the batch size that suits a table: from 32 for a few rows to 512."""
    return int(np.clip(2 ** round(math.log2(max(rows, 1) / 64)), 32, 512))


def fit(model: Any, x: dict[str, Any], arguments: dict[str, Any]) -> keras.callbacks.History:
    """Trains a model until what is held out is predicted best.

    Args:
        model: a compiled `TableVAE`.
        x: dict of NumPy arrays, `x` and `mask`.
        arguments: other arguments of `VAE.fit`; with `validation_data` these rows are predicted,
            and nothing else is held out.

    Returns:
        The history of the last fit.
    """
    x = {name: np.asarray(ops.convert_to_numpy(values)) for name, values in x.items()}
    rows = len(x["x"])
    arguments = {"batch_size": batch_size_for(rows), **arguments}
    model.optimizer.build(model.trainable_variables)
    start = [ops.copy(v) for v in _state(model)]
    training, held = _held_out(model, x, arguments)
    epochs = _epochs(len(training["x"]), arguments)
    history, best = _fit(model, training, held.error, epochs, arguments)
    widening = held.widening()
    if rows < LARGE and arguments.get("validation_data") is None:
        for variable, value in zip(_state(model), start, strict=True):
            variable.assign(value)
        history, _ = _fit(model, x, None, max(best, 1), arguments)
    _widen(model, widening)
    return history


def _widen(model, factor):
    """Multiplies the learned scales of numbers, which fit the cells that they were trained on."""
    for part in getattr(getattr(model.likelihood, "likelihood", None), "likelihoods", []):
        if isinstance(part, Scaled) and part.scale in ("shared", "per_feature"):
            part.log_scale.assign_add(math.log(factor) / part.rate_multiple)


def _state(model):
    """All that training changes."""
    return [*model.variables, *model.optimizer.variables]


def _steps(rows, arguments):
    return math.ceil(rows / arguments["batch_size"])


def _epochs(rows, arguments):
    return min(max(10, STEPS // _steps(rows, arguments)), MOST_EPOCHS)


def _fit(model, x, error, epochs, arguments):
    """The history of one fit, and the number of its best epoch."""
    average = BestAverage(error, _steps(len(x["x"]), arguments))
    callbacks = [*keras.tree.flatten(arguments.get("callbacks") or []), average]
    given = {**arguments, **_weights(x), "callbacks": callbacks}
    history = model.fit_epochs(_without_weights(x), epochs=epochs, **given)
    return history, average.best_epoch


def _weights(x):
    return {"sample_weight": x["sample_weight"]} if "sample_weight" in x else {}


def _without_weights(x):
    return {key: value for key, value in x.items() if key != "sample_weight"}


def _held_out(model, x, arguments):
    """What is left of x for training, and what is held out."""
    weights = arguments.pop("sample_weight", None)
    if weights is not None:
        x["sample_weight"] = np.asarray(weights)
    generator = np.random.default_rng(model.seed)
    given = arguments.get("validation_data")
    if given is not None:
        return x, HeldOutRows(model, data_adapters.unpack_validation(given)[0])
    if np.mean(x["mask"]) < 1 - GAPS:
        return _without_cells(model, x, generator)
    return _without_rows(model, x, generator)


def _without_rows(model, x, generator):
    order = generator.permutation(len(x["x"]))
    held = min(max(1, round(HELD_OUT * len(order))), MOST_ROWS)
    rest = {key: value[order[:held]] for key, value in _without_weights(x).items()}
    kept = order[held:] if len(order) > held else order
    return {key: value[kept] for key, value in x.items()}, HeldOutRows(model, rest)


def _without_cells(model, x, generator):
    rows = generator.permutation(len(x["x"]))[:MOST_ROWS]
    held = np.zeros_like(x["mask"])
    held[rows] = generator.random((len(rows), held.shape[1])) < HELD_OUT
    held &= x["mask"]
    training = {**x, "mask": x["mask"] & ~held}
    seen = {key: training[key][rows] for key in ("x", "mask")}
    return training, HeldOutCells(model, seen, held[rows])


@dataclasses.dataclass
class HeldOutRows:
    """Rows that a model does not see, in any form that its methods take."""

    model: Any
    rows: Any

    def error(self) -> float:
        """Returns minus the mean log-likelihood of the rows, in nats."""
        found = self.model.log_likelihood(self.rows, num_samples=_DRAWS, batch_size=128)
        return -float(np.mean(found))

    def widening(self) -> float:
        """Returns 1: likelihoods of rows that were held out are best where the scales are right."""
        return 1.0


@dataclasses.dataclass
class HeldOutCells:
    """Known cells that a model does not see, of rows that it sees otherwise."""

    model: Any
    seen: dict[str, np.ndarray]
    held: np.ndarray

    @property
    def are_numbers(self) -> np.ndarray:
        """Returns which columns hold numbers, not classes."""
        return np.array(self.model.table.num_classes) == 0

    def error(self) -> float:
        """Returns the mean over the cells of squared errors of numbers and shares of wrong classes.

        Errors of numbers are in standard deviations of the column.
        """
        found, truth = self.model.reconstructed(self.seen), self.seen["x"]
        error = np.where(self.are_numbers, (found - truth) ** 2, found != truth)
        return float(error[self.held].mean()) if self.held.any() else 0.0

    def widening(self) -> float:
        """Returns how much larger errors of numbers are than the draws of the model vary.

        It is at least 1, and the root of the mean squared ratio, without the largest 1 %.
        """
        cells = self.held & self.are_numbers
        if cells.sum() < _FEWEST:
            return 1.0
        draws = self.model.drawn(self.seen, num_imputations=50, num_samples=200, seed=0)
        mean, deviation = draws.mean(axis=1), draws.std(axis=1)
        ratio = np.square(self.seen["x"] - mean)[cells] / np.maximum(deviation[cells], 1e-6) ** 2
        usual = ratio[ratio <= np.quantile(ratio, 0.99)]
        return float(max(1.0, np.sqrt(usual.mean())))


class BestAverage(keras.callbacks.Callback):
    """Averages the weights, and keeps the average of the epoch with the smallest error.

    Args:
        error: function without arguments that returns the model's error; None keeps the average of
            the last epoch.
        steps: number of optimizer steps of an epoch.

    Reference: Izmailov et al., Averaging Weights Leads to Wider Optima (arXiv:1803.05407).
    """

    def __init__(self, error: Callable[[], float] | None, steps: int) -> None:
        super().__init__()
        self.error, self.steps = error, steps
        self.every = max(1, CHECKED // steps)
        self.patience = min(max(3, math.ceil(PATIENCE / steps)), MOST_EPOCHS // 4)
        self.best, self.best_epoch = np.inf, 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.average = self.kept = self._weights()

    def _weights(self):
        return [ops.convert_to_numpy(v) for v in self.model.trainable_variables]

    def _assign(self, weights):
        for variable, value in zip(self.model.trainable_variables, weights, strict=True):
            variable.assign(value)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        last = self._weights()
        share = max(1.0 - math.exp(-self.steps / AVERAGED), 10.0 / (epoch + 10.0))
        self.average = [a + share * (w - a) for a, w in zip(self.average, last, strict=True)]
        if self.error is None:
            self.kept, self.best_epoch = self.average, epoch + 1
        elif (epoch + 1) % self.every == 0:
            self._assign(self.average)
            self._judge(epoch + 1, self.error())
            self._assign(last)

    def _judge(self, epoch, error):
        """Keeps the average if its error is the smallest so far, and stops after too long."""
        if error < self.best or not self.best_epoch:
            self.best, self.best_epoch, self.kept = error, epoch, self.average
        elif epoch - self.best_epoch >= self.patience:
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._assign(self.kept)


def warn_of_few(size: float, least: float, condition: Mapping[str, Any]) -> None:
    """Warns where a condition is so unlikely that few draws carry all the weight."""
    if size < least:
        warnings.warn(
            f"Only {size:.1f} draws of z carry the weight for condition={dict(condition)!r}, so "
            "that rows resemble one another: raise `num_samples`, or condition on less.",
            stacklevel=3,
        )
