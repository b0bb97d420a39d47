"""The model of a ladder."""

import itertools
import math

import keras
import numpy as np
from keras import ops

from keras_vae import objectives, validation
from keras_vae import random as noise
from keras_vae.hierarchical.ladder import TopDown
from keras_vae.metrics import Means
from keras_vae.model import VAE
from keras_vae.part import build_once, register
from keras_vae.posteriors import normal_log_prob


@register
class HierarchicalVAE(VAE):
    """A ladder VAE: latent groups at any resolutions, each drawn given those above it.

    Both ways share one pass down (bidirectional inference), and the bound is

        E_q[log p(x|z)] - Σ_l E_q[KL(q(z_l | z_<l, x) || p(z_l | z_<l))].

    It has all verbs of a `VAE`. Codes are those of all groups, from the top down, one behind the
    other, (N, D); `split` takes them apart. The logs have `kl_1`, `kl_2`, … for the groups, whose
    sum is `kl_loss`. `ELBO(free_bits=…)` counts by group.

    Args:
        encoder: `keras.Model`, x to a list of features, one for each group, as of `bottom_up`.
        decoder: `TopDown`.
        likelihood, objective, seed: as for `VAE`; of `IWAE` the standard gradient only.

    Example:

    ```python
    groups = [(4, 4, 8), (7, 7, 4), (14, 14, 2)]
    vae = keras_vae.hierarchical.HierarchicalVAE(
        keras_vae.hierarchical.bottom_up((28, 28, 1), groups),
        keras_vae.hierarchical.TopDown(groups, (28, 28, 1)),
    )
    ```

    References: Sønderby et al., Ladder Variational Autoencoders (arXiv:1602.02282); Kingma et
    al. (arXiv:1606.04934), section 5 and appendix C, bidirectional inference; Vahdat and Kautz,
    NVAE (arXiv:2007.03898), section 3.2, residual normals; Child, Very Deep VAEs
    (arXiv:2011.10650).
    """

    def __init__(self, encoder, decoder, likelihood=None, objective=None, seed=None, **kwargs):
        if not isinstance(decoder, TopDown):
            raise ValueError(
                "`decoder` must be a hierarchical.TopDown, because it is the prior and half of the "
                f"posterior too. Received: decoder={decoder!r}"
            )
        super().__init__(
            encoder, decoder, decoder, decoder, likelihood, objective, (), seed, **kwargs
        )

    def build(self, input_shape):
        """Builds both ways for x of `input_shape` (with the batch), and checks that they fit."""
        if self.built:
            return
        ladder, objective = self.decoder, self.objective
        self.condition_dim, self.decoder_takes_condition = (
            ladder.condition_dim,
            bool(ladder.condition_dim),
        )
        self.group_means = Means(f"kl_{number}" for number in range(1, len(ladder.groups) + 1))
        shapes = [tuple(f.shape[1:]) for f in keras.tree.flatten(self.encoder.outputs)]
        expected = [block.state_shape for block in ladder.blocks]
        if shapes != expected:
            raise ValueError(
                "`encoder` must return the features of each group from the top down, with the "
                f"resolution of the group and {ladder.width} channels: {expected}. "
                f"Received: encoder output shapes={shapes}"
            )
        if getattr(objective, "gradient", "standard") != "standard":
            raise ValueError(
                "`objective` must have the standard gradient for a ladder, because the others hold "
                "q fixed under the draws, and here q depends on the draws above. "
                f"Received: gradient={objective.gradient!r}"
            )
        ladder.build()
        self.x_shape = tuple(input_shape[1:])
        self.target_shape = self.likelihood.example_shape(ladder.output_shape)
        build_once(self.likelihood, (None, *ladder.output_shape))
        build_once(objective, (None, sum(ladder.sizes)))
        objective.check_model(self)
        self.built = True

    def split(self, z):
        """Codes (N, D) as a list of those of each group, (N, *shape)."""
        return self.decoder.split(validation.as_numeric(z, "z"))

    def generate(self, n, temperature=1.0, seed=None, batch_size=None, verbose=0, condition=None):
        """`n` new examples, (n, …): means of p(x|z) at draws from the prior.

        Args:
            temperature: scales the standard deviations: one number, or one for each group.
            n, seed, condition: as for `VAE.generate`.
        """
        n = validation.positive_integer(n, "n", "how many examples to generate")
        sizes, scales = self.decoder.sizes, np.ravel(temperature).astype("float32")
        if len(scales) not in (1, len(sizes)):
            raise ValueError(
                f"`temperature` must be one number, or one for each of the {len(sizes)} groups. "
                f"Received: temperature={temperature!r}"
            )
        seed = keras.random.SeedGenerator(noise.new_seed() if seed is None else seed)
        draws = ops.convert_to_numpy(keras.random.normal((n, sum(sizes)), seed=seed))
        scales = np.repeat(np.broadcast_to(scales, len(sizes)), sizes)
        batch = self._with_condition(scales * draws, condition)
        return self._endpoints.get("from_noise").run(batch, batch_size, verbose=verbose)

    def fit_prior(self, *args, **kwargs):
        """Refused: the prior of a ladder is learned with it."""
        raise ValueError(
            "`fit_prior` must be left out for a ladder, because its prior is learned with it. "
            "Received: a HierarchicalVAE"
        )

    # The mathematics.

    def _pass(self, batch, choose, num_samples=1):
        """One pass down for a batch: the densities' parameters and draws, and raw, (K, B, …)."""
        x, condition, _ = self._unpack(batch)
        features = keras.tree.flatten(self.encoder(x))
        rows = num_samples * ops.shape(x)[0]
        tiled = [ops.tile(f, (num_samples, *[1] * (len(f.shape) - 1))) for f in features]
        if condition is not None:
            condition = ops.tile(condition, (num_samples, 1))
        names = ("mean", "log_variance", "prior_mean", "prior_log_variance", "z")
        found = {name: [] for name in names}

        def one(number, block, state, prior):
            q = block.posterior(state, tiled[number], prior)
            z = choose(*q)
            for name, value in zip(names, (*q, *prior, z), strict=True):
                flat = math.prod(self.decoder.groups[number])
                found[name].append(ops.reshape(value, (num_samples, -1, flat)))
            return z

        raw = self.decoder.walk(one, rows, condition)
        raw = ops.reshape(raw, (num_samples, -1, *raw.shape[1:]))
        return {name: ops.concatenate(v, axis=-1) for name, v in found.items()}, raw

    def _draw_and_decode(self, batch, num_samples, training=False):
        seed = self.train_noise if training else self.eval_noise

        def draw(mean, log_variance):
            rows, *shape = ops.shape(mean)
            shape = (num_samples, rows // num_samples, *shape)
            drawn = ops.reshape(noise.normal(shape, seed, axis=1), ops.shape(mean))
            return mean + ops.exp(0.5 * log_variance) * drawn

        q, raw = self._pass(batch, draw, num_samples)
        z = q.pop("z")
        log_posterior = normal_log_prob(z, q["mean"], q["log_variance"])
        return {"q": q, "z": z, "log_posterior": log_posterior, "raw": raw}

    def _terms(self, target, condition, mask, y_pred, density, weights=None, training=False):
        q, z = y_pred["q"], y_pred["z"]
        return objectives.Terms(
            log_likelihood=density(target, y_pred["raw"], mask=mask),
            kl_summands=self._kl_by_group(q),
            log_posterior=y_pred["log_posterior"],
            log_prior=normal_log_prob(z, q["prior_mean"], q["prior_log_variance"]),
            z=z,
            q=q,
            posterior=self.decoder,
            prior=self.decoder,
            weights=ops.ones_like(z[0, :, 0]) if weights is None else weights,
            log_joint=None,
            seed=self.train_noise if training else self.eval_noise,
        )

    def _kl_by_group(self, q):
        """KL of each group given the draws above, averaged over draws, (B, L)."""
        difference = q["log_variance"] - q["prior_log_variance"]
        square = ops.square(q["mean"] - q["prior_mean"]) * ops.exp(-q["prior_log_variance"])
        kl = ops.mean(0.5 * (ops.exp(difference) + square - 1.0 - difference), axis=0)
        ends = list(itertools.accumulate(self.decoder.sizes))[:-1]
        return ops.stack([ops.sum(part, axis=-1) for part in ops.split(kl, ends, -1)], axis=-1)

    def _observe(self, terms):
        super()._observe(terms)
        self.group_means.update_state(ops.unstack(terms.kl_summands, axis=1), terms.weights)

    def _q(self, batch):
        q, _ = self._pass(batch, lambda mean, log_variance: mean)
        return {name: value[0] for name, value in q.items() if name != "z"}

    def _sample_code(self, batch):
        return self._draw_and_decode(batch, 1)["z"][0]

    def _raw(self, z, condition):
        codes = self.decoder.split(z)
        return self.decoder.walk(lambda number, *_: codes[number], ops.shape(z)[0], condition)

    def _from_noise(self, batch):
        """Means of p(x|z) where z is drawn from the prior with this noise, (B, D)."""
        drawn, condition = batch, None
        if isinstance(batch, dict):
            drawn, condition = batch["x"], self._vectors(batch["condition"])
        parts = self.decoder.split(drawn)

        def draw(number, block, state, prior):
            return prior[0] + ops.exp(0.5 * prior[1]) * parts[number]

        raw = self.decoder.walk(draw, ops.shape(drawn)[0], condition)
        return self.likelihood.mean(raw)
