"""What `fit` and `evaluate` take: bound to names, checked, and handed to Keras."""

import functools
import inspect

import keras
import numpy as np

from keras_vae import replicas, validation
from keras_vae.trainer import Trainer


class CheckedModel(Trainer):
    """A `Trainer` that refuses bad input before the first step.

    A subclass has `build(input_shape)`, which sets `x_shape` and `target_shape`; `means`, whose
    names are the order of the logs; `condition_dim`, the length of the condition or None;
    `check_support(x, argument)`, which refuses values out of its support; and `fill_missing(x,
    mask)`.
    """

    @functools.wraps(keras.Model.fit)
    def fit(self, *args, **kwargs):
        call = _bind(keras.Model.fit, self, args, kwargs)
        self._check_compiled("fit")
        self.check_strategy()
        call.update(self._check_data(call))
        call["callbacks"] = self.callbacks_of_this_worker(call.get("callbacks"))
        if call.get("validation_data") is not None:
            x, y, weights = keras.utils.unpack_x_y_sample_weight(call["validation_data"])
            size = call.get("validation_batch_size") or call.get("batch_size")
            data = {"x": x, "y": y, "sample_weight": weights, "batch_size": size}
            checked = self._check_data(data, "validation x")
            call["validation_data"] = tuple(checked.values())
        if not validation.is_array(call["x"]) and not isinstance(call["x"], keras.utils.PyDataset):
            call.setdefault("shuffle", False)  # Keras can only warn that it does not shuffle these
        if not isinstance(call["callbacks"], keras.callbacks.CallbackList):
            call["callbacks"] = keras.tree.flatten(call["callbacks"] or [])
            for callback in call["callbacks"]:
                if hasattr(callback, "join"):  # as of `callbacks.Backup`
                    callback.join(self, call)
        self._give_each_variable_its_buffer()
        history = super().fit(**call)
        history.history = self._in_order(history.history)
        return history

    @functools.wraps(keras.Model.evaluate)
    def evaluate(self, *args, **kwargs):
        call = _bind(keras.Model.evaluate, self, args, kwargs)
        self._check_compiled("evaluate")
        if not call.get("_use_cached_eval_dataset"):
            call.update(self._check_data(call))
        logs = super().evaluate(**call)
        return self._in_order(logs) if isinstance(logs, dict) else logs

    def _in_order(self, logs):
        """Logs with the order of the means, which Keras sorts by name."""
        names = [prefix + name for prefix in ("", "val_") for name in self.means.names]
        return {name: logs[name] for name in names if name in logs} | logs

    def _check_compiled(self, verb):
        if getattr(self, "_compile_loss", None) is not None:
            raise ValueError(
                "`loss` must be left out of `compile`, because the loss is the VAE's objective: "
                "`VAE(…, objective=…, likelihood=…)`; metrics=[…] are welcome. "
                f"Received: a model compiled with a loss, in `{verb}`"
            )

        if keras.backend.backend() == "torch" and self.compiled and self.jit_compile:
            raise ValueError(
                "`jit_compile` must be left out of `compile` on torch, because torch.compile "
                f"cannot trace the likelihoods. Received: jit_compile=True, in `{verb}`"
            )

    def _check_data(self, call, argument="x"):
        """x, y and sample_weight as Keras should get them, or ValueError."""
        x, y, weights = call.get("x"), call.get("y"), call.get("sample_weight")
        if validation.is_array(x):
            named = ((x, argument), (y, "y"), (weights, "sample_weight"))
            x, y, weights = (
                validation.as_numeric(v, name) if isinstance(v, list) else v for v, name in named
            )
            x = _arrays(x) if isinstance(x, dict) else x
            if y is None and weights is not None:  # Keras drops weights without y
                y = x["x"] if isinstance(x, dict) else x
            self._check_batch(x, y, weights, argument)
            if replicas.shards() > 1:
                validation.check_shards(call.get("batch_size") or 32, replicas.shards())
                x, y, weights = _filled(x, y, weights)
        else:
            x, first = validation.peek(x, argument)
            if first is not None:
                self._check_batch(*keras.utils.unpack_x_y_sample_weight(first), argument)
        return {"x": x, "y": y, "sample_weight": weights}

    def _check_batch(self, x, y, weights, argument="x"):
        batch = _arrays(x, argument)
        self._check_input(batch, argument, is_target=y is None or y is batch["x"])
        if y is None:
            validation.check_target(batch["x"], self.target_shape, argument)
        else:
            y = validation.as_numeric(y, "y")
            validation.check_target(y, self.target_shape, "y")
            validation.check_length(y, len(batch["x"]), "y")
            self._check_values(y, batch.get("mask"), "y")
        if weights is not None:
            weights = validation.as_numeric(weights, "sample_weight")
            validation.check_weights(weights, len(batch["x"]))

    def _check_input(self, x, argument="x", is_target=True):
        """x, or a dict of x, condition and mask, as arrays; ValueError if they do not fit.

        `is_target` says that x is reconstructed, and so must lie in the support.
        """
        batch = _arrays(x, argument)
        values, condition, mask = (batch.get(key) for key in ("x", "condition", "mask"))
        if not self.built:
            self.build(values.shape)
        validation.check_shape(values, self.x_shape, argument)
        validation.check_condition(condition, len(values), self.condition_dim)
        if mask is not None:
            validation.check_mask(mask, values.shape)
            validation.check_target(values, self.target_shape, argument)
        if is_target and self.x_shape == self.target_shape:
            self._check_values(values, mask, argument)
        else:
            seen = values if mask is None else values[mask.astype("bool")]
            validation.check_finite(seen, argument) if seen.size else None
        return batch if isinstance(x, dict) else values

    def _check_values(self, values, mask, argument):
        if mask is not None:
            values = self.fill_missing(values, mask)
        self.check_support(values, argument)  # which must be finite too


def _arrays(x, argument="x"):
    """A batch as a dict of NumPy arrays."""
    parts = validation.parts_of(x)
    names = {"x": argument}
    return {key: validation.as_numeric(v, names.get(key, key)) for key, v in parts.items()}


def _filled(x, y, weights):
    """With rows of weight 0 behind, so that every batch divides among the devices."""
    y = validation.parts_of(x)["x"] if y is None else y
    weights = np.ones(len(y), "float32") if weights is None else weights
    extra = -len(y) % replicas.shards()
    weights = np.append(weights, np.zeros(extra, weights.dtype))
    x, y = keras.tree.map_structure(lambda a: validation.with_more_rows(a, extra), (x, y))
    return x, y, weights


def _bind(method, model, args, kwargs):
    """The arguments of a call of a Keras method, by name."""
    call = dict(inspect.signature(method).bind(model, *args, **kwargs).arguments)
    del call["self"]
    return call.pop("kwargs", {}) | call
