"""What a trained model is for: codes, reconstructions, new examples, scores. Batched, in NumPy."""

import inspect
import math

import keras
import numpy as np
from keras import ops

from keras_vae import evaluation, export, validation
from keras_vae import random as noise
from keras_vae.endpoints import BATCH_SIZE
from keras_vae.inputs import CheckedModel
from keras_vae.posteriors import DiagonalNormal

_DECODED = 1_000_000
"""Numbers that `log_likelihood` decodes at a time, which bounds its memory."""


class Inference(CheckedModel):
    """The verbs of a trained VAE. Each `_name(batch)` is traced; `_run` calls it in batches."""

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """Reconstructions of x in data space: the mean of p(x|z) at the posterior's mean code.

        Args:
            x: one example or many; an array or any other input of `fit`.

        Returns: NumPy array (N, …).
        """
        options = {"verbose": verbose, "steps": steps, "callbacks": callbacks}
        return self._run("reconstruct", x, batch_size, **options)

    def encode(self, x, sample=False, batch_size=None, verbose=0):
        """Codes of x, (N, D): posterior means, or with `sample=True` one draw for each example.

        Args:
            x: one example or many; an array or any other input of `fit`.
        """
        return self._run("sample_code" if sample else "mean_code", x, batch_size, verbose=verbose)

    def infer(self, x, batch_size=None, verbose=0):
        """The parameters of q(z|x), a dict of arrays such as `mean` and `log_variance`, (N, D).

        Args:
            x: one example or many; an array or any other input of `fit`.
        """
        return self._run("q", x, batch_size, verbose=verbose)

    def decode(self, z, batch_size=None, verbose=0, condition=None):
        """Mean of p(x|z) for codes z of (N, D), in data space, (N, …).

        Args:
            condition: of a conditional model: one class or vector for all, or one for each code.
        """
        z = validation.as_numeric(z, "z").astype("float32")
        if z.ndim != 2 or z.shape[1] != self.posterior.latent_dim:
            raise ValueError(
                f"`z` must have the shape (codes, {self.posterior.latent_dim}), the latent size "
                f"of the posterior. Received: z with shape={z.shape}"
            )
        z = self._with_condition(z, condition)
        return self._endpoints.get("decode").run(z, batch_size, verbose=verbose)

    def generate(self, n, temperature=1.0, seed=None, batch_size=None, verbose=0, condition=None):
        """`n` new examples, (n, …): means of p(x|z) at draws from the prior.

        Args:
            n: int, how many.
            temperature: scales the standard deviation of the prior; below 1 is more typical.
            seed: int; the same seed gives the same draws.
            condition: of a conditional model: one class or vector for all, or one for each.
        """
        n = validation.positive_integer(n, "n", "how many examples to generate")
        seed = noise.new_seed() if seed is None else seed
        rows = self._conditions(n, condition)
        vectors = None if rows is None else self._vectors(rows)
        prior = self.prior.given(self, vectors)
        draws = prior.sample(n, keras.random.SeedGenerator(seed), temperature)
        return self.decode(ops.convert_to_numpy(draws), batch_size, verbose, rows)

    def interpolate(self, a, b, steps, condition=None):
        """Decodes `steps` codes on the straight line from that of example a to that of b.

        Args:
            a, b: one example each; dicts with a `condition` where the encoder takes one.
            condition: of a conditional model, for the decoder: one class or vector.
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

    def impute(self, x, mask, num_samples=100, condition=None, batch_size=None, verbose=0):
        """x with its missing entries filled by their mean given the observed ones, (N, …).

        The mean of p(x|z) over draws of z, weighted by how well each explains what is observed; of
        classes, the most probable one.

        Args:
            x: (N, …); what is at missing entries does not matter, NaN included.
            mask: like x: 1 or True where x is observed, 0 or False where it is missing.
            num_samples: draws of z for each example.
            condition: of a conditional model: one class or vector for all, or one for each.

        Raises:
            ValueError: of sequences whose steps depend on those before.

        Reference: Mattei and Frellsen, MIWAE (arXiv:1812.02633), equation 12.
        """
        validation.positive_integer(num_samples, "num_samples", "the number of draws of z")
        if not self.likelihood.independent:
            raise ValueError(
                "`impute` must have a likelihood whose features are independent given z, because "
                f"it fills them one by one. Received: likelihood={type(self.likelihood).__name__}"
            )
        x = {"x": x, "mask": mask}
        rows = self._conditions(len(x["x"]), condition)
        x = self._checked(x if rows is None else x | {"condition": rows})
        self._rewind_evaluation_noise()
        batch_size = batch_size or max(1, BATCH_SIZE // num_samples)
        endpoint = self._endpoints.get("impute", num_samples)
        filled = endpoint.run(x, batch_size, verbose=verbose)
        return np.where(np.asarray(x["mask"], "bool"), x["x"], filled).astype("float32")

    def elbo(self, x, batch_size=None, verbose=0):
        """The evidence lower bound (beta = 1) of each example in nats, (N,), from one draw."""
        self._rewind_evaluation_noise()
        return self._run("elbo", x, batch_size, verbose=verbose)

    def log_likelihood(self, x, num_samples=1000, batch_size=None, verbose=0):
        """Importance-weighted estimate of log p(x) in nats, (N,): a bound that tightens with draws.

        Goes through x once for every few draws, so that memory does not grow with their number.

        Args:
            x: an array, or any other input of `fit` that can be gone through again.
            num_samples: draws of z for each example.
            verbose: 1 shows a progress bar.

        Reference: Burda et al., Importance Weighted Autoencoders (arXiv:1509.00519), equation 8.
        """
        validation.positive_integer(num_samples, "num_samples", "the number of draws of z")
        self._rewind_evaluation_noise()
        x = self._checked(x)
        batch_size = batch_size or 64
        largest = _DECODED // (batch_size * math.prod(self.target_shape))
        total, passes = None, _chunks(num_samples, min(max(largest, 1), 50))
        bar = keras.utils.Progbar(len(passes), verbose=verbose, unit_name="pass")
        for number, draws in enumerate(passes):
            endpoint = self._endpoints.get("log_weight", draws)
            sums = endpoint.run(x, batch_size, compiled=passes.count(draws) > 2, verbose=0)
            total = sums if total is None else np.logaddexp(total, sums)
            bar.update(number + 1)
        return total - np.log(num_samples)

    def diagnose(self, x, batch_size=None, verbose=0):
        """What the code carries, and whether it has collapsed: a dict, in nats an example.

        Args:
            x: an array, or any other input of `fit`. More than 10,000 examples take long, as each
                code is compared with each posterior.

        Returns: `elbo`, `reconstruction_loss`, `kl_loss`, from one draw each; `active_units`, the
        number of dimensions in use (see `evaluation.active_units`); where the KL is a sum over the
        dimensions, `kl_per_dimension`, (D,), their means; and for `DiagonalNormal`, what
        `evaluation.decompose_kl` splits the KL into.
        """
        self._rewind_evaluation_noise()
        found = self._run("diagnosis", x, batch_size, verbose=verbose)
        reconstruction, summands = found["log_likelihood"].mean(), found["kl"].mean(axis=0)
        result = {
            "elbo": float(reconstruction - summands.sum()),
            "reconstruction_loss": -float(reconstruction),
            "kl_loss": float(summands.sum()),
            "active_units": evaluation.active_units(found["mean"]),
        }
        if len(summands) == self.posterior.latent_dim:
            result["kl_per_dimension"] = summands
        if "log_variance" in found:
            keys = ("mean", "log_variance", "z", "log_prior")
            result |= evaluation.decompose_kl(*(found[key] for key in keys))
        return result

    def evaluate(self, *args, diagnose=False, **kwargs):
        """As in `keras.Model`; with `diagnose=True` the dict has what `diagnose` tells too."""
        logs = super().evaluate(*args, **kwargs)
        if not diagnose:
            return logs
        if not isinstance(logs, dict):
            raise ValueError(
                "`diagnose` must go with return_dict=True, because what it adds has names. "
                f"Received: diagnose={diagnose!r}, return_dict=False"
            )
        x = inspect.signature(keras.Model.evaluate).bind(self, *args, **kwargs).arguments["x"]
        return self.diagnose(x) | logs

    def anomaly_score(self, x, batch_size=None, verbose=0):
        """How strange each example is, (N,): the negative ELBO in nats."""
        return -self.elbo(x, batch_size, verbose)

    def export(
        self,
        filepath,
        format="tf_saved_model",
        verbose=None,
        component="all",
        quantize=None,
        representative_data=None,
    ):
        """Writes the model for other runtimes, without Python code of its own; whole or not at all.

        Endpoints: `encode`, x to mean codes; `decode`, z to the mean of p(x|z); `reconstruct`, x to
        that; `generate`, standard normal noise to new examples. Each takes any number of rows, and
        a condition as vectors (B, C), its second input, where the model has one.

        Args:
            filepath: a folder for `"tf_saved_model"`, and for `"onnx"` with `component="all"` (one
                file an endpoint); else a file that ends in `.onnx` or `.tflite`.
            format: `"tf_saved_model"`, `"onnx"` or `"litert"`.
            component: `"encoder"` (`encode`), `"decoder"` (`decode`) or `"all"` (all four).
            quantize: of LiteRT: None, `"dynamic"` (weights in 8 bits) or `"int8"` (values too).
            representative_data: a few hundred examples, for `"int8"`.

        Raises:
            ValueError: if the model, the backend or an argument does not allow it.
        """
        if self.is_chief:
            verbose = True if verbose is None else verbose
            export.export(self, filepath, format, component, quantize, representative_data, verbose)

    def _run(self, name, x, batch_size, **options):
        return self._endpoints.get(name).run(self._checked(x), batch_size, **options)

    def _checked(self, x):
        """An array as a batch, of one if it is one example; pipelines as they are."""
        if not validation.is_array(x):
            return x
        batch = {key: validation.as_numeric(v, key) for key, v in validation.parts_of(x).items()}
        if self.built and batch["x"].shape == self.x_shape:
            batch = {key: np.asarray(v)[None] for key, v in batch.items()}
        return self._check_input(batch if isinstance(x, dict) else batch["x"])

    def _conditions(self, rows, condition):
        """A condition for each of so many rows, from one for all or one for each; or None."""
        if condition is None:
            validation.check_condition(
                None, rows, self.decoder_takes_condition and self.condition_dim
            )
            return None
        condition = validation.as_numeric(np.atleast_1d(condition), "condition")
        if condition.ndim == 1 and condition.dtype.kind == "f" and len(condition) != rows:
            condition = condition[None]  # one vector
        if len(condition) == 1:
            condition = np.repeat(condition, rows, axis=0)
        validation.check_condition(condition, rows, self.condition_dim)
        return condition

    def _with_condition(self, z, condition):
        rows = self._conditions(len(z), condition)
        return z if rows is None else {"x": z, "condition": rows}

    def _q(self, batch):
        x, condition, _ = self._unpack(batch)
        return self.posterior(self._features(x, condition))

    def _mean_code(self, batch):
        return self.posterior.mean(self._q(batch))

    def _sample_code(self, batch):
        return self.posterior.sample(self._q(batch), 1, self.eval_noise)[0]

    def _decode(self, batch):
        z, condition = batch, None
        if isinstance(batch, dict):
            z, condition = batch["x"], self._vectors(batch["condition"])
        return self.likelihood.mean(self._decode_draws(z[None], condition)[0])

    def _generate(self, batch):
        """The mean of p(x|z) at the draw from the prior that standard normal noise stands for."""
        if isinstance(batch, dict):
            condition = self._vectors(batch["condition"])
            z = self.prior.given(self, condition).from_noise(batch["x"])
            return self._decode({"x": z, "condition": condition})
        return self._decode(self.prior.given(self).from_noise(batch))

    def _reconstruct(self, batch):
        _, condition, _ = self._unpack(batch)
        raw = self._decode_draws(self._mean_code(batch)[None], condition)
        return self.likelihood.mean(raw[0])

    def _elbo(self, batch):
        terms, _ = self._evaluate(batch, 1)
        return terms.log_likelihood[0] - terms.kl

    def _diagnosis(self, batch):
        """What `diagnose` needs of each example."""
        terms, _ = self._evaluate(batch, 1)
        found = {
            "log_likelihood": terms.log_likelihood[0],
            "kl": terms.kl_summands,
            "mean": self.posterior.mean(terms.q),
        }
        if isinstance(self.posterior, DiagonalNormal):
            found |= {"log_variance": terms.q["log_variance"]}
            found |= {"z": terms.z[0], "log_prior": terms.log_prior[0]}
        return found

    def _log_weight(self, batch, num_samples):
        return ops.logsumexp(self._log_weights(batch, num_samples)[0], axis=0)

    def _impute(self, batch, num_samples):
        log_weights, raw = self._log_weights(batch, num_samples)
        return self.likelihood.mixture_mean(raw, ops.softmax(log_weights, axis=0))

    def _log_weights(self, batch, num_samples):
        """log p(x, z) - log q(z|x) for draws of z, (K, B), and what the decoder emits for them."""
        terms, raw = self._evaluate(batch, num_samples)
        return terms.log_likelihood + terms.log_prior - terms.log_posterior, raw

    def _evaluate(self, batch, num_samples):
        """The `Terms` of a batch, and what the decoder emits for the draws."""
        x, condition, mask = self._unpack(batch)
        draws = self._draw_and_decode(batch, num_samples)
        return self._terms(x, condition, mask, draws, self.likelihood.log_prob), draws["raw"]


def _chunks(total, largest):
    """`total` as a list of numbers up to `largest`."""
    full, rest = divmod(total, largest)
    return [largest] * full + [rest] * (rest > 0)
