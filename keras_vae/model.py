"""The VAE: where encoder, posterior, prior, decoder, likelihood and objective meet."""

import functools

import keras
import numpy as np
from keras import ops

from keras_vae import (
    convolutions,
    divergences,
    likelihoods,
    objectives,
    posteriors,
    priors,
    replicas,
    saving,
    validation,
)
from keras_vae import random as noise
from keras_vae.endpoints import Endpoints
from keras_vae.inference import Inference
from keras_vae.metrics import Means, Overflows, StepNow
from keras_vae.part import Part, build_once, constructor_arguments, from_arguments, register


@register
class VAE(Inference):
    """A variational autoencoder as an ordinary `keras.Model`.

    `compile` takes no loss: the loss is the objective, in nats per example. `fit` and `evaluate`
    take arrays, `tf.data.Dataset`, `PyDataset` and generators, of x alone, of (x, y) where y is
    the target to reconstruct, or of (x, y, sample_weight). The logs are `loss` (what is
    minimised), `reconstruction_loss` (-log p(x|z)), `kl_loss` (never weighted by beta), one key
    for each penalty, then the metrics of `compile`, which compare the target with the mean of
    p(x|z).

    Args:
        encoder: `keras.Model`, x to features (B, F).
        decoder: `keras.Model`, z (B, D) to the raw parameters of the likelihood.
        posterior: q(z|x); by default `DiagonalNormal` with the decoder's latent size.
        prior: p(z); by default `StandardNormal()`.
        likelihood: p(x|z); by default `Bernoulli()`, for x in [0, 1].
        objective: by default `ELBO(beta=1.0)`.
        penalties: sequence of parts with `loss(terms, step) -> (B,)`, added to the objective.
        seed: int, of the noise; by default one that obeys `keras.utils.set_random_seed`.

    Raises:
        ValueError: if the parts do not fit each other.

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

    def __init__(
        self,
        encoder,
        decoder,
        posterior=None,
        prior=None,
        likelihood=None,
        objective=None,
        penalties=(),
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.encoder = encoder
        self.decoder = decoder
        self.posterior = posterior or posteriors.DiagonalNormal(_latent_dim(decoder))
        self.prior = prior or priors.default(self.posterior)
        self.likelihood = likelihood or likelihoods.Bernoulli()
        self.objective = objective or objectives.ELBO()
        self.penalties = list(penalties)
        self.seed = noise.new_seed() if seed is None else seed
        self.train_noise = keras.random.SeedGenerator(noise.stream(self.seed, 0))
        self.eval_noise = keras.random.SeedGenerator(noise.stream(self.seed, 1))
        names = ["loss", "reconstruction_loss", "kl_loss", *(p.name for p in self.penalties)]
        self.means = Means(names)
        self.overflows, self.step_now = Overflows(self.posterior.latent_dim), StepNow()
        self._endpoints = Endpoints(self)
        self.encoder_takes_condition = condition_length(encoder) is not None
        self.decoder_takes_condition = condition_length(decoder) is not None
        self.condition_dim = condition_length(encoder) or condition_length(decoder)
        if encoder.built and decoder.built and getattr(encoder, "input_shape", None):
            self.build(first_input_shape(encoder))

    def build(self, input_shape):
        """Builds all parts for x of `input_shape` (with the batch), and checks that they fit."""
        if self.built:
            return
        condition = keras.KerasTensor((None, self.condition_dim)) if self.condition_dim else None
        features = self._features(keras.KerasTensor((None, *input_shape[1:])), condition)
        self.posterior(features)
        code = keras.KerasTensor((None, self.posterior.latent_dim))
        try:
            raw = self._raw(code, condition)
        except ValueError as error:
            raise ValueError(
                f"`decoder` must take codes of the posterior's latent_dim, (B, {code.shape[1]}). "
                f"Received: decoder={self.decoder.name}, which refused them: {error}"
            ) from error
        self.x_shape = tuple(input_shape[1:])
        self.target_shape = self.likelihood.example_shape(raw.shape[1:])
        build_once(self.prior, code.shape)
        build_once(self.likelihood, raw.shape)
        for part in (self.objective, *self.penalties):  # or Keras reads a batch to build them
            build_once(part, code.shape)
        self._check_parts()
        convolutions.with_one_product(self.decoder)
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

    # The mathematics: backend-free, traced.

    def call(self, x, training=False):
        """Encodes x, draws codes and decodes them.

        Args:
            x: the examples, or a dict of `x`, and of `condition` and `mask` where there are.

        Returns a dict: `q`, what the posterior says of the batch; `z`, draws (K, B, D);
        `log_posterior`, their log q(z|x), (K, B); `raw`, the decoder's output for each, (K, B, …);
        `mean`, that of p(x|z) for the first draw, where `compile` was given metrics.
        """
        outputs = self._draw_and_decode(x, self.objective.num_samples, training)
        if getattr(self, "_compile_metrics", None) is not None:
            outputs["mean"] = self.likelihood.mean(outputs["raw"][0])
        return outputs

    def _draw_and_decode(self, batch, num_samples, training=False):
        _, condition, _ = self._unpack(batch)
        q = self._q(batch)
        seed, step = (self.train_noise, self._step()) if training else (self.eval_noise, None)
        z, log_posterior = self.posterior.draw(q, num_samples, seed, step)
        raw = self._decode_draws(z, condition)
        return {"q": q, "z": z, "log_posterior": log_posterior, "raw": raw}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """This replica's share of the loss, in nats; updates the means of the logs."""
        x, condition, mask = self._unpack(x)
        target = x if y is None else y
        weights = ops.ones_like(y_pred["z"][0, :, 0])
        if sample_weight is not None:
            weights = weights * ops.cast(sample_weight, weights.dtype)
        density = self.likelihood.log_prob
        if training:
            density = functools.partial(self.likelihood.training_log_prob, weights=weights)
        terms = self._terms(target, condition, mask, y_pred, density, weights, training)
        self._observe(terms)
        step = self._step()
        penalties = [penalty.loss(terms, step) for penalty in self.penalties]
        total = self.objective.loss(terms, step) + sum(penalties)
        extra = sum(ops.sum(loss) for loss in self.losses)
        reconstruction = -ops.mean(terms.log_likelihood, axis=0)
        logs = (total + extra, reconstruction, terms.kl, *penalties)
        self.means.update_state(logs, weights)
        loss = replicas.share_of_mean(total, weights) + extra / replicas.count()
        return loss + self._opponents_share(terms, training)

    def _opponents_share(self, terms, training):
        """This replica's share of what others minimise in the same step, as a discriminator."""
        return 0.0

    def _observe(self, terms):
        """Updates what is logged beside the losses."""
        self.posterior.observe(terms.q)
        self.overflows.update_state(terms.kl_summands)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Compares the target with the mean of p(x|z) of the first draw; missing values agree."""
        if "mean" not in y_pred:
            return self.get_metrics_result()
        x, _, mask = self._unpack(x)
        target, mean = x if y is None else y, y_pred["mean"]
        if mask is not None:
            target = ops.where(mask, ops.cast(target, mean.dtype), mean)
        return super().compute_metrics(x, target, mean, sample_weight)

    def _unpack(self, batch):
        """(x with missing values filled, condition as vectors, mask as booleans); or None."""
        if not isinstance(batch, dict):
            return batch, None, None
        x, condition, mask = (batch.get(key) for key in ("x", "condition", "mask"))
        if mask is not None:
            mask = ops.cast(mask, "bool")
            x = self.likelihood.filled(x, mask)
        if condition is not None:
            condition = self._vectors(condition)
        return x, condition, mask

    def _vectors(self, condition):
        """Class indices (B,) as one-hot vectors, vectors (B, C) as they are."""
        if len(condition.shape) == 1:
            return ops.one_hot(ops.cast(condition, "int32"), self.condition_dim)
        return ops.cast(condition, "float32")

    def _features(self, x, condition):
        if not self.encoder_takes_condition:
            return self.encoder(x)
        return self.encoder([ops.convert_to_tensor(x), condition])

    def _raw(self, z, condition):
        return self.decoder([z, condition] if self.decoder_takes_condition else z)

    def _decode_draws(self, z, condition):
        draws, batch, latent_dim = ops.shape(z)
        if condition is not None:
            condition = ops.tile(condition, (draws, 1))
        raw = ops.cast(self._raw(ops.reshape(z, (-1, latent_dim)), condition), "float32")
        return ops.reshape(raw, (draws, batch, *raw.shape[1:]))

    def _terms(self, target, condition, mask, y_pred, density, weights=None, training=False):
        """The `Terms` of a batch, with `density(target, raw, mask=…)` as log p(x|z)."""
        q, z, log_posterior = (y_pred[key] for key in ("q", "z", "log_posterior"))
        prior = self.prior.given(self, condition)
        log_prior = prior.log_prob(z)
        kl = divergences.kl_summands(self.posterior, q, prior, log_posterior, log_prior)

        def log_joint(z):
            raw = self._decode_draws(z, condition)
            return density(target, raw, mask=mask) + prior.log_prob(z)

        return objectives.Terms(
            log_likelihood=density(target, y_pred["raw"], mask=mask),
            kl_summands=kl,
            log_posterior=log_posterior,
            log_prior=log_prior,
            z=z,
            q=q,
            posterior=self.posterior,
            prior=prior,
            weights=ops.ones_like(z[0, :, 0]) if weights is None else weights,
            log_joint=log_joint,
            seed=self.train_noise if training else self.eval_noise,
            target=target,
            reconstruction=lambda: self.likelihood.mean(y_pred["raw"][0]),
        )

    # Keras' verbs.

    @property
    def metrics(self):
        own = (self.means, self.overflows, self.step_now)
        others = [m for m in super().metrics if m.name != "loss" and m not in own]
        return [self.means, *others]

    @property
    def metrics_variables(self):
        """What a step on JAX takes and returns: of the metrics that are not logged too."""
        unlogged = (*self.overflows.variables, *self.step_now.variables)
        return [*super().metrics_variables, *unlogged]

    def check_support(self, x, argument="x"):
        """Refuses values that the likelihood gives no probability."""
        self.likelihood.check_support(x, argument)

    def fill_missing(self, x, mask):
        """A NumPy array with values of the support where the mask is False."""
        return ops.convert_to_numpy(self.likelihood.filled(x, np.asarray(mask, "bool")))

    def reset_metrics(self):
        """Also rewinds the noise of evaluation, so that `evaluate` gives the same twice."""
        super().reset_metrics()
        self.overflows.reset_state()
        self.step_now.update_state(self._iterations())
        self._rewind_evaluation_noise()

    def fit_prior(self, x, prior=None, learning_rate=1e-2, **fit_arguments):
        """A model with the same networks and a prior that is fitted to the codes of x.

        Where the codes are not spread like the prior, `generate` draws where the decoder knows
        nothing. The new prior goes the rest of the way: it maximises the ELBO with all else held
        fixed. The new model shares the networks, and generates, scores and saves with its prior.

        Args:
            x: any input of `fit`.
            prior: by default `priors.NormalMixture(10)`; or a `priors.FlowPrior()`, another.
            learning_rate: number or schedule, of Adam.
            fit_arguments: `epochs`, `batch_size`, `validation_data` and the others of `fit`.

        Returns the new `VAE`, with the optimizer of this one in its first state, if it is compiled.

        Example:

        ```python
        vae = vae.fit_prior(x, keras_vae.priors.FlowPrior(), epochs=20)
        vae.generate(16)
        ```

        References: Ghosh et al., From Variational to Deterministic Autoencoders
        (arXiv:1903.12436), section 5; Dai and Wipf (arXiv:1903.05789), section 3.
        """
        prior = prior or priors.NormalMixture(10)
        with self.strategy_scope():
            fitting = self._with(prior, objectives.ELBO(), ())
            fitted = self._with(prior, self.objective, self.penalties)
            fitting.compile(keras.optimizers.Adam(learning_rate))
            if self.compiled:
                fitted.compile(self.optimizer.from_config(self.optimizer.get_config()))
        parts = (self.encoder, self.decoder, self.posterior, self.likelihood)
        held = [variable for part in parts for variable in part.trainable_variables]
        if validation.is_array(x) and type(prior).start_from is not priors.Prior.start_from:
            prior.start_from(self.encode(_first_rows(x, 10_000), sample=True), self.seed)
        self.posterior.frozen = True
        for variable in held:
            variable.trainable = False
        try:
            fitting.fit(x, **fit_arguments)
        finally:
            self.posterior.frozen = False
            for variable in held:
                variable.trainable = True
        return fitted

    def _with(self, prior, objective, penalties):
        parts = (self.encoder, self.decoder, self.posterior, prior, self.likelihood)
        return VAE(*parts, objective, penalties, self.seed)

    def _rewind_evaluation_noise(self):
        self.eval_noise.state.assign([noise.stream(self.seed, 1), 0])

    # Saving.

    def save(self, filepath, overwrite=True, **kwargs):
        """Saves to one `.keras` file, whole or not at all. Args as in `keras.Model.save`.

        Of several workers only the chief writes.
        """
        if self.is_chief:
            saving.save(super().save, filepath, overwrite, **kwargs)

    def save_weights(self, filepath, overwrite=True, **kwargs):
        """Saves to one `.weights.h5` file, whole or not at all; of several workers, the chief."""
        if self.is_chief:
            saving.save(super().save_weights, filepath, overwrite, **kwargs)

    def load_weights(self, filepath, **kwargs):
        """Loads a `.weights.h5` file, with the optimizer's state where there is one."""
        optimizer = getattr(self, "optimizer", None)  # there is none before `compile`
        if optimizer is not None and self.built and not optimizer.built:
            optimizer.build(self.trainable_variables)  # or Keras skips its state
        super().load_weights(filepath, **kwargs)

    def save_own_variables(self, store):
        super().save_own_variables(store)
        saving.save_noise_states(self, store)

    def load_own_variables(self, store):
        super().load_own_variables(saving.load_noise_states(self, store))

    def get_compile_config(self):
        """What `compile` was given, for any backend to read."""
        config = saving.portable(super().get_compile_config())
        if config.get("jit_compile") == self._resolve_auto_jit_compile():
            config["jit_compile"] = "auto"  # Keras stores what this backend makes of it
        return config

    def get_config(self):
        arguments = constructor_arguments(self)
        return {**super().get_config(), **arguments, "format": saving.FORMAT}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        saving.check_format(config.pop("format", 1))
        with keras.saving.CustomObjectScope(custom_objects or {}):
            return from_arguments(cls, config)


def condition_length(network):
    """C where a functional model takes (x or z, condition (B, C)), else None."""
    inputs = getattr(network, "inputs", None) or ()
    return inputs[1].shape[-1] if len(inputs) == 2 else None


def first_input_shape(network):
    """The input shape of x or z, for networks with a condition too; None if not known."""
    shape = getattr(network, "input_shape", None)
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


def _first_rows(x, count):
    return {k: v[:count] for k, v in x.items()} if isinstance(x, dict) else x[:count]
