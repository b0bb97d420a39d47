"""The VAE: where encoder, posterior, prior, decoder, likelihood and objective meet."""

import contextlib
import functools
import inspect
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from keras_vae import (
    data_adapters,
    display,
    divergences,
    evaluation,
    export,
    inference,
    keras_compat,
    layers,
    likelihoods,
    memory,
    objectives,
    posteriors,
    prior_fitting,
    priors,
    random,
    replicas,
    saving,
    validation,
)
from keras_vae.batch import Batch, unpack, vectors
from keras_vae.callbacks import Backup
from keras_vae.callbacks.workers import for_this_worker
from keras_vae.metrics import IterationSnapshot, StepMetrics
from keras_vae.names import by_name
from keras_vae.networks import checks as network_checks
from keras_vae.networks.activations import last_activation
from keras_vae.part import (
    Configured,
    Part,
    build_once,
    from_arguments,
    register,
    serialized_arguments,
)
from keras_vae.quantized.packing import check_quantized, z_of_tokens
from keras_vae.runner import BATCH_SIZE, Runners
from keras_vae.scales import scale_warning
from keras_vae.trainers import Trainer
from keras_vae.typing import Data, FilePath, Shape, Tensor

_SCORED = 512
"""Codes that are decoded at a time for scores."""
_DECODED = 1_000_000
"""Numbers that `log_likelihood` decodes at a time, which bounds its memory."""


@register
class VAE(Configured, Trainer):
    """A variational autoencoder as an ordinary `keras.Model`.

    `compile` takes no loss, because the loss is the objective, in nats per example. `fit` takes x
    alone, (x, y) where y is the target to reconstruct, or (x, y, sample_weight), in any container.
    The logs are `loss` (what is minimised), `reconstruction_loss` (-log p(x|z)), `kl_loss` (never
    weighted by beta), one key for each penalty, and then the metrics of `compile`, which compare
    the target with the mean of p(x|z).

    Posterior, prior, likelihood and objective are parts, or the names of parts that need no
    arguments, such as `"standard_normal"`. All arguments are fixed once the model is made. Print a
    model to see its parts. The pages "The parts" and "Data" of the documentation describe what
    there is to choose from.

    Args:
        encoder: `keras.Model` that maps x to features (B, F). One with two outputs supplies the
            mean and the log-variance of q(z|x) itself, (B, D) each.
        decoder: `keras.Model` that maps z (B, D) to the parameters of the likelihood.
        posterior: q(z|x); by default `DiagonalNormal` with the decoder's latent size.
        prior: p(z); by default the parameter-free prior for the codes of the posterior, which is
            `StandardNormal()` for normal posteriors.
        likelihood: p(x|z); by default `Bernoulli()`, for x in [0, 1], or
            `Bernoulli(from_logits=False)` if the decoder ends in a sigmoid.
        objective: by default `ELBO(beta=1.0)`.
        penalties: sequence of parts with `loss(terms, step) -> (B,)`, added to the objective.
        seed: int, of the noise; by default one that obeys `keras.utils.set_random_seed`.

    Raises:
        ValueError: if a network or a part is not usable, or if they do not fit each other.

    Example:

    ```python
    vae = keras_vae.VAE(
        keras_vae.networks.dense_encoder((28, 28, 1)),
        keras_vae.networks.dense_decoder(2, (28, 28, 1)),
    )
    vae.compile(optimizer="adam")
    vae.fit(x, epochs=10, validation_data=x_test)
    vae.save("vae.keras")
    ```

    Reference: Kingma and Welling, Auto-Encoding Variational Bayes (arXiv:1312.6114).
    """

    warned_of_unusual_values = False
    """Whether a method has warned of inputs outside the likelihood's support."""
    _warned_before_training = False

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        posterior: posteriors.Posterior | str | None = None,
        prior: priors.Prior | str | None = None,
        likelihood: likelihoods.Likelihood | str | None = None,
        objective: Part | str | None = None,
        penalties: Sequence[Part] = (),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"autocast": False, **kwargs})  # the networks cast, targets stay
        self._check_networks(encoder, decoder)
        self.encoder = encoder
        self.decoder = decoder
        self.posterior = by_name(posterior, posteriors, "posterior")
        self.posterior = self.posterior or posteriors.DiagonalNormal(_latent_dim(decoder))
        self.prior = by_name(prior, priors, "prior") or priors.default(self.posterior)
        self.likelihood = by_name(likelihood, likelihoods, "likelihood")
        self.likelihood = self.likelihood or network_checks.default_likelihood(decoder)
        self.objective = by_name(objective, objectives, "objective") or objectives.ELBO()
        network_checks.check_final_activation(decoder, self.likelihood)
        self.penalties = list(penalties)
        self.seed = random.new_seed() if seed is None else seed
        self._train_noise = keras.random.SeedGenerator(random.stream(self.seed, 0))
        self._eval_noise = keras.random.SeedGenerator(random.stream(self.seed, 1))
        names = ["loss", "reconstruction_loss", "kl_loss", *(p.name for p in self.penalties)]
        self._step_metrics = StepMetrics(names, self.posterior.latent_dim)
        self._runners = Runners(self)
        self._has_metrics = False
        self.encoder_fills_missing = layers.fills_missing(encoder)
        self.encoder_takes_condition = condition_length(encoder) is not None
        self.decoder_takes_condition = condition_length(decoder) is not None
        self.condition_dim = condition_length(encoder) or condition_length(decoder)

    def _check_networks(self, encoder, decoder):
        network_checks.check_network(encoder, "encoder")
        network_checks.check_network(decoder, "decoder")
        network_checks.encoder_outputs(encoder)
        network_checks.check_decoder_outputs(decoder)

    def after_constructor(self) -> None:
        """Builds the model where the networks know their shapes; a subclass has its layers then."""
        shape = first_input_shape(self.encoder)
        if self.encoder.built and self.decoder.built and shape is not None:
            self.build(shape)

    def build(self, input_shape: Shape) -> None:
        """Builds all parts, and checks that they fit each other.

        Keras calls this method. A model whose networks know their shapes is built when it is made.

        Args:
            input_shape: the shape of x, with the batch.

        Raises:
            ValueError: if networks and parts do not fit each other.
        """
        if self.built:
            return
        condition = keras.KerasTensor((None, self.condition_dim)) if self.condition_dim else None
        features = self._features(keras.KerasTensor((None, *input_shape[1:])), condition)
        self.posterior(features)
        code = keras.KerasTensor((None, self.posterior.latent_dim))
        try:
            params = self._params(code, condition)
        except ValueError as error:
            raise ValueError(
                f"`decoder` must take codes of the posterior's latent_dim, (B, {code.shape[1]}). "
                f"Received: decoder={self.decoder.name}, which refused them: {error}"
            ) from error
        self._build_parts(input_shape, params.shape)

    def _build_parts(self, input_shape, params_shape):
        self.x_shape = tuple(input_shape[1:])
        self.target_shape = self.likelihood.example_shape(params_shape[1:])
        code_shape = (None, self.posterior.latent_dim)
        build_once(self.prior, code_shape)
        build_once(self.likelihood, params_shape)
        for part in (self.objective, *self.penalties):  # or Keras reads a batch to build them
            build_once(part, code_shape)
        self._check_parts()
        self.built = True

    def _check_parts(self):
        if self.posterior.space != self.prior.space:
            raise ValueError(
                "`prior` must be one for the codes of the posterior, because the KL compares the "
                "two; leave it out for the standard one. Received: posterior="
                f"{type(self.posterior).__name__} ({self.posterior.space}), prior="
                f"{type(self.prior).__name__} ({self.prior.space})"
            )
        parts = (self.posterior, self.prior, self.likelihood, self.objective, *self.penalties)
        for part in parts:
            if isinstance(part, Part):
                part.check_model(self)

    @property
    def latent_dim(self) -> int:
        """Returns the length D of a code."""
        return self.posterior.latent_dim

    def __repr__(self) -> str:
        """Returns what an example goes through, with shapes and numbers of weights."""
        return display.text_of(self)

    def _repr_html_(self):
        """The same as a diagram, in a notebook."""
        return display.html_of(self)

    def __dir__(self) -> list[str]:
        """Returns the attributes that completion offers, without what only Keras calls."""
        return [name for name in super().__dir__() if name not in display.not_offered()]

    # The mathematics: backend-free, traced. K draws, B examples, D latent dimensions.

    def call(self, x: Tensor | dict[str, Tensor], training: bool = False) -> dict[str, Any]:
        """Encodes x, draws codes and decodes them.

        Args:
            x: the examples, or a dict with `x`, and with `condition`, `mask` and `target_mask` if
                there are any.
            training: whether this is a training step.

        Returns:
            A dict with `batch`, the unpacked x; `q`, the parameters of q(z|x); `z`, the draws
                (K, B, D); `log_posterior`, their log q(z|x), (K, B); `params`, the decoder's output
                for each draw, (K, B, …); and, if `compile` was given metrics, `mean`, the mean of
                p(x|z) for the first draw.
        """
        batch = unpack(x, self.likelihood, self.condition_dim)
        outputs = self._draw(batch, self.objective.num_samples, training)
        if self._has_metrics:
            outputs["mean"] = self.likelihood.mean(outputs["params"][0])
        return outputs | {"batch": batch.tensors()}

    def _infer(self, batch, training=None):
        """The parameters of q(z|x), a dict."""
        features = self._features(self._seen(batch), batch.condition, training)
        return self.posterior(features, **_mode(training))

    def _seen(self, batch):
        """The encoder's x: NaN where an entry is missing, for an encoder that fills it itself."""
        if batch.mask is None or not self.encoder_fills_missing:
            return batch.x
        return ops.where(batch.mask, batch.x, float("nan"))

    def _draw(self, batch, num_samples, training=False):
        """`q`, draws `z` with their `log_posterior`, and what the decoder emits, `params`.

        Networks are told `training`, which they would not find out on JAX, where Keras calls
        `call` itself in a step.
        """
        q = self._infer(batch, training)
        seed, step = (
            (self._train_noise, self.optimizer_step()) if training else (self._eval_noise, None)
        )
        draws = self.posterior.sample_and_log_prob(q, num_samples, seed, step)
        state = self._decoder_state() if training else {}
        return self._decoded(batch, q, draws, training) | state

    def _score_draws(self, batch, num_samples):
        """Like `_draw`, with draws that depend on nothing but each row's own q(z|x)."""
        q = self._infer(batch)
        return self._decoded(batch, q, self.posterior.score_draws(q, num_samples))

    def _decoded(self, batch, q, draws, training=None):
        z, log_posterior = draws
        params = self._decode_draws(z, batch.condition, training)
        return {"q": q, "z": z, "log_posterior": log_posterior, "params": params}

    def compute_loss(
        self,
        x: Any = None,
        y: Tensor | None = None,
        y_pred: Any = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        """Computes the loss of a batch in nats, and updates the logs.

        Args:
            x: not used; the batch is in `y_pred`.
            y: the target, or None if x is the target.
            y_pred: what `call` returned.
            sample_weight: (B,) or None.
            training: whether this is a training step.

        Returns:
            This replica's share of the loss; the shares of all replicas add up to it.
        """
        extra = sum(ops.sum(loss) for loss in self.losses)  # a second call of a network clears them
        batch = Batch(**y_pred["batch"])
        if y is not None:
            batch = batch._replace(target=self.likelihood.known(y, batch.target_mask))
        weights = ops.ones_like(y_pred["z"][0, :, 0])
        if sample_weight is not None:
            weights = weights * ops.cast(sample_weight, weights.dtype)
        density = self.likelihood.log_prob
        if training:
            density = functools.partial(self.likelihood.training_log_prob, weights=weights)
        terms = self._terms(batch, y_pred, density, weights, training)
        step = self.optimizer_step()
        penalties = [penalty.loss(terms, step) for penalty in self.penalties]
        total = self.objective.loss(terms, step) + sum(penalties)
        self._update_metrics(batch, terms, training)
        reconstruction = -ops.mean(terms.log_likelihood, axis=0)
        logs = (total + extra, reconstruction, terms.kl, *penalties)
        self._step_metrics.means.update_state(logs, weights)
        loss = replicas.replica_loss(total, weights) + extra / replicas.count()
        return loss + self._opponents_share(terms, training)

    def _opponents_share(self, terms, training):
        """This replica's share of what others minimise in the same step, as a discriminator."""
        return 0.0

    def _update_metrics(self, batch, terms, training):
        """Updates what is counted beside the losses, and a codebook once the step has used it."""
        self.posterior.update_state(terms.q, terms.weights, training, terms.seed)
        self._step_metrics.non_finite.update_state(terms.kl_summands)
        self._step_metrics.bad_batches.update_state(self._is_good(batch))

    def _is_good(self, batch):
        """Whether the input of each example is finite and its target in the support, (B,)."""
        return inference.finite_input(self, batch) & inference.all_of_each(
            self.likelihood.in_support(batch.target)
        )

    def compute_metrics(
        self, x: Any, y: Tensor | None, y_pred: dict[str, Any], sample_weight: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Updates the metrics of `compile`, which compare the target with the mean of p(x|z).

        The mean is that of the first draw of z. Entries that do not count are taken as equal.

        Args:
            x: not used; the batch is in `y_pred`.
            y: the target, or None if x is the target.
            y_pred: what `call` returned.
            sample_weight: (B,) or None.

        Returns:
            The logs so far, a dict.
        """
        if "mean" not in y_pred:
            return self.get_metrics_result()
        batch, mean = Batch(**y_pred["batch"]), y_pred["mean"]
        target = batch.target if y is None else y
        if batch.target_mask is not None:
            target = ops.where(batch.target_mask, ops.cast(target, mean.dtype), mean)
        return super().compute_metrics(x, target, mean, sample_weight)

    def _features(self, x, condition, training=None):
        inputs = [x, condition] if self.encoder_takes_condition else x
        return self.encoder(inputs, **_mode(training))

    def _params(self, z, condition, training=None):
        inputs = [z, condition] if self.decoder_takes_condition else z
        return self.decoder(inputs, **_mode(training))

    def _decode_draws(self, z, condition, training=None):
        """What the decoder emits for draws (K, B, D), float32 (K, B, …)."""
        draws, batch, latent_dim = ops.shape(z)
        if condition is not None:
            condition = ops.tile(condition, (draws, 1))
        params = self._params(ops.reshape(z, (-1, latent_dim)), condition, training)
        return ops.reshape(ops.cast(params, "float32"), (draws, batch, *params.shape[1:]))

    def _decoder_state(self):
        """The decoder's state before its call, for objectives that call it again in the step."""
        if not getattr(self.objective, "decodes_twice", False):
            return {}
        variables = [ops.copy(v) for v in self.decoder.non_trainable_variables]
        return {"decoder_state": {"variables": variables, "noise": random.unseeded_state()}}

    def _decode_again(self, z, condition, state):
        """The decoder's output for other draws, in the mode, state and noise of the first call."""
        if state is None:
            return self._decode_draws(z, condition, training=False)
        fixed = list(zip(self.decoder.non_trainable_variables, state["variables"], strict=True))
        trainable = [(v, ops.convert_to_tensor(v)) for v in self.decoder.trainable_variables]
        replayed = random.unseeded_noise(state["noise"])
        with keras.StatelessScope([*trainable, *fixed]), replayed:  # the state moves on once
            return self._decode_draws(z, condition, training=True)

    def _prior_for(self, condition=None, training=None):
        """The prior of a batch: given its condition, and made of the present posterior."""
        return self.prior.condition_on(
            condition,
            posterior=self.posterior,
            infer=lambda x: self.posterior(self.encoder(x, **_mode(training)), **_mode(training)),
        )

    def _terms(self, batch, y_pred, density, weights=None, training=False):
        """The `LossTerms` of a batch, with `density(target, params, mask=…)` as log p(x|z)."""
        q, z, log_posterior = (y_pred[key] for key in ("q", "z", "log_posterior"))
        prior = self._prior_for(batch.condition, training)
        log_prior = prior.log_prob(z)
        kl = divergences.kl_summands(self.posterior, q, prior, log_posterior, log_prior)

        def log_joint(z):
            params = self._decode_again(z, batch.condition, y_pred.get("decoder_state"))
            return density(batch.target, params, mask=batch.target_mask) + prior.log_prob(z)

        return objectives.LossTerms(
            log_likelihood=density(batch.target, y_pred["params"], mask=batch.target_mask),
            kl_summands=kl,
            log_posterior=log_posterior,
            log_prior=log_prior,
            z=z,
            q=q,
            posterior=self.posterior,
            prior=prior,
            weights=ops.ones_like(z[0, :, 0]) if weights is None else weights,
            log_joint=log_joint,
            seed=self._train_noise if training else self._eval_noise,
            target=batch.target,
            reconstruction=lambda: self._reconstruction(batch, y_pred["params"][0]),
        )

    def _reconstruction(self, batch, params):
        """The mean of p(x|z), with the target's own values at entries that do not count."""
        mean = self.likelihood.mean(params)
        if batch.target_mask is None:
            return mean
        return ops.where(batch.target_mask, mean, ops.cast(batch.target, mean.dtype))

    # Training and evaluation, as in Keras.

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer | str = "rmsprop",
        loss: Any = None,
        metrics: list[Any] | None = None,
        weighted_metrics: list[Any] | None = None,
        jit_compile: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        """Configures training, as `keras.Model.compile` does, without a loss.

        A schedule of the objective counts the steps of the optimizer. With a new optimizer it
        starts again at 0; with `compile(vae.optimizer)` it continues.

        Args:
            optimizer: an optimizer or its name.
            loss: must be left out, because the loss is the objective.
            metrics: list of metrics, which compare the target with the mean of p(x|z).
            weighted_metrics: list of metrics that are weighted by `sample_weight`.
            jit_compile: as in Keras.
            kwargs: the other arguments of `keras.Model.compile`.

        Raises:
            ValueError: if a loss is given.

        Example: `vae.compile("adam", metrics=["mse"])`.
        """
        if loss is not None or kwargs.get("loss_weights") is not None:
            raise ValueError(
                "`loss` must be left out of `compile`, because the loss is the VAE's objective: "
                "`VAE(…, objective=…, likelihood=…)`; metrics=[…] are welcome. "
                f"Received: loss={loss!r}"
            )
        self.check_jit(jit_compile)
        self._has_metrics = bool(metrics or weighted_metrics)
        self._jit_compile_given = jit_compile
        self._runners.clear()
        super().compile(
            optimizer,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            jit_compile=jit_compile,
            **kwargs,
        )

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))
        self._build_optimizer()

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        """Quantizes the weights of networks and parts. The result survives saving.

        Args:
            args, kwargs: as for `keras.Model.quantize`.

        Example: `vae.quantize("int8")`.
        """
        super().quantize(*args, **kwargs)
        self._runners.clear()

    @functools.wraps(keras.Model.fit, assigned=())  # its signature
    def fit(self, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Trains the model, as `keras.Model.fit` does. All data are checked before the first step.

        Args:
            args, kwargs: the arguments of `keras.Model.fit`. x may be an array, a tensor, a data
                frame, a sparse matrix, a masked array, an HDF5 data set, a dict with `x`,
                `condition`, `mask` (what the encoder sees) and `target_mask` (what the likelihood
                counts, by default `mask`), or a pipeline of batches. y is what the model is to
                reconstruct, by default x.

        Returns:
            A `keras.callbacks.History`.

        Raises:
            ValueError: if the data do not fit the model; or at the end of an epoch, if a later
                batch of a pipeline held bad values.

        Example: `vae.fit(x, epochs=10, validation_data=x_test)`.
        """
        self.check_backend()
        call = _bind(keras.Model.fit, self, args, kwargs)
        self.check_strategy()
        _refuse_class_weight(call)
        shuffle = bool(call.get("shuffle", True))
        in_memory = data_adapters.in_memory(call["x"])
        call |= data_adapters.for_fit(self, call, shuffle=shuffle)
        memory.check_fits(self, data_adapters.batch_size_of(call))
        self._warn_before_training(call["x"])
        if call.get("validation_data") is not None:
            call["validation_data"] = self._validation_data(call)
        if not (in_memory or isinstance(call["x"], keras.utils.PyDataset)):
            call.setdefault("shuffle", False)  # Keras can only warn that it does not shuffle these
        if not isinstance(call.get("callbacks"), keras.callbacks.CallbackList):
            call["callbacks"] = self._callbacks(call)
        history = super().fit(**call)
        history.history = self._in_order(history.history)
        return history

    def _warn_before_training(self, x):
        """Warns once of data or a decoder that would train badly."""
        if self._warned_before_training:
            return
        self._warned_before_training = True
        x = data_adapters.first_observed(x)
        x = None if layers.scales_its_input(self.encoder) else x
        for sentence in (scale_warning(x), self._sigmoid_warning()):
            if sentence:
                warnings.warn(sentence, stacklevel=3)

    def _sigmoid_warning(self):
        """A sentence where a decoder whose last layer cannot be seen seems to end in a sigmoid."""
        if not getattr(self.likelihood, "from_logits", False) or last_activation(self.decoder):
            return None
        noise = np.random.default_rng(0).normal(size=(1, 64, self.latent_dim)).astype("float32")
        condition = ops.zeros((64, self.condition_dim)) if self.condition_dim else None
        params = ops.convert_to_numpy(self._decode_draws(noise, condition, training=False))
        if params.min() < 0 or params.max() > 1 or np.ptp(params) == 0:
            return None
        return (
            f"All that the decoder emits lies in [0, 1], as after a sigmoid, but "
            f"{type(self.likelihood).__name__} takes logits and applies a sigmoid itself. Remove "
            "the decoder's activation, or use `likelihoods.Bernoulli(from_logits=False)`."
        )

    def _validation_data(self, call):
        x, y, weights = data_adapters.unpack_validation(call["validation_data"])
        size = call.get("validation_batch_size") or call.get("batch_size")
        data = {"x": x, "y": y, "sample_weight": weights, "batch_size": size}
        checked = data_adapters.for_fit(self, data, argument="validation x")
        return tuple(checked.values())

    def _callbacks(self, call):
        """The callbacks of `fit` as a list, with those of our own."""
        callbacks = for_this_worker(call.get("callbacks"), self.is_chief)
        saving.check_checkpoints(callbacks)
        callbacks = [data_adapters.BatchCheck(), *self.prepare_fit(callbacks)]
        call["callbacks"] = callbacks
        for callback in callbacks:
            if isinstance(callback, Backup):
                callback.prepare_fit(self, call)
        return call["callbacks"]

    @functools.wraps(keras.Model.evaluate, assigned=())
    def evaluate(self, *args: Any, **kwargs: Any) -> list[float] | dict[str, float]:
        """Computes the logs on data, as `keras.Model.evaluate` does, the loss first.

        Args:
            args, kwargs: the arguments of `keras.Model.evaluate`; data as for `fit`.

        Returns:
            A list of numbers in the order of `metrics_names`; with `return_dict=True` a dict.

        Raises:
            ValueError: if the data do not fit the model.

        Example: `vae.evaluate(x_test, return_dict=True)`.
        """
        call = _bind(keras.Model.evaluate, self, args, kwargs)
        as_dict = call.pop("return_dict", False)
        if not call.get(keras_compat.CACHED_EVALUATION):
            call |= data_adapters.for_fit(self, call)
            if not isinstance(call.get("callbacks"), keras.callbacks.CallbackList):
                callbacks = keras.tree.flatten(call.get("callbacks") or [])
                call["callbacks"] = [data_adapters.BatchCheck(), *callbacks]
        logs = self._in_order(super().evaluate(**call, return_dict=True))
        return logs if as_dict else list(logs.values())

    def train_on_batch(
        self,
        x: Data,
        y: Data | None = None,
        sample_weight: Data | None = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> list[float] | dict[str, float]:
        """Takes one optimizer step on a batch.

        Args:
            x, y, sample_weight: one batch, as for `fit`.
            class_weight: must be left out.
            return_dict: whether to return the logs as a dict.

        Returns:
            The logs as a list in the order of `metrics_names`, the loss first; or as a dict.

        Raises:
            ValueError: if the batch does not fit the model.
        """
        self.check_backend()
        _refuse_class_weight({"class_weight": class_weight})
        batch = data_adapters.for_batch(self, x, y, sample_weight)
        logs = self._in_order(super().train_on_batch(*batch, return_dict=True))
        return logs if return_dict else list(logs.values())

    def test_on_batch(
        self,
        x: Data,
        y: Data | None = None,
        sample_weight: Data | None = None,
        return_dict: bool = False,
    ) -> list[float] | dict[str, float]:
        """Evaluates one batch.

        Args:
            x, y, sample_weight: one batch, as for `evaluate`.
            return_dict: whether to return the logs as a dict.

        Returns:
            The logs as a list in the order of `metrics_names`, the loss first; or as a dict.

        Raises:
            ValueError: if the batch does not fit the model.
        """
        batch = data_adapters.for_batch(self, x, y, sample_weight)
        logs = self._in_order(super().test_on_batch(*batch, return_dict=True))
        return logs if return_dict else list(logs.values())

    def predict_on_batch(self, x: Data) -> np.ndarray:
        """Reconstructs one batch, as `predict` does.

        Args:
            x: one batch, as for `predict`.

        Returns:
            NumPy array (B, …).
        """
        x = data_adapters.for_input(self, x, pipeline=False)
        return self._runners.get(inference.reconstruct).run(x)

    @property
    def metrics(self) -> list[keras.Metric]:
        own = self._step_metrics.means
        return [own, *(m for m in super().metrics if m.name != "loss" and m is not own)]

    @property
    def metrics_names(self) -> list[str]:
        """Returns the names of what `evaluate` and the `*_on_batch` methods list, in order."""
        # Of zeros: reading the values would wait for the other workers, and Keras reads every
        # property as it saves, on one worker alone.
        zeros = [(v, ops.zeros(v.shape, v.dtype)) for v in self.metrics_variables]
        with keras.StatelessScope(zeros):
            return list(self._in_order(self.get_metrics_result()))

    @property
    def metrics_variables(self) -> list[keras.Variable]:
        """Returns the variables that a step on JAX takes, also of metrics without a log."""
        return [*super().metrics_variables, *self._step_metrics.unlogged_variables]

    @property
    def iteration_snapshot(self) -> IterationSnapshot:
        """Returns the optimizer's step as the epoch began, for a trainer."""
        return self._step_metrics.iteration_snapshot

    def non_finite_kl(self) -> np.ndarray:
        """Counts the examples of this epoch whose KL is not finite, by latent dimension, (D,)."""
        return ops.convert_to_numpy(self._step_metrics.non_finite.result())

    def bad_examples(self) -> tuple[int, int]:
        """Returns (number of examples of this epoch with bad values, first batch with one)."""
        return self._step_metrics.bad_batches.found()

    def reset_metrics(self) -> None:
        """Resets the metrics and the noise of evaluation, so that `evaluate` repeats exactly."""
        super().reset_metrics()
        optimizer = getattr(self, "optimizer", None)
        self._step_metrics.reset(0 if optimizer is None else optimizer.iterations)
        self._rewind_evaluation_noise()

    def _rewind_evaluation_noise(self):
        self._eval_noise.state.assign([random.stream(self.seed, 1), 0])

    def _seed_evaluation_noise(self, seed):
        """Begins the noise of evaluation anew, where a method was given a seed."""
        if seed is not None:
            self._eval_noise.state.assign([random.stream(seed, 1), 0])

    def _in_order(self, logs):
        """Logs with the order of the means, the loss first, which Keras sorts by name."""
        means = self._step_metrics.means.names
        names = [prefix + name for prefix in ("", "val_") for name in means]
        return {name: logs[name] for name in names if name in logs} | logs

    def prepare(self, x: Any) -> Any:
        """Returns x itself; a subclass returns arrays for containers that it alone knows."""
        return x

    def data_spec(self, x_shape: Shape) -> data_adapters.DataSpec:
        """Returns what the model takes, for `data_adapters`; builds the model if needed."""
        if not self.built:
            self.build(x_shape)
        return data_adapters.DataSpec(
            self.x_shape, self.target_shape, self.condition_dim, self.likelihood
        )

    def batch_shapes(self) -> tuple[Any, Any, Any]:
        """Returns symbolic (x, y, sample_weight), for a trainer."""
        shapes = (self.x_shape, self.target_shape, ())
        x, y, weights = (keras.KerasTensor((None, *shape)) for shape in shapes)
        if self.condition_dim:
            x = {"x": x, "condition": keras.KerasTensor((None, self.condition_dim))}
        return x, y, weights

    # What a trained model is for.

    def predict(
        self,
        x: Data,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> np.ndarray:
        """Reconstructs x in data space: the mean of p(x|z) at the posterior's mean code.

        Args:
            x: one example or many, in any container that `fit` takes.
            batch_size: int, 128 by default.
            verbose, steps, callbacks: as for `keras.Model.predict`.

        Returns:
            NumPy array (N, …).

        Raises:
            ValueError: if x does not fit the encoder or is not finite.

        Example: `images = vae.predict(x_test[:10])`.
        """
        options = {"verbose": verbose, "steps": steps, "callbacks": callbacks}
        x = data_adapters.for_input(self, x)
        return self._runners.get(inference.reconstruct).run(x, batch_size, **options)

    def encode(
        self,
        x: Data,
        *,
        sample: bool = False,
        seed: int | None = None,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> np.ndarray:
        """Encodes x: posterior means, or with `sample=True` one draw for each example.

        Args:
            x: one example or many, in any container that `fit` takes. Values outside the support
                of the likelihood cause one warning.
            sample: whether to draw from q(z|x).
            seed: int; the same seed gives the same draws.
            batch_size: int, 128 by default.
            verbose: 1 shows a progress bar.

        Returns:
            NumPy array (N, D).

        Raises:
            ValueError: if x does not fit the encoder or is not finite.

        Example: `codes = vae.encode(x_test)`.
        """
        code = inference.sample_code if sample else inference.mean_code
        x = data_adapters.for_input(self, x)
        self._seed_evaluation_noise(seed)
        return self._runners.get(code).run(x, batch_size, verbose=verbose)

    def infer(
        self, x: Data, *, batch_size: int | None = None, verbose: int = 0
    ) -> dict[str, np.ndarray]:
        """Computes the parameters of q(z|x).

        Args:
            x: one example or many, in any container that `fit` takes.
            batch_size: int, 128 by default.
            verbose: 1 shows a progress bar.

        Returns:
            A dict of NumPy arrays, such as `mean` and `log_variance`, (N, D), for DiagonalNormal.

        Raises:
            ValueError: if x does not fit the encoder or is not finite.

        Example: `deviation = np.exp(0.5 * vae.infer(x)["log_variance"])`.
        """
        x = data_adapters.for_input(self, x)
        return self._runners.get(inference.posterior).run(x, batch_size, verbose=verbose)

    def decode(
        self,
        z: Data,
        *,
        sample: bool = False,
        seed: int | None = None,
        condition: Any = None,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> np.ndarray:
        """Decodes codes to means of p(x|z) in data space, or to draws from it.

        Args:
            z: codes, (N, D).
            sample: whether to draw x from p(x|z) instead of taking its mean.
            seed: int; the same seed gives the same draws.
            condition: for a conditional model: one class or one vector of floats for all codes, or
                one for each code.
            batch_size: int, 128 by default.
            verbose: 1 shows a progress bar.

        Returns:
            NumPy array (N, …).

        Raises:
            ValueError: if the codes do not have the shape (N, D), or the condition does not fit.

        Example: `images = vae.decode(np.zeros((1, 2)))`.
        """
        z = self._with_condition(data_adapters.codes(z, self.latent_dim), condition)
        self._seed_evaluation_noise(seed)
        x_of = inference.decode_sample if sample else inference.decode
        return self._runners.get(x_of).run(z, batch_size, verbose=verbose)

    def tokens(self, x: Data, *, batch_size: int | None = None, verbose: int = 0) -> np.ndarray:
        """Encodes x as integers, for a quantised model: the number of each of its codes.

        The codes of an example come place by place, row by row of the encoder's last grid; with a
        depth those of a place come one after the other. `quantized.pack` packs them into bytes.

        Args:
            x: one example or many, in any container that `fit` takes.
            batch_size: int, 128 by default.
            verbose: 1 shows a progress bar.

        Returns:
            NumPy array (N, places · depth), int32.

        Raises:
            ValueError: if the posterior is not a quantizer, or x does not fit the encoder.

        Example:

        ```python
        vae = keras_vae.recipes.vq_vae((28, 28, 1))
        vae.compile("adam")
        vae.fit(x)
        tokens = vae.tokens(x_test)  # (N, 49)
        ```
        """
        check_quantized(self, "tokens")
        x = data_adapters.for_input(self, x)
        return self._runners.get(inference.tokens).run(x, batch_size, verbose=verbose)

    def from_tokens(self, tokens: Data, **options: Any) -> np.ndarray:
        """Decodes tokens to means of p(x|z) in data space, or to draws from it.

        Args:
            tokens: integers (N, places · depth), as `tokens` returns them.
            options: `sample`, `seed`, `condition`, `batch_size` and `verbose`, as for `decode`.

        Returns:
            NumPy array (N, …). For `tokens(x)` that is what `predict(x)` returns.

        Raises:
            ValueError: if the posterior is not a quantizer, or the tokens do not fit it.

        Example:

        ```python
        vae = keras_vae.recipes.vq_vae((28, 28, 1))
        images = vae.from_tokens(np.zeros((16, 49), "int32"))
        ```
        """
        return self.decode(z_of_tokens(self, tokens), **options)

    def generate(
        self,
        n: int,
        *,
        sample: bool = False,
        temperature: float = 1.0,
        seed: int | None = None,
        condition: Any = None,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> np.ndarray:
        """Generates `n` new examples: means of p(x|z) at draws of z from the prior, or draws of x.

        Args:
            n: int, how many.
            sample: whether to draw x from p(x|z) instead of taking its mean. Means of a table lack
                the spread of its rows, and means of counts are not whole numbers.
            temperature: factor of the standard deviation of the prior; values below 1 give more
                typical examples. For a `HierarchicalVAE` one number, or one for each group.
            seed: int; the same seed gives the same draws.
            condition: for a conditional model: one class or one vector of floats for all examples,
                or one for each.
            batch_size: int, 128 by default.
            verbose: 1 shows a progress bar.

        Returns:
            NumPy array (n, …).

        Raises:
            ValueError: if `n` is not a positive integer, or the condition does not fit.

        Example: `images = vae.generate(16, temperature=0.9, seed=0)`.
        """
        n = validation.positive_integer(n, "n", "how many examples to generate")
        seed = random.new_seed() if seed is None else seed
        options = {"batch_size": batch_size, "verbose": verbose}
        return self._generate(n, sample, temperature, seed, condition, **options)

    def _generate(self, n, sample, temperature, seed, condition, **options):
        rows = self._conditions(n, condition)
        given = None if rows is None else vectors(ops.convert_to_tensor(rows), self.condition_dim)
        generator = keras.random.SeedGenerator(seed)
        z = ops.convert_to_numpy(self._prior_for(given).sample(n, generator, temperature))
        stream = random.stream(seed, 2)
        return self.decode(z, sample=sample, seed=stream, condition=rows, **options)

    def interpolate(self, a: Data, b: Data, steps: int, *, condition: Any = None) -> np.ndarray:
        """Decodes `steps` codes on the straight line between the codes of two examples.

        Args:
            a, b: one example each; dicts with a `condition` if the encoder takes one.
            steps: int, the number of codes, those of a and b included.
            condition: for a decoder that takes one: one class or one vector of floats.

        Returns:
            NumPy array (steps, …).

        Raises:
            ValueError: if `a` or `b` is not one example.

        Example: `images = vae.interpolate(x[0], x[1], steps=8)`.
        """
        validation.positive_integer(steps, "steps", "the number of examples on the line")
        start, end = self.encode(a), self.encode(b)
        if len(start) != 1 or len(end) != 1:
            raise ValueError(
                "`a` and `b` must be one example each, because a line joins two codes. "
                f"Received: {len(start)} and {len(end)} examples"
            )
        fraction = np.linspace(0.0, 1.0, steps, dtype="float32")[:, None]
        return self.decode(start + fraction * (end - start), condition=condition)

    def impute(
        self,
        x: Data,
        mask: Data | None = None,
        *,
        num_samples: int = 100,
        condition: Any = None,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> np.ndarray:
        """Fills the missing entries of x by their mean given the observed ones.

        This is the mean of p(x|z) over draws of z, weighted by how well each draw explains what is
        observed. A missing class becomes the most probable class.

        Args:
            x: (N, …). The values at missing entries do not matter, and may be NaN. A masked array
                or a dict, as for `fit`, brings its mask along. A `target_mask` plays no part.
            mask: like x: 1 or True where x is observed, 0 or False where it is missing.
            num_samples: number of draws of z for each example.
            condition: for a conditional model: one class or one vector of floats for all examples,
                or one for each.
            batch_size: int, by default as many examples as give 128 draws.
            verbose: 1 shows a progress bar.

        Returns:
            NumPy array (N, …), with the observed entries as they were.

        Raises:
            ValueError: if there is no mask, or if the likelihood is one of sequences whose steps
                depend on those before.

        Example: `filled = vae.impute(x, ~np.isnan(x))`.

        Reference: Mattei and Frellsen, MIWAE (arXiv:1812.02633), equation 12.
        """
        num_samples = self._different_draws(num_samples)
        if not self.likelihood.independent:
            raise ValueError(
                "`impute` must have a likelihood whose features are independent given z, because "
                f"it fills them one by one. Received: likelihood={type(self.likelihood).__name__}"
            )
        given = dict(x) if isinstance(x, Mapping) else {"x": x}
        given.pop("target_mask", None)
        extra = {"mask": mask, "condition": condition}
        x = data_adapters.for_score(self, given | {k: v for k, v in extra.items() if v is not None})
        if not isinstance(x, dict) or "mask" not in x:
            raise ValueError(
                "`mask` must say which entries of x are observed, because the others are filled: "
                "`impute(x, ~np.isnan(x))`. Received: mask=None"
            )
        self._rewind_evaluation_noise()
        runner = self._runners.get(inference.impute, num_samples)
        filled = runner.run(x, batch_size or max(1, BATCH_SIZE // num_samples), verbose=verbose)
        observed, x = (ops.convert_to_numpy(x[key][:]) for key in ("mask", "x"))
        return np.where(np.asarray(observed, "bool"), x, filled).astype("float32")

    def elbo(
        self,
        x: Data,
        y: Data | None = None,
        *,
        num_samples: int | None = None,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> np.ndarray:
        """Computes the evidence lower bound (beta = 1) of each example in nats.

        The score of a row depends on nothing but the row. The draws of z come from fixed noise that
        all rows share. For normal posteriors, flows of them and ladders, that is
        `posteriors.score_points`; other posteriors draw, so that the mean of their scores is less
        accurate than their order. Quantized codes need one draw. All others take as many passes of
        the decoder as there are samples.

        Args:
            x: one example or many, in any container that `fit` takes. Values that lie outside the
                support by at most a tenth of its width count as its edge, with a warning.
            y: what the model is to reconstruct, if that is not x.
            num_samples: number of points for each example; more are more accurate. By default 16
                or, where those would leave latent dimensions out, twice their number, up to 64.
            batch_size: int, by default as many examples as give 512 codes.
            verbose: 1 shows a progress bar.

        Returns:
            NumPy array (N,).

        Raises:
            ValueError: if x does not fit the encoder, or the target is not in the support.

        Example: `vae.elbo(x_test).mean()`.
        """
        return self._at_score_points(inference.elbo, x, y, num_samples, batch_size, verbose)

    def _at_score_points(self, function, x, y, num_samples, batch_size, verbose):
        """Runs `function(vae, batch, num_samples)` over what is to be scored."""
        num_samples = self._number_of_points(num_samples)
        x = data_adapters.for_score(self, x, y, clip=True)
        batch_size = batch_size or max(1, _SCORED // num_samples)
        return self._runners.get(function, num_samples).run(x, batch_size, verbose=verbose)

    def anomaly_score(
        self,
        x: Data,
        y: Data | None = None,
        *,
        num_samples: int | None = None,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> np.ndarray:
        """Computes how strange each example is: the negative ELBO in nats.

        Args:
            x, y, num_samples, batch_size, verbose: as for `elbo`.

        Returns:
            NumPy array (N,); higher is stranger.

        Raises:
            ValueError: if x does not fit the encoder, or the target is not in the support.

        Example: `strangest = np.argsort(-vae.anomaly_score(x_test))[:10]`.
        """
        return -self.elbo(x, y, num_samples=num_samples, batch_size=batch_size, verbose=verbose)

    def explain(
        self,
        x: Data,
        y: Data | None = None,
        *,
        num_samples: int | None = None,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> np.ndarray:
        """Computes how strange each entry of x is: -log p(x|z) in nats, averaged over q(z|x).

        The entries of an example add up to its reconstruction loss. For images this is an anomaly
        map, which `plotting.anomaly_maps` draws. Entries of a continuous likelihood may have a
        density above 1, and so a negative score.

        Args:
            x, y, num_samples, batch_size, verbose: as for `elbo`.

        Returns:
            NumPy array (N, *x.shape[1:]); 0 where a mask leaves an entry out.

        Raises:
            ValueError: if x does not fit the encoder, or the target is not in the support.

        Example: `nats_of_pixels = vae.explain(x_test).sum(axis=-1)`.
        """
        return self._at_score_points(inference.feature_loss, x, y, num_samples, batch_size, verbose)

    def log_likelihood(
        self,
        x: Data,
        y: Data | None = None,
        *,
        num_samples: int = 1000,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> np.ndarray:
        """Estimates log p(x) of each example in nats by importance sampling.

        The estimate is a lower bound in expectation, which becomes tighter with more draws. The
        method goes through arrays once for every few draws, so that memory does not grow with their
        number. For a batch of a pipeline it takes all draws before it reads the next batch.

        Args:
            x: one example or many, in any container that `fit` takes.
            y: what the model is to reconstruct, if that is not x.
            num_samples: number of draws of z for each example.
            batch_size: int, 64 by default.
            verbose: 1 shows a progress bar.

        Returns:
            NumPy array (N,).

        Raises:
            ValueError: if x does not fit the encoder, or the target is not in the support.

        Example: `vae.log_likelihood(x_test, num_samples=1000).mean()`.

        Reference: Burda et al., Importance Weighted Autoencoders (arXiv:1509.00519), equation 8.
        """
        num_samples = self._different_draws(num_samples)
        x = data_adapters.for_score(self, x, y)
        self._rewind_evaluation_noise()
        if data_adapters.in_memory(x):
            return self._log_likelihood(x, num_samples, batch_size or 64, verbose)
        parts = [
            self._log_likelihood(batch, num_samples, batch_size or 64, 0)
            for batch in data_adapters.batches_of(self, x)
        ]
        return np.concatenate(parts)

    def _number_of_points(self, num_samples):
        """The number of points for scores: what was asked for, or the default."""
        if num_samples is None:
            return posteriors.points.default_num_points(self.latent_dim)
        _check_num_samples(num_samples)
        return num_samples

    def _different_draws(self, num_samples):
        """The number of draws of z, or 1 where they are all the same."""
        _check_num_samples(num_samples)
        return 1 if self.posterior.deterministic else num_samples

    def _log_likelihood(self, x, num_samples, batch_size, verbose):
        largest = _DECODED // (batch_size * math.prod(self.target_shape))
        total, passes = None, _pieces(num_samples, min(max(largest, 1), 50))
        bar = keras.utils.Progbar(len(passes), verbose=verbose, unit_name="pass")
        for number, draws in enumerate(passes):
            runner = self._runners.get(inference.log_weight, draws)
            sums = runner.run(x, batch_size, compiled=passes.count(draws) > 2, verbose=0)
            total = sums if total is None else np.logaddexp(total, sums)
            bar.update(number + 1)
        return total - np.log(num_samples)

    def diagnose(
        self,
        x: Data,
        y: Data | None = None,
        *,
        num_samples: int | None = None,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> dict[str, Any]:
        """Measures what the code carries, and whether it has collapsed, in nats per example.

        Args:
            x: the examples, in any container that `fit` takes. More than 10,000 examples take long,
                because each code is compared with each posterior.
            y: what the model is to reconstruct, if that is not x.
            num_samples, batch_size, verbose: as for `elbo`.

        Returns:
            A dict with `elbo`, `reconstruction_loss` and `kl_loss`, as `elbo` computes them;
                `active_units`, the number of dimensions in use (see `evaluation.active_units`); if
                the KL is a sum over the dimensions, `kl_per_dimension`, their means (D,); and for
                `DiagonalNormal`, the terms of `evaluation.decompose_kl`.

        Raises:
            ValueError: if x does not fit the encoder, or the target is not in the support.

        Example: `vae.diagnose(x_test)["active_units"]`.
        """
        num_samples = self._number_of_points(num_samples)
        x = data_adapters.for_score(self, x, y, clip=True)
        self._rewind_evaluation_noise()
        batch_size = batch_size or max(1, _SCORED // num_samples)
        runner = self._runners.get(inference.diagnosis, num_samples)
        found = runner.run(x, batch_size, verbose=verbose)
        reconstruction, summands = found["log_likelihood"].mean(), found["kl"].mean(axis=0)
        result = {
            "elbo": float(reconstruction - summands.sum()),
            "reconstruction_loss": -float(reconstruction),
            "kl_loss": float(summands.sum()),
            "active_units": evaluation.active_units(found["mean"]),
        }
        if len(summands) == self.latent_dim:
            result["kl_per_dimension"] = summands
        if "log_variance" in found:
            keys = ("mean", "log_variance", "z", "log_prior")
            result |= evaluation.decompose_kl(*(found[key] for key in keys))
        return result

    def fit_prior(
        self,
        x: Data,
        prior: priors.Prior | None = None,
        *,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule | None = None,
        **fit_arguments: Any,
    ) -> "VAE":
        """Returns a model with the same networks and a prior that is fitted to the codes of x.

        If the codes are not distributed like the prior, `generate` draws codes of which the decoder
        knows nothing. This method encodes x once, and trains the new prior to maximise the ELBO, of
        which only the KL depends on the prior. Nothing of this model changes. The new model shares
        its networks, and generates, scores and saves with its own prior.

        Args:
            x: the examples, in any container that `fit` takes.
            prior: by default `priors.NormalMixture(10)`, or for a quantised model
                `quantized.AutoregressiveCodes` of its codes.
            learning_rate: number or schedule, for Adam; by default 0.01, or 0.002 for
                `quantized.AutoregressiveCodes`.
            fit_arguments: `epochs`, `batch_size`, `validation_data` and other arguments of `fit`.

        Returns:
            The new model, of the same class. If this model is compiled, it has the same optimizer
                in its first state.

        Raises:
            ValueError: if the prior does not fit the posterior, or the model is a ladder.

        Example:

        ```python
        vae = vae.fit_prior(x, keras_vae.priors.FlowPrior(), epochs=20)
        vae.generate(16)
        ```

        References: Ghosh et al., From Variational to Deterministic Autoencoders
        (arXiv:1903.12436), section 5; Dai and Wipf (arXiv:1903.05789), section 3.
        """
        return prior_fitting.fit_prior(self, x, prior, learning_rate, fit_arguments)

    def export(
        self,
        filepath: FilePath,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        component: str = "all",
        quantize: str | None = None,
        representative_data: Any = None,
    ) -> None:
        """Writes the model for other runtimes, which need neither keras_vae nor Keras.

        The endpoints are `encode`, from x to mean codes; `decode`, from z to the mean of p(x|z);
        `reconstruct`, from x to the mean of p(x|z) at the mean code; and `generate`, from standard
        normal noise to new examples. Each takes any number of rows. If the model has a condition,
        vectors (B, C) are the second input. The export is complete, or an earlier one stays.

        Args:
            filepath: a folder for `"tf_saved_model"`, and for `"onnx"` with `component="all"` (one
                file for each endpoint); else a file that ends in `.onnx` or `.tflite`.
            format: `"tf_saved_model"`, `"onnx"` or `"litert"`.
            verbose: whether to print what is written.
            component: `"encoder"` (`encode`), `"decoder"` (`decode`) or `"all"` (all four).
            quantize: for LiteRT: None, `"dynamic"` (weights in 8 bits) or `"int8"` (values too).
            representative_data: a few hundred examples, for `"int8"`.

        Raises:
            ValueError: if the model, the backend or an argument does not allow the export.

        Example: `vae.export("encoder.onnx", format="onnx", component="encoder")`.
        """
        if self.is_chief:
            verbose = True if verbose is None else verbose
            export.export(self, filepath, format, component, quantize, representative_data, verbose)

    def _conditions(self, rows, condition):
        """A condition for each of so many rows, from one for all or one for each; or None."""
        if condition is None and not self.decoder_takes_condition:
            return None
        return data_adapters.conditions(condition, rows, self.condition_dim)

    def _with_condition(self, z, condition):
        rows = self._conditions(len(z), condition)
        return z if rows is None else {"x": z, "condition": rows}

    # Saving.

    def save(self, filepath: FilePath, overwrite: bool = True, **kwargs: Any) -> None:
        """Saves the model to one `.keras` file, which is complete, or an earlier one stays.

        If there are several workers, only the chief writes.

        Args:
            filepath: a name that ends in `.keras` or begins with `hf://`, or a folder with
                `zipped=False`.
            overwrite, kwargs: as for `keras.Model.save`.

        Raises:
            ValueError: if the model could not be loaded again.

        Example: `vae.save("vae.keras")`.
        """
        if self.is_chief:
            self._build_optimizer()
            saving.check_name(filepath, kwargs.get("zipped"))
            saving.save(super().save, filepath, overwrite, **kwargs)

    def save_weights(self, filepath: FilePath, overwrite: bool = True, **kwargs: Any) -> None:
        """Saves weights, optimizer and noise to one `.weights.h5` file.

        The file is complete, or an earlier one stays. If there are several workers, only the chief
        writes.

        Args:
            filepath, overwrite, kwargs: as for `keras.Model.save_weights`.

        Example: `vae.save_weights("vae.weights.h5")`.
        """
        if self.is_chief:
            self._build_optimizer()
            saving.save(super().save_weights, filepath, overwrite, **kwargs)

    def load_weights(self, filepath: FilePath, **kwargs: Any) -> None:
        """Loads a `.weights.h5` file, with the optimizer's state if the model is compiled.

        Args:
            filepath, kwargs: as for `keras.Model.load_weights`.

        Example: `vae.load_weights("vae.weights.h5")`.
        """
        self._build_optimizer()
        super().load_weights(filepath, **kwargs)
        self._runners.clear()

    def _build_optimizer(self):
        """Makes the optimizer's state, which Keras does not save or load before the first step."""
        optimizer = getattr(self, "optimizer", None)  # there is none before `compile`
        if optimizer is not None and self.built and not optimizer.built:
            optimizer.build(self.trainable_variables)

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        saving.save_noise_states(self, store)

    def load_own_variables(self, store: Any) -> None:
        super().load_own_variables(saving.load_noise_states(self, store))

    def get_compile_config(self) -> dict[str, Any] | None:
        """Returns the arguments of `compile` in a form that every backend can read."""
        config = saving.portable(super().get_compile_config())
        return config and config | {"jit_compile": self._jit_compile_given}

    def get_config(self) -> dict[str, Any]:
        own = {
            "format": saving.FORMAT,
            "noise_seed": self.seed,  # which a subclass may not take as an argument
            "quantized": saving.quantized_layers(self),
        }
        return {**super().get_config(), **serialized_arguments(self), **own}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        config = dict(config)
        saving.check_format(config.pop("format", 1))
        quantized, seed = config.pop("quantized", []), config.pop("noise_seed", None)
        scope = contextlib.nullcontext()
        if custom_objects:  # an empty scope would hide the user's
            scope = keras.saving.CustomObjectScope(custom_objects)
        with scope:
            vae = from_arguments(cls, config)
        if seed is not None:
            vars(vae)["seed"] = seed
        saving.quantize_layers(vae, quantized)
        return vae


def condition_length(network: keras.Layer) -> int | None:
    """Returns C where a functional model takes (x or z, condition (B, C)), else None."""
    inputs = getattr(network, "inputs", None) or []
    return inputs[1].shape[-1] if len(inputs) == 2 else None


def first_input_shape(network: keras.Layer) -> Shape | None:
    """Returns the shape of x or z that a network takes, or None where it is not known."""
    shape = getattr(network, "input_shape", None) or None
    return shape[0] if isinstance(shape, list) else shape


def _latent_dim(decoder):
    shape = first_input_shape(decoder)
    if shape is None:
        raise ValueError(
            "`posterior` must be given where the decoder does not know its input shape, because "
            "the default takes the latent size from there. Received: posterior=None, "
            f"decoder={decoder!r}"
        )
    return shape[-1]


def _mode(training):
    """The argument `training` for a network, where the call around it does not give it."""
    return {} if training is None else {"training": training}


def _check_num_samples(num_samples):
    validation.positive_integer(num_samples, "num_samples", "the number of draws of z")


def _pieces(total, largest):
    """`total` as a list of numbers up to `largest`."""
    full, rest = divmod(total, largest)
    return [largest] * full + [rest] * (rest > 0)


def _refuse_class_weight(call):
    if call.get("class_weight") is not None:
        raise ValueError(
            "`class_weight` must be left out, because a VAE knows no classes; give the weight of "
            "each example as sample_weight. "
            f"Received: class_weight={call['class_weight']!r}"
        )


def _bind(method, model, args, kwargs):
    """The arguments of a call of a Keras method, by name."""
    call = dict(inspect.signature(method).bind(model, *args, **kwargs).arguments)
    del call["self"]
    return call.pop("kwargs", {}) | call
