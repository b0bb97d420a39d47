"""The model of a ladder."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vae import data_adapters, normal, objectives, random
from keras_vae.batch import Batch
from keras_vae.hierarchical.ladder import TopDown
from keras_vae.hierarchical.parts import LadderPosterior, LadderPrior, group_scales
from keras_vae.inference import with_noise
from keras_vae.metrics import WeightedMeans
from keras_vae.model import VAE
from keras_vae.networks.checks import check_network
from keras_vae.part import register
from keras_vae.posteriors import score_points
from keras_vae.typing import Shape, Tensor


@register
class HierarchicalVAE(VAE):
    """A ladder VAE: latent groups at any resolutions, each drawn given those above it.

    Both ways share one pass down (bidirectional inference), and the bound is

        E_q[log p(x|z)] - Σ_l E_q[KL(q(z_l | z_<l, x) || p(z_l | z_<l))].

    It has the methods of a `VAE`, except for `fit_prior`. Codes are those of all groups, from the
    top down, one after the other, (N, D); `split` separates them. The logs have `kl_1`, `kl_2`, …
    for the groups, whose sum is `kl_loss`. `ELBO(free_bits=…)` counts by group.

    Args:
        encoder: `keras.Model`, x to a list of features, one for each group, as `bottom_up` makes.
        decoder: `TopDown`.
        likelihood, objective, penalties, seed: as for `VAE`; of `IWAE` the standard gradient only,
            and penalties that take codes and a prior alone, such as `MMD`.

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

    _step_metrics: Any
    """A `StepMetrics` that also has `groups`, the means of the KL of each group."""

    def __init__(
        self,
        encoder: keras.Model,
        decoder: TopDown,
        likelihood: Any = None,
        objective: Any = None,
        penalties: Sequence[Any] = (),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(decoder, TopDown):
            raise ValueError(
                "`decoder` must be a hierarchical.TopDown, because it is the prior and half of the "
                f"posterior too. Received: decoder={decoder!r}"
            )
        for name in ("posterior", "prior"):
            if kwargs.get(name) is not None:
                raise ValueError(
                    f"`{name}` must be left out for a HierarchicalVAE, and `fit_prior` cannot be "
                    "used, because the decoder is the prior and half of the posterior too. "
                    f"Received: {name}={type(kwargs[name]).__name__}"
                )
        parts = (LadderPosterior(decoder), LadderPrior(decoder), likelihood, objective, penalties)
        super().__init__(encoder, decoder, *parts, seed, **kwargs)
        names = [f"kl_{number}" for number in range(1, len(decoder.groups) + 1)]
        self._step_metrics.groups = WeightedMeans(names)

    def _check_networks(self, encoder, decoder):
        check_network(encoder, "encoder")

    def _sigmoid_warning(self):
        """None: a `TopDown` ends without an activation."""

    def build(self, input_shape: Shape) -> None:
        """Builds both ways for x of `input_shape` (with the batch), and checks that they fit."""
        if self.built:
            return
        ladder = self.decoder
        self.condition_dim = ladder.condition_dim
        self.decoder_takes_condition = bool(ladder.condition_dim)
        shapes = [tuple(f.shape[1:]) for f in keras.tree.flatten(self.encoder.outputs)]
        expected = [block.state_shape for block in ladder.blocks]
        if shapes != expected:
            raise ValueError(
                "`encoder` must return the features of each group from the top down, with the "
                f"resolution of the group and {ladder.width} channels: {expected}. "
                f"Received: encoder output shapes={shapes}"
            )
        ladder.build()
        self._build_parts(input_shape, (None, *ladder.output_shape))

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        means, *others = super().metrics
        return [means, self._step_metrics.groups, *others]

    def split(self, z: Tensor) -> list[np.ndarray]:
        """Returns codes (N, D) as a list of those of each group, (N, *shape)."""
        return self.decoder.split(ops.convert_to_numpy(data_adapters.as_array(z, "z")))

    def _generate(self, n, sample, temperature, seed, condition, **options):
        generator = keras.random.SeedGenerator(seed)
        draws = ops.convert_to_numpy(keras.random.normal((n, self.latent_dim), seed=generator))
        batch = self._with_condition(group_scales(self.decoder, temperature) * draws, condition)
        self._seed_evaluation_noise(random.stream(seed, 2))
        x_of = sample_from_noise if sample else mean_from_noise
        return self._runners.get(x_of).run(batch, **options)

    # The mathematics.

    def _pass(self, batch, choose, num_samples=1, training=None):
        """One pass down for a batch: the densities' parameters and draws, and params, (K, B, …)."""
        features = keras.tree.flatten(self._features(self._seen(batch), None, training))
        tiled = [ops.tile(f, (num_samples, *[1] * (len(f.shape) - 1))) for f in features]
        rows, condition = num_samples * ops.shape(batch.x)[0], batch.condition
        if condition is not None:
            condition = ops.tile(condition, (num_samples, 1))
        names = ("mean", "log_variance", "prior_mean", "prior_log_variance", "z")
        found: dict[str, list[Tensor]] = {name: [] for name in names}

        def one(number, block, state, prior):
            q = block.posterior(state, tiled[number], prior)
            z = choose(*q)
            for name, value in zip(names, (*q, *prior, z), strict=True):
                flat = math.prod(self.decoder.groups[number])
                found[name].append(ops.reshape(value, (num_samples, -1, flat)))
            return z

        params = self.decoder.top_down_pass(one, rows, condition)
        params = ops.reshape(params, (num_samples, -1, *params.shape[1:]))
        return {name: ops.concatenate(v, axis=-1) for name, v in found.items()}, params

    def _infer(self, batch, training=None):
        """The parameters of q(z|x) along the posterior means."""
        q, _ = self._pass(batch, lambda mean, log_variance: mean, training=training)
        return {name: value[0] for name, value in q.items() if name != "z"}

    def _draw(self, batch, num_samples, training=False):
        seed = self._train_noise if training else self._eval_noise

        def noise(shape):
            return random.normal(shape, seed, axis=1)

        return self._drawn(batch, num_samples, noise, training)

    def _score_draws(self, batch, num_samples):
        """Like `_draw`, at fixed points of the noise of all groups together."""
        points = ops.convert_to_tensor(score_points(num_samples, self.latent_dim))
        of_groups = iter(self.decoder.split(points[:, None]))
        return self._drawn(
            batch, num_samples, lambda shape: ops.broadcast_to(next(of_groups), shape)
        )

    def _drawn(self, batch, num_samples, noise, training=None):
        """Draws of all groups; `noise(shape)` is called for each group from the top down."""

        def draw(mean, log_variance):
            rows, *shape = ops.shape(mean)
            drawn = noise((num_samples, rows // num_samples, *shape))
            return normal.from_noise(mean, log_variance, ops.reshape(drawn, ops.shape(mean)))

        q, params = self._pass(batch, draw, num_samples, training)
        z = q.pop("z")
        return {"q": q, "z": z, "log_posterior": self.posterior.log_prob(q, z), "params": params}

    def _terms(self, batch, y_pred, density, weights=None, training=False):
        q, z = y_pred["q"], y_pred["z"]
        return objectives.LossTerms(
            log_likelihood=density(batch.target, y_pred["params"], mask=batch.target_mask),
            kl_summands=self._kl_by_group(q),
            log_posterior=y_pred["log_posterior"],
            log_prior=normal.log_prob(z, q["prior_mean"], q["prior_log_variance"]),
            z=z,
            q=q,
            posterior=self.posterior,
            prior=self._prior_for(batch.condition),
            weights=ops.ones_like(z[0, :, 0]) if weights is None else weights,
            log_joint=None,
            seed=self._train_noise if training else self._eval_noise,
            target=batch.target,
            reconstruction=lambda: self._reconstruction(batch, y_pred["params"][0]),
        )

    def _kl_by_group(self, q):
        """KL of each group given the draws above, averaged over draws, (B, L)."""
        names = ("mean", "log_variance", "prior_mean", "prior_log_variance")
        kl = ops.mean(normal.kl(*(q[name] for name in names)), axis=0)
        ends = list(itertools.accumulate(self.decoder.sizes))[:-1]
        return ops.stack([ops.sum(part, axis=-1) for part in ops.split(kl, ends, -1)], axis=-1)

    def _update_metrics(self, batch, terms, training):
        super()._update_metrics(batch, terms, training)
        self._step_metrics.groups.update_state(
            ops.unstack(terms.kl_summands, axis=1), terms.weights
        )

    def _params(self, z, condition, training=None):
        codes = self.decoder.split(z)
        return self.decoder.top_down_pass(
            lambda number, *_: codes[number], ops.shape(z)[0], condition
        )


def mean_from_noise(vae: HierarchicalVAE, batch: Batch) -> Tensor:
    """Returns the mean of p(x|z) at the draw from the prior that the noise in `batch.x` is."""
    return vae.likelihood.mean(_decoded_noise(vae, batch))


@with_noise
def sample_from_noise(vae: HierarchicalVAE, batch: Batch) -> Tensor:
    """Draws from p(x|z) at the draw from the prior that the noise in `batch.x` is."""
    return vae.likelihood.sample(_decoded_noise(vae, batch), vae._eval_noise)


def _decoded_noise(vae, batch):
    parts = vae.decoder.split(batch.x)

    def draw(number, block, state, prior):
        mean, log_variance = prior
        return normal.from_noise(mean, log_variance, parts[number])

    return vae.decoder.top_down_pass(draw, ops.shape(batch.x)[0], batch.condition)
