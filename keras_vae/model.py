"""The VAE: where encoder, posterior, prior, decoder, likelihood and objective meet."""

import functools

import keras
import numpy as np
from keras import ops

from keras_vae import (
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
from keras_vae.inputs import CheckedModel
from keras_vae.part import constructor_arguments, from_arguments, register


@register
class VAE(CheckedModel):
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
        self.prior = prior or priors.StandardNormal()
        self.likelihood = likelihood or likelihoods.Bernoulli()
        self.objective = objective or objectives.ELBO()
        self.penalties = list(penalties)
        self.seed = noise.new_seed() if seed is None else seed
        self.train_noise = keras.random.SeedGenerator(noise.stream(self.seed, 0))
        self.eval_noise = keras.random.SeedGenerator(noise.stream(self.seed, 1))
        names = ["loss", "reconstruction_loss", "kl_loss", *(p.name for p in self.penalties)]
        self.trackers = [keras.metrics.Mean(name=name) for name in names]
        self._endpoints = Endpoints(self)
        if encoder.built and decoder.built and getattr(encoder, "input_shape", None):
            self.build(encoder.input_shape)

    def build(self, input_shape):
        """Builds all parts for x of `input_shape` (with the batch), and checks that they fit."""
        if self.built:
            return
        features = self.encoder(keras.KerasTensor((None, *input_shape[1:])))
        self.posterior(features)
        code = keras.KerasTensor((None, self.posterior.latent_dim))
        try:
            raw = self.decoder(code)
        except ValueError as error:
            raise ValueError(
                f"`decoder` must take codes of the posterior's latent_dim, (B, {code.shape[1]}). "
                f"Received: decoder={self.decoder.name}, which refused them: {error}"
            ) from error
        self.x_shape = tuple(input_shape[1:])
        self.target_shape = self.likelihood.example_shape(raw.shape[1:])
        for part, shape in ((self.prior, code.shape), (self.likelihood, raw.shape)):
            if not part.built:  # a loaded part is
                part.build(shape)
        self.built = True

    # The mathematics: backend-free, traced.

    def call(self, x, training=False):
        """Encodes x, draws codes and decodes them.

        Returns a dict: `q`, what the posterior says of the batch; `z`, draws (K, B, D); `raw`,
        the decoder's output for each, (K, B, …).
        """
        q = self.posterior(self.encoder(x))
        z = self.posterior.sample(
            q, self.objective.num_samples, self.train_noise if training else self.eval_noise
        )
        return {"q": q, "z": z, "raw": self._decode_draws(z)}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """This replica's share of the loss, in nats; updates the trackers of the logs."""
        target = x if y is None else y
        weights = ops.ones_like(y_pred["z"][0, :, 0])
        if sample_weight is not None:
            weights = weights * ops.cast(sample_weight, weights.dtype)
        if training:
            log_likelihood = self.likelihood.training_log_prob(target, y_pred["raw"], weights)
        else:
            log_likelihood = self.likelihood.log_prob(target, y_pred["raw"])
        terms = self._terms(log_likelihood, y_pred["q"], y_pred["z"])
        step = self.optimizer.iterations
        penalties = [penalty.loss(terms, step) for penalty in self.penalties]
        total = self.objective.loss(terms, step) + sum(penalties)
        extra = sum(ops.sum(loss) for loss in self.losses)
        reconstruction = -ops.mean(terms.log_likelihood, axis=0)
        logs = (total + extra, reconstruction, terms.kl, *penalties)
        for tracker, values in zip(self.trackers, logs, strict=True):
            tracker.update_state(values, sample_weight=weights)
        return replicas.share_of_mean(total, weights) + extra / replicas.count()

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Compares the target with the mean of p(x|z) of the first draw."""
        target = x if y is None else y
        mean = self.likelihood.mean(y_pred["raw"][0])
        return super().compute_metrics(x, target, mean, sample_weight)

    def _decode_draws(self, z):
        draws, batch, latent_dim = ops.shape(z)
        raw = ops.cast(self.decoder(ops.reshape(z, (-1, latent_dim))), "float32")
        return ops.reshape(raw, (draws, batch, *raw.shape[1:]))

    def _terms(self, log_likelihood, q, z):
        log_posterior = self.posterior.log_prob(q, z)
        log_prior = self.prior.log_prob(z)
        return objectives.Terms(
            log_likelihood=log_likelihood,
            kl=divergences.kl(self.posterior, q, self.prior, log_posterior, log_prior),
            log_posterior=log_posterior,
            log_prior=log_prior,
            z=z,
            q=q,
            posterior=self.posterior,
            prior=self.prior,
        )

    # Keras' verbs.

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """Reconstructions of x in data space: the mean of p(x|z) at the posterior's mean code.

        Args:
            x: one example or many; an array or any other input of `fit`.

        Returns: NumPy array (N, …).
        """
        options = {"verbose": verbose, "steps": steps, "callbacks": callbacks}
        return self._run("reconstruct", x, batch_size, **options)

    @property
    def metrics(self):
        others = [m for m in super().metrics if m.name != "loss" and m not in self.trackers]
        return [*self.trackers, *others]

    def check_support(self, x, argument="x"):
        """Refuses values that the likelihood gives no probability."""
        self.likelihood.check_support(x, argument)

    def reset_metrics(self):
        """Also rewinds the noise of evaluation, so that `evaluate` gives the same twice."""
        super().reset_metrics()
        self._rewind_evaluation_noise()

    def _rewind_evaluation_noise(self):
        self.eval_noise.state.assign([noise.stream(self.seed, 1), 0])

    # What a trained model is for. All of it is batched, and returns NumPy.

    def encode(self, x, sample=False, batch_size=None, verbose=0):
        """Codes of x, (N, D): posterior means, or with `sample=True` one draw for each example.

        Args:
            x: one example or many; an array or any other input of `fit`.
        """
        return self._run("sample_code" if sample else "mean_code", x, batch_size, verbose=verbose)

    def decode(self, z, batch_size=None, verbose=0):
        """Mean of p(x|z) for codes z of (N, D), in data space, (N, …)."""
        z = np.asarray(z, "float32")
        if z.ndim != 2 or z.shape[1] != self.posterior.latent_dim:
            raise ValueError(
                f"`z` must have the shape (codes, {self.posterior.latent_dim}), the latent size "
                f"of the posterior. Received: z with shape={z.shape}"
            )
        return self._endpoints.get("decode").run(z, batch_size, verbose=verbose)

    def generate(self, n, temperature=1.0, seed=None, batch_size=None, verbose=0):
        """`n` new examples, (n, …): means of p(x|z) at draws from the prior.

        Args:
            n: int, how many.
            temperature: scales the standard deviation of the prior; below 1 is more typical.
            seed: int; the same seed gives the same draws.
        """
        n = validation.positive_integer(n, "n", "how many examples to generate")
        seed = noise.new_seed() if seed is None else seed
        draws = self.prior.sample(n, keras.random.SeedGenerator(seed), temperature)
        return self.decode(ops.convert_to_numpy(draws), batch_size, verbose)

    def interpolate(self, a, b, steps):
        """Decodes `steps` codes on the straight line from that of example a to that of b."""
        validation.positive_integer(steps, "steps", "the number of examples on the line")
        start, end = self.encode(a), self.encode(b)
        if len(start) != 1 or len(end) != 1:
            raise ValueError(
                "`a` and `b` must be one example each, because a line joins two codes. "
                f"Received: {len(start)} and {len(end)} examples"
            )
        fraction = np.linspace(0.0, 1.0, steps, dtype="float32")[:, None]
        return self.decode(start + fraction * (end - start))

    def elbo(self, x, batch_size=None, verbose=0):
        """The evidence lower bound (beta = 1) of each example in nats, (N,), from one draw."""
        self._rewind_evaluation_noise()
        return self._run("elbo", x, batch_size, verbose=verbose)

    def log_likelihood(self, x, num_samples=1000, batch_size=None, verbose=0):
        """Importance-weighted estimate of log p(x) in nats, (N,): a bound that tightens with draws.

        Args:
            x: an array, or any other input of `fit` that can be gone through again.
            num_samples: draws of z for each example.

        Reference: Burda et al., Importance Weighted Autoencoders (arXiv:1509.00519), equation 8.
        """
        validation.positive_integer(num_samples, "num_samples", "the number of draws of z")
        self._rewind_evaluation_noise()
        x = self._checked(x)
        endpoints = [self._endpoints.get("log_weight", k) for k in _chunks(num_samples, 50)]
        sums = [endpoint.run(x, batch_size, verbose=verbose) for endpoint in endpoints]
        return functools.reduce(np.logaddexp, sums) - np.log(num_samples)

    def anomaly_score(self, x, batch_size=None, verbose=0):
        """How strange each example is, (N,): the negative ELBO in nats."""
        return -self.elbo(x, batch_size, verbose)

    def _run(self, name, x, batch_size, **options):
        return self._endpoints.get(name).run(self._checked(x), batch_size, **options)

    def _checked(self, x):
        """An array as a batch, of one if it is one example; pipelines as they are."""
        if not validation.is_array(x):
            return x
        x = validation.as_numeric(x)
        one = self.built and x.shape == self.x_shape
        return self._check_input(x[None] if one else x)

    def _mean_code(self, x):
        return self.posterior.mean(self.posterior(self.encoder(x)))

    def _sample_code(self, x):
        return self.posterior.sample(self.posterior(self.encoder(x)), 1, self.eval_noise)[0]

    def _decode(self, z):
        return self.likelihood.mean(ops.cast(self.decoder(z), "float32"))

    def _reconstruct(self, x):
        return self._decode(self._mean_code(x))

    def _elbo(self, x):
        return self._log_weights(x, 1, closed_kl=True)[0]

    def _log_weight(self, x, num_samples):
        return ops.logsumexp(self._log_weights(x, num_samples), axis=0)

    def _log_weights(self, x, num_samples, closed_kl=False):
        """log p(x, z) - log q(z|x) for draws of z, (K, B); or with the KL in closed form."""
        q = self.posterior(self.encoder(x))
        z = self.posterior.sample(q, num_samples, self.eval_noise)
        terms = self._terms(self.likelihood.log_prob(x, self._decode_draws(z)), q, z)
        kl = terms.kl if closed_kl else terms.log_posterior - terms.log_prior
        return terms.log_likelihood - kl

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

    def get_config(self):
        return {**super().get_config(), **constructor_arguments(self)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        with keras.saving.CustomObjectScope(custom_objects or {}):
            return from_arguments(cls, config)


def _latent_dim(decoder):
    shape = getattr(decoder, "input_shape", None)
    if shape is None:
        raise ValueError(
            "`posterior` must be given where the decoder does not know its input shape, because "
            "the default takes the latent size from there. Received: posterior=None, "
            f"decoder={decoder!r}"
        )
    return shape[-1]


def _chunks(total, largest):
    """`total` as a list of numbers up to `largest`."""
    full, rest = divmod(total, largest)
    return [largest] * full + [rest] * (rest > 0)
