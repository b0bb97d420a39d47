"""What a model asks of its trainer, with the answers of Keras' own: enough for torch."""

import contextlib

import keras


class BaseTrainer(keras.Model):
    """A `keras.Model` whose `compute_loss` returns this replica's share of the loss.

    The shares of all replicas add up to the loss (see `replicas.replica_loss`), and so do their
    gradients, which is what an optimizer does with them. Another class that uses a trainer has
    `iteration_snapshot`, a metric of the optimizer's step as the epoch began.
    """

    strategy = None
    """The `tf.distribute` strategy in whose scope the model was made, or None."""
    is_chief = True
    """Whether this process is the one that writes files: the only one, or the chief worker."""

    def batch_shapes(self):
        """Symbolic x, y and sample_weight for a built model, or None where no metrics need them."""

    def strategy_scope(self):
        """The scope in which the model was made, for models that are made later."""
        return contextlib.nullcontext()

    def check_strategy(self):
        """Refuses what cannot be exact on several replicas."""

    def check_jit(self, jit_compile):
        """Refuses compilation that the backend cannot do."""
        if keras.backend.backend() == "torch" and jit_compile is True:
            raise ValueError(
                "`jit_compile` must be left out of `compile` on torch, because torch.compile "
                "cannot trace the likelihoods. Received: jit_compile=True"
            )

    def prepare_fit(self, callbacks):
        """Called before `fit` with its callbacks, a list; returns those that Keras gets."""
        return callbacks

    def optimizer_step(self):
        """The optimizer's step as a tensor or a variable; 0 before `compile`."""
        optimizer = getattr(self, "optimizer", None)
        return 0 if optimizer is None else optimizer.iterations
