"""What is counted over an epoch, on all replicas."""

import keras
from keras import ops

from keras_vae import replicas


class Means(keras.metrics.Metric):
    """Weighted means over the examples of an epoch, several by name, in one update."""

    def __init__(self, names):
        super().__init__(name="means")
        self.names = list(names)
        self.totals = self.add_variable((len(self.names),), "zeros", name="totals")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, values, sample_weight):
        """Values: one (B,) for each name. Weights: (B,)."""
        values, weights = (
            ops.cast(ops.stack(values), self.dtype),
            ops.cast(sample_weight, self.dtype),
        )
        self.totals.assign_add(ops.sum(values * weights, axis=1))
        self.count.assign_add(ops.sum(weights))

    def result(self):
        means = ops.unstack(ops.divide_no_nan(self.totals, self.count), len(self.names))
        return dict(zip(self.names, means, strict=True))


class CodeUsage(keras.metrics.Metric):
    """`code_usage`, the part of the codes in use over the epoch, and `perplexity`, how many
    equally frequent codes would have their entropy.

    With several codebooks, which take turns along a sequence of codes, the means of both over
    them; of the perplexities the geometric one, which is at most `num_codes`.
    """

    def __init__(self, num_codes, num_codebooks=1, name="code_usage", **kwargs):
        super().__init__(name=name, **kwargs)
        self.num_codes, self.num_codebooks = num_codes, num_codebooks
        shape = (num_codebooks, num_codes)
        self.counts = self.add_weight(name="counts", shape=shape, initializer="zeros")

    def update_state(self, indices, sample_weight=None):
        """Counts the codes of this replica, integers (B, N)."""
        turns = ops.reshape(indices, (-1, self.num_codebooks))
        counts = ops.sum(ops.one_hot(turns, self.num_codes), axis=0)
        self.counts.assign_add(replicas.all_sum(counts))

    def result(self):
        p = self.counts / ops.maximum(ops.sum(self.counts, axis=1, keepdims=True), 1.0)
        entropies = -ops.sum(p * ops.log(ops.maximum(p, 1e-30)), axis=1)
        used = ops.mean(ops.cast(self.counts > 0, "float32"))
        return {"code_usage": used, "perplexity": ops.exp(ops.mean(entropies))}


class Overflows(keras.metrics.Metric):
    """For each latent dimension, examples since the epoch began whose KL is NaN or infinite.

    None where the KL is not split by dimension. Not among the logs: `callbacks.StopOnNonFinite`
    names the dimensions.
    """

    def __init__(self, latent_dim):
        super().__init__(name="overflows")
        self.counts = self.add_weight(name="counts", shape=(latent_dim,), initializer="zeros")

    def update_state(self, kl_summands):
        if kl_summands.shape[-1] == self.counts.shape[0]:
            bad = ops.cast(ops.logical_not(ops.isfinite(kl_summands)), "float32")
            self.counts.assign_add(ops.sum(bad, axis=0))

    def result(self):
        return ops.convert_to_tensor(self.counts)


class StepNow(keras.metrics.Metric):
    """The optimizer's step, as `reset_metrics` found it: for evaluation where Keras hides it.

    Not among the logs.
    """

    def __init__(self):
        super().__init__(name="step_now")
        self.step = self.add_weight(name="step", shape=(), initializer="zeros", dtype="int32")

    def update_state(self, step):
        self.step.assign(step + 0)  # a copy: JAX gives away the buffers of its state

    def result(self):
        return ops.convert_to_tensor(self.step)
