"""What is counted over an epoch, on all replicas."""

import keras
from keras import ops


class CodeUsage(keras.metrics.Metric):
    """`code_usage`, the part of the codes in use over the epoch, and `perplexity`, how many
    equally frequent codes would have their entropy.
    """

    def __init__(self, num_codes, name="code_usage", **kwargs):
        super().__init__(name=name, **kwargs)
        self.num_codes = num_codes
        self.counts = self.add_weight(name="counts", shape=(num_codes,), initializer="zeros")

    def update_state(self, counts, sample_weight=None):
        self.counts.assign_add(counts)

    def result(self):
        p = self.counts / ops.maximum(ops.sum(self.counts), 1.0)
        entropy = -ops.sum(p * ops.log(ops.maximum(p, 1e-30)))
        used = ops.mean(ops.cast(self.counts > 0, "float32"))
        return {"code_usage": used, "perplexity": ops.exp(entropy)}


class Overflows(keras.metrics.Metric):
    """For each latent dimension, examples since the epoch began whose KL is NaN or infinite.

    Not among the logs: `callbacks.StopOnNonFinite` names the dimensions.
    """

    def __init__(self, latent_dim):
        super().__init__(name="overflows")
        self.counts = self.add_weight(name="counts", shape=(latent_dim,), initializer="zeros")

    def update_state(self, kl_summands):
        if kl_summands.shape[-1] != self.counts.shape[0]:  # not split by dimension: it is all's
            kl_summands = ops.sum(kl_summands, axis=-1, keepdims=True)
        bad = ops.cast(ops.logical_not(ops.isfinite(kl_summands)), "float32")
        self.counts.assign_add(ops.broadcast_to(ops.sum(bad, axis=0), self.counts.shape))

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
