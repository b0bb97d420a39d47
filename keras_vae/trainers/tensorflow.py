"""What Keras needs put right on TensorFlow under tf.distribute."""

import contextlib
import warnings
from collections.abc import Callable
from typing import Any

import keras

from keras_vae import keras_compat, layers, optimizers, replicas
from keras_vae.trainers.base import BaseTrainer
from keras_vae.typing import Tensor


class TensorFlowTrainer(keras_compat.TensorFlowHooks, BaseTrainer):
    """A training step that is exact on several replicas and workers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        import tensorflow as tf

        super().__init__(*args, **kwargs)
        self._strategy = tf.distribute.get_strategy() if tf.distribute.has_strategy() else None

    @property
    def strategy(self) -> Any:
        return getattr(self, "_strategy", None)

    def strategy_scope(self) -> contextlib.AbstractContextManager[Any]:
        return super().strategy_scope() if self.strategy is None else self.strategy.scope()

    @property
    def is_chief(self) -> bool:
        resolver = getattr(self.strategy, "cluster_resolver", None)
        if resolver is None or not resolver.task_type:
            return True
        chiefs = resolver.cluster_spec().as_dict().get("chief")
        return resolver.task_type == "chief" if chiefs else resolver.task_id == 0

    def train_step(self, data: Any) -> dict[str, Tensor]:
        """Takes one optimizer step on a batch.

        Args:
            data: the batch.

        Returns:
            The metrics so far, a dict.
        """
        import tensorflow as tf

        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred, sample_weight, training=True)
            loss = self.optimizer.scale_loss(loss)
        weights = self.trainable_weights
        self._apply(tape.gradient(loss, weights), weights, loss)
        return self._logs(self.compute_metrics(x, y, y_pred, sample_weight))

    def test_step(self, data: Any) -> dict[str, Tensor]:
        """Evaluates a batch.

        Args:
            data: the batch.

        Returns:
            The metrics so far, a dict.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y_pred = self(x, training=False)
        self.compute_loss(x, y, y_pred, sample_weight, training=False)
        return self._logs(self.compute_metrics(x, y, y_pred, sample_weight))

    def _apply(self, gradients, weights, loss):
        """Applies gradients; on replicas, clips their sum instead of each.

        `optimizer.apply` clips what one replica has and then adds the replicas up. So the sum is
        made and clipped here, and each replica hands in an equal part of it. That also lets loss
        scaling see an overflow on any replica. Rows of an embedding that occur several times in a
        batch are added up first, because Adam squares each row that it is given.

        The updates wait for the loss. TensorFlow's graph optimizer may drop the order between an
        update and a read of the same weight that only the loss needs, such as that of
        `stop_gradient(weight)`, which then sometimes reads the weight of the next step.
        """
        import tensorflow as tf

        found = [(g, w) for g, w in zip(gradients, weights, strict=True) if g is not None]
        if not found:
            return
        gradients, weights = zip(*found, strict=True)
        gradients = [tf.convert_to_tensor(g) for g in gradients]
        if replicas.context() is not None:
            total = _clip(replicas.all_sum(gradients), self.optimizer, weights)
            with tf.control_dependencies([loss]):
                gradients = [g / float(replicas.count()) for g in total]
            self.optimizer.apply(gradients, weights)
        else:
            optimizers.apply(self.optimizer, gradients, weights)

    def _logs(self, logs):
        """Keras concatenates multi-worker logs over axis 0: gives them that axis."""
        import tensorflow as tf

        if isinstance(self.strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return {name: tf.reshape(value, [1]) for name, value in logs.items()}
        return logs

    def make_train_function(self, force: bool = False) -> Any:
        """Compiles the training step, with its variables made before.

        Keras would trace twice to make variables in the first trace.

        Args:
            force: whether to compile anew.

        Returns:
            What Keras returns.
        """
        if self.built:
            self._build_metrics_and_optimizer()
        return super().make_train_function(force)

    def prepare_first_step(self, keras_own: Callable[[], Any], iterator: Any) -> None:
        """Does what Keras does before the first step, without a batch where Keras would take one.

        Keras averages the replicas' first batches, which fails unless they are equally long
        (keras#19246), and eats a batch of a generator.

        Args:
            keras_own: function without arguments that does what Keras would do.
            iterator: what yields the batches, or None.
        """
        if iterator is not None:
            keras_compat.turn_off_autotuner(iterator)
        if self.strategy is None or not self.built:
            keras_own()
        else:
            self._build_metrics_and_optimizer()

    def _build_metrics_and_optimizer(self):
        """From the shapes that a built model knows."""
        with self.strategy_scope():
            keras_compat.build_from_shapes(self, self.batch_shapes())

    def check_strategy(self) -> None:
        """Refuses what cannot be exact under tf.distribute; warns of masks that are shared."""
        if self.strategy is None or not self.compiled:
            return
        for optimizer in optimizers.innermost(self.optimizer):
            _check_optimizer(optimizer)
        if self.strategy.num_replicas_in_sync > 1:
            inside = keras_compat.flatten_layers(self)
            for layer in inside:
                _check_layer(layer)
            _warn_of_shared_masks([layer.name for layer in inside if layers.is_stock_random(layer)])


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


def _warn_of_shared_masks(names):
    if names:
        warnings.warn(
            f"The layers {', '.join(names)} draw the same noise on every replica, so that training "
            "on several replicas differs from training on one device. `keras_vae.layers.Dropout` "
            "draws as one device would.",
            stacklevel=4,
        )


def _clip(gradients, optimizer, weights):
    """Clips as `optimizer` would, with thresholds in units of the scaled loss."""
    scale, optimizer = _loss_scale(optimizer)
    if not hasattr(optimizer, "split"):
        return _clip_for(optimizer, gradients, scale)
    clipped: dict[int, Tensor] = {}  # by weight, each group as its own optimizer would
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
