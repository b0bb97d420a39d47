"""What is counted over an epoch, on all replicas."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
from keras import ops

from keras_vae import replicas
from keras_vae.typing import Tensor


class WeightedMeans(keras.metrics.Metric):
    """Weighted means over the examples of an epoch, several by name, in one update."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(name="means")
        self.names = list(names)
        self.totals = self.add_variable((len(self.names),), "zeros", name="totals")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, values: Sequence[Tensor], sample_weight: Tensor) -> None:
        """Adds the examples of a batch.

        Args:
            values: one tensor (B,) for each name.
            sample_weight: weights (B,).
        """
        values, weights = (
            ops.cast(ops.stack(values), self.dtype),
            ops.cast(sample_weight, self.dtype),
        )
        self.totals.assign_add(ops.sum(values * weights, axis=1))
        self.count.assign_add(ops.sum(weights))

    def result(self) -> dict[str, Tensor]:
        means = ops.unstack(ops.divide_no_nan(self.totals, self.count), len(self.names))
        return dict(zip(self.names, means, strict=True))


class CodeUsage(keras.metrics.Metric):
    """How many codes of a codebook are in use over an epoch.

    The logs are `code_usage`, the part of the codes in use, and `perplexity`, how many equally
    frequent codes would have their entropy.

    With several codebooks, which take turns along a sequence of codes, the means of both over
    them; of the perplexities the geometric one, which is at most `num_codes`.
    """

    def __init__(
        self, num_codes: int, num_codebooks: int = 1, name: str = "code_usage", **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.num_codes, self.num_codebooks = num_codes, num_codebooks
        shape = (num_codebooks, num_codes)
        self.counts = self.add_weight(name="counts", shape=shape, initializer="zeros")

    def update_state(self, indices: Tensor, sample_weight: Tensor | None = None) -> None:
        """Counts the codes of this replica, integers (B, N), each with its row's weight (B,)."""
        weights = ops.ones_like(indices, dtype=self.dtype)
        if sample_weight is not None:
            weights = weights * ops.cast(sample_weight, self.dtype)[:, None]
        first = ops.arange(self.num_codebooks, dtype=indices.dtype) * self.num_codes
        turns = ops.reshape(ops.reshape(indices, (-1, self.num_codebooks)) + first, (-1,))
        total = self.num_codebooks * self.num_codes
        counts = ops.segment_sum(ops.reshape(weights, (-1,)), turns, num_segments=total)
        self.counts.assign_add(replicas.all_sum(ops.reshape(counts, self.counts.shape)))

    def result(self) -> dict[str, Tensor]:
        p = ops.divide_no_nan(self.counts, ops.sum(self.counts, axis=1, keepdims=True))
        entropies = -ops.sum(p * ops.log(ops.maximum(p, 1e-30)), axis=1)
        used = ops.mean(ops.cast(self.counts > 0, "float32"))
        return {"code_usage": used, "perplexity": ops.exp(ops.mean(entropies))}


class NonFiniteKL(keras.metrics.Metric):
    """For each latent dimension, examples since the epoch began whose KL is NaN or infinite.

    None where the KL is not split by dimension. Not among the logs: `callbacks.StopOnNonFinite`
    names the dimensions.
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__(name="non_finite")
        self.counts = self.add_weight(name="counts", shape=(latent_dim,), initializer="zeros")

    def update_state(self, kl_summands: Tensor) -> None:
        if kl_summands.shape[-1] == self.counts.shape[0]:
            bad = ops.cast(ops.logical_not(ops.isfinite(kl_summands)), "float32")
            self.counts.assign_add(ops.sum(bad, axis=0))

    def result(self) -> Tensor:
        return ops.convert_to_tensor(self.counts)


class IterationSnapshot(keras.metrics.Metric):
    """The optimizer's step, as `reset_metrics` found it: for evaluation where Keras hides it.

    Not among the logs.
    """

    def __init__(self) -> None:
        super().__init__(name="iteration_snapshot")
        self.step = self.add_weight(name="step", shape=(), initializer="zeros", dtype="int32")

    def update_state(self, step: Tensor) -> None:
        self.step.assign(step + 0)  # a copy: JAX gives away the buffers of its state

    def result(self) -> Tensor:
        return ops.convert_to_tensor(self.step)


class BadBatches(keras.metrics.Metric):
    """Counts examples with bad values over an epoch, and the batches before the first of them.

    A value is bad if an input is not finite, or a target lies outside the support. Not among the
    logs: `data_adapters.BatchCheck` raises the error.
    """

    def __init__(self) -> None:
        super().__init__(name="bad_batches")
        self.bad = self.add_weight(name="bad", shape=(), initializer="zeros")
        self.clean = self.add_weight(name="clean", shape=(), initializer="zeros")

    def update_state(self, good: Tensor) -> None:
        """Counts a batch; `good` has a boolean for each example of this replica, (B,)."""
        bad = ops.sum(1.0 - ops.cast(good, "float32"))
        clean = replicas.all_sum(self.bad + bad) == 0
        self.bad.assign_add(bad)
        self.clean.assign_add(ops.cast(clean, "float32") / replicas.count())

    def result(self) -> Tensor:
        return ops.convert_to_tensor(self.bad)

    def found(self) -> tuple[int, int]:
        """Returns how many examples have bad values, and the number of the first batch with one."""
        bad, clean = (round(float(ops.convert_to_numpy(v))) for v in (self.bad, self.clean))
        return bad, clean


class StepMetrics:
    """The metrics that a step updates: the means that are logged, and counters that are not.

    Args:
        names: names of the means.
        latent_dim: length D of a code.
    """

    groups: WeightedMeans
    """Means of each group, which a ladder adds."""

    def __init__(self, names: Iterable[str], latent_dim: int) -> None:
        self.means = WeightedMeans(names)
        self.non_finite = NonFiniteKL(latent_dim)
        self.bad_batches = BadBatches()
        self.iteration_snapshot = IterationSnapshot()

    @property
    def unlogged_variables(self) -> list[keras.Variable]:
        """Returns the variables of the metrics that are not among the logs."""
        unlogged = (self.non_finite, self.bad_batches, self.iteration_snapshot)
        return [variable for metric in unlogged for variable in metric.variables]

    def reset(self, step: Tensor) -> None:
        """Begins an epoch at a step of the optimizer."""
        self.non_finite.reset_state()
        self.bad_batches.reset_state()
        self.iteration_snapshot.update_state(step)
