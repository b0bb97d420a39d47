"""Training steps: what Keras needs put right on TensorFlow, under tf.distribute, and on JAX.

The mathematics is in `compute_loss`, which knows no backend; torch runs Keras' own steps.
"""

import contextlib

import keras
from keras import ops

from keras_vae import optimizers, random, replicas


class Trainer(keras.Model):
    """A `keras.Model` whose `compute_loss` returns this replica's share of the loss.

    The shares of all replicas add up to the loss (see `replicas.share_of_mean`), and so do their
    gradients, which is what an optimizer does with them. Building it sets `x_shape` and
    `target_shape`, the shapes of an example and of what is reconstructed, and `condition_dim`. It
    has `step_now`, a metric of the optimizer's step as the epoch began.
    """

    def _give_each_variable_its_buffer(self):
        """On JAX alone two may share one."""

    if keras.backend.backend() == "tensorflow":

        def train_step(self, data):
            """One optimizer step on a batch; returns the metrics so far as a dict."""
            import tensorflow as tf

            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
            with tf.GradientTape() as tape:
                y_pred = self(x, training=True)
                loss = self.compute_loss(x, y, y_pred, sample_weight, training=True)
                loss = self.optimizer.scale_loss(loss)
            weights = self.trainable_weights
            self._apply(tape.gradient(loss, weights), weights)
            return self._logs(self.compute_metrics(x, y, y_pred, sample_weight))

        def test_step(self, data):
            """Evaluates a batch; returns the metrics so far as a dict."""
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
            y_pred = self(x, training=False)
            self.compute_loss(x, y, y_pred, sample_weight, training=False)
            return self._logs(self.compute_metrics(x, y, y_pred, sample_weight))

        def _make_function(self, step_function):
            """As Keras', without a nested function and an `Optional` for the logs of one step.

            These take longer than the step of a small model.
            """
            import tensorflow as tf

            function = super()._make_function(step_function)
            many = self.strategy is not None or tf.distribute.has_strategy()
            if many or self.run_eagerly or self.jit_compile or self.steps_per_execution > 1:
                return function
            step = self._autoconvert_optionals(step_function)

            @tf.function(reduce_retracing=True, autograph=False)
            def step_on(iterator):
                return step(iterator.get_next())

            return lambda data: (step_on if isinstance(data, tf.data.Iterator) else function)(data)

        def _apply(self, gradients, weights):
            """Applies gradients; on replicas, clips their sum instead of each.

            `optimizer.apply` clips what one replica has and then adds the replicas up. So the sum
            is made and clipped here, and each replica hands in an equal part of it. That also lets
            loss scaling see an overflow on any replica.
            """
            import tensorflow as tf

            found = [(g, w) for g, w in zip(gradients, weights, strict=True) if g is not None]
            if not found:
                return
            gradients, weights = zip(*found, strict=True)
            if replicas.context() is not None:
                dense = [tf.convert_to_tensor(g) for g in gradients]
                total = _clip(replicas.all_sum(dense), self.optimizer, weights)
                gradients = [g / float(replicas.count()) for g in total]
            optimizers.with_one_kernel(self.optimizer)
            self.optimizer.apply(gradients, weights)

        def _logs(self, logs):
            """Keras concatenates multi-worker logs over axis 0: gives them that axis."""
            import tensorflow as tf

            workers = tf.distribute.MultiWorkerMirroredStrategy
            if isinstance(self.distribute_strategy, workers):
                return {name: tf.reshape(value, [1]) for name, value in logs.items()}
            return logs

        def make_train_function(self, force=False):
            """As Keras', which would trace twice to make variables in the first of them."""
            if self.built:
                self._build_metrics_and_optimizer()
            return super().make_train_function(force)

        def _maybe_symbolic_build(self, iterator=None, data_batch=None):
            """As Keras', without a batch where it would take one.

            It averages the replicas' first batches, which fails unless they are equally long
            (keras#19246), and eats a batch of a generator.
            """
            if iterator is not None:
                _leave_out_the_autotuner(iterator)
            if self.strategy is None or not self.built:
                return super()._maybe_symbolic_build(iterator, data_batch)
            self._build_metrics_and_optimizer()

        def _build_metrics_and_optimizer(self):
            """From the shapes that a built model knows."""
            shapes = (self.x_shape, self.target_shape, ())
            x, y, weights = (keras.KerasTensor((None, *shape)) for shape in shapes)
            if self.condition_dim:
                x = {"x": x, "condition": keras.KerasTensor((None, self.condition_dim))}
            with self.strategy_scope():
                self._symbolic_build(data_batch=(x, y, weights))

    elif keras.backend.backend() == "jax":

        def train_step(self, state, data):
            """As Keras', whose loss would see the optimizer's step of the first trace for ever."""
            mapping = list(zip(self.optimizer.variables, state[2], strict=True))
            with keras.StatelessScope(mapping):
                self._traced_step = ops.convert_to_tensor(self.optimizer.iterations)
            try:
                return super().train_step(state, data)
            finally:
                self._traced_step = None

        def _give_each_variable_its_buffer(self):
            """JAX cannot give away one twice; weights share theirs with their EMA after `fit`."""
            seen = set()
            for variable in [*self.variables, *self.optimizer.variables]:
                if id(variable.value) in seen:
                    variable.assign(variable.value + 0)
                seen.add(id(variable.value))

    _traced_step = None

    def _step(self):
        """The optimizer's step, 0 before `compile`."""
        if keras.backend.backend() != "jax":
            return self._iterations()
        return self.step_now.result() if self._traced_step is None else self._traced_step

    def _iterations(self):
        optimizer = getattr(self, "optimizer", None)
        return 0 if optimizer is None else optimizer.iterations

    @property
    def strategy(self):
        """The `tf.distribute` strategy in whose scope the model was made, or None."""
        return getattr(self, "_distribute_strategy", None)

    @property
    def is_chief(self):
        """Whether this process is the one that writes files: the only one, or the chief worker."""
        resolver = getattr(self.strategy, "cluster_resolver", None)
        if resolver is None or not resolver.task_type:
            return True
        chiefs = resolver.cluster_spec().as_dict().get("chief")
        return resolver.task_type == "chief" if chiefs else resolver.task_id == 0

    def callbacks_of_this_worker(self, callbacks):
        """Without those that write files, on a worker that is not the chief."""
        if (
            self.is_chief
            or callbacks is None
            or isinstance(callbacks, keras.callbacks.CallbackList)
        ):
            return callbacks
        callbacks = keras.tree.flatten(callbacks)
        writers = (keras.callbacks.CSVLogger, keras.callbacks.TensorBoard)
        for callback in callbacks:
            if isinstance(callback, keras.callbacks.BackupAndRestore):
                callback._save_model, callback.delete_checkpoint = lambda: None, False
        return [callback for callback in callbacks if not isinstance(callback, writers)]

    def check_strategy(self):
        """Refuses what cannot be exact under tf.distribute; shares Dropout's masks out."""
        if self.strategy is None or not self.compiled:
            return
        for optimizer in optimizers.innermost(self.optimizer):
            _check_optimizer(optimizer)
        if self.strategy.num_replicas_in_sync > 1:
            for layer in self._flatten_layers():
                _check_layer(layer)

    def strategy_scope(self):
        """The scope in which the model was made, for models that are made later."""
        return contextlib.nullcontext() if self.strategy is None else self.strategy.scope()


def _leave_out_the_autotuner(iterator):
    """From a pipeline of Keras' own, of which it is no part worth having.

    The end of an epoch waits for tf.data's autotuner, which can miss that it is called off and
    sleep on, up to a minute. A user's own pipeline stays as it is, as does a strategy's, to which
    no option leads.
    """
    import tensorflow as tf

    dataset = iterator._distributed_dataset
    if dataset is getattr(iterator.data_adapter, "_dataset", None):
        return
    if not isinstance(dataset, tf.data.Dataset) or dataset.options().autotune.enabled is not None:
        return
    options = tf.data.Options()
    options.autotune.enabled = False
    iterator._distributed_dataset = dataset.with_options(options)


def _check_optimizer(optimizer):
    if optimizer.gradient_accumulation_steps:
        raise ValueError(
            "`gradient_accumulation_steps` must be left out under tf.distribute, where Keras "
            "cannot run it (keras#20582); use a larger batch instead. Received: "
            f"gradient_accumulation_steps={optimizer.gradient_accumulation_steps}"
        )
    if optimizer.use_ema and optimizer.ema_overwrite_frequency:
        raise ValueError(
            "`ema_overwrite_frequency` must be left out under tf.distribute, where Keras "
            "cannot run it (keras#20582); use the `SwapEMAWeights` callback instead. Received: "
            f"ema_overwrite_frequency={optimizer.ema_overwrite_frequency}"
        )


def _check_layer(layer):
    if isinstance(layer, keras.layers.BatchNormalization) and not layer.synchronized:
        raise ValueError(
            "`BatchNormalization` must be made with `synchronized=True` for several replicas, "
            "because each would normalise by its own rows, and one without rows by NaN. "
            f"Received: layer {layer.name!r} with synchronized=False"
        )
    if type(layer) is keras.layers.Dropout:
        random.share_dropout(layer)


def _clip(gradients, optimizer, weights):
    """Clips as `optimizer` would, with thresholds in units of the scaled loss."""
    scale, optimizer = _loss_scale(optimizer)
    if not hasattr(optimizer, "split"):
        return _clip_for(optimizer, gradients, scale)
    clipped = {}  # by weight, each group as its own optimizer would
    for one, own, group in optimizer.split(gradients, weights):
        clipped |= zip(map(id, group), _clip_for(one, own, scale), strict=True)
    return [clipped[id(weight)] for weight in weights]


def _clip_for(optimizer, gradients, scale):
    import tensorflow as tf

    if optimizer.clipnorm:
        return [tf.clip_by_norm(g, optimizer.clipnorm * scale) for g in gradients]
    if optimizer.global_clipnorm:
        return tf.clip_by_global_norm(gradients, optimizer.global_clipnorm * scale)[0]
    if optimizer.clipvalue:
        limit = optimizer.clipvalue * scale
        return [tf.clip_by_value(g, -limit, limit) for g in gradients]
    return gradients


def _loss_scale(optimizer):
    """(scale of the loss, the optimizer that clips)."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        scale = optimizer.dynamic_scale if optimizer.built else optimizer.initial_scale
        return scale, optimizer.inner_optimizer
    return optimizer.loss_scale_factor or 1.0, optimizer
