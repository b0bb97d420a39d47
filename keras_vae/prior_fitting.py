"""Fits a prior to the codes of a trained model."""

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from keras_vae import (
    data_adapters,
    divergences,
    inference,
    latent_space,
    metrics,
    priors,
    quantized,
    random,
    replicas,
)
from keras_vae.metrics import IterationSnapshot
from keras_vae.part import constructor_arguments
from keras_vae.priors import Prior
from keras_vae.trainers import Trainer
from keras_vae.typing import Data, Tensor

if TYPE_CHECKING:
    from keras_vae.model import VAE

_STARTING_CODES = 10_000
"""Codes from which a prior takes its first guess."""


def fit_prior(
    vae: "VAE",
    x: Data,
    prior: Prior | None,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule | None,
    fit_arguments: dict[str, Any],
) -> "VAE":
    """Returns a model like `vae` with a prior fitted to q(z|x): `VAE.fit_prior`.

    x is encoded once; then -E_q[log p(z)], the only part of the loss that depends on the prior, is
    minimised. Nothing of `vae` changes.

    Args:
        vae: the trained model.
        x: the examples, in any container that `fit` takes.
        prior: the prior to be fitted, or None for the `default_prior`.
        learning_rate: number or schedule, for Adam, or None for one that fits the prior.
        fit_arguments: other arguments of `fit` by name.

    Returns:
        A new model of the same class.
    """
    vae.check_backend()
    arguments = dict(fit_arguments)
    with vae.strategy_scope():
        prior = default_prior(vae) if prior is None else prior
        fitted = with_prior(vae, prior)
    x, y, weights = encoded(vae, x, arguments.pop("y", None), arguments.pop("sample_weight", None))
    if arguments.get("validation_data") is not None:
        unpacked = keras.utils.unpack_x_y_sample_weight(arguments["validation_data"])
        arguments["validation_data"] = encoded(vae, *unpacked)
    with vae.strategy_scope():
        fitting = PriorFitting(vae, prior)
        rate = _default_rate(prior) if learning_rate is None else learning_rate
        fitting.compile(keras.optimizers.Adam(rate))
    start(prior, vae, x)
    fitting.fit(x, y, sample_weight=weights, **arguments)
    return fitted


def default_prior(vae: "VAE") -> Prior:
    """Returns a prior with weights to fit, for the codes of the model.

    Raises:
        ValueError: if there is no such prior.
    """
    posterior = vae.posterior
    if isinstance(posterior, quantized.Quantizer):
        return quantized.AutoregressiveCodes(posterior.length, posterior.num_codes)
    takes_a_prior = "prior" in constructor_arguments(vae)  # a ladder, which doesn't, says why
    if posterior.space != latent_space.REAL and takes_a_prior:
        raise ValueError(
            "`prior` must be given, one of your own with weights to fit, because the library has "
            f"none for codes that are {posterior.space}. Received: prior=None, posterior="
            f"{type(posterior).__name__}"
        )
    return priors.NormalMixture(10)


def _default_rate(prior):
    """A recurrent network needs a smaller learning rate than a few means and variances."""
    return 2e-3 if isinstance(prior, quantized.AutoregressiveCodes) else 1e-2


def with_prior(vae: "VAE", prior: "Prior") -> "VAE":
    """Returns a model of the same class and parts with another prior, compiled like `vae`."""
    arguments = constructor_arguments(vae) | {"prior": prior}
    fitted = type(vae)(**arguments)
    config = vae.get_compile_config() if vae.compiled else None
    if config is not None:
        fitted.compile_from_config(config)
    return fitted


def encoded(
    vae: "VAE", x: Data, y: Data | None = None, sample_weight: Data | None = None
) -> tuple[dict[str, Any], np.ndarray, Tensor | None]:
    """Encodes examples once, in memory.

    Args:
        vae: the trained model.
        x, y, sample_weight: the examples, as for `fit`.

    Returns:
        Tuple of a dict with q(z|x) and the condition of each example, a dummy target, and the
            sample weights or None.
    """
    x = data_adapters.for_score(vae, x, y)
    parts = vae._runners.get(inference.encoded).run(x, verbose=0)
    weights = parts.pop("weights", None)
    if sample_weight is not None:
        weights = data_adapters.as_array(sample_weight, "sample_weight")
    rows = len(keras.tree.flatten(parts)[0])
    return parts, np.zeros((rows, 1), "float32"), weights


def start(prior: "Prior", vae: "VAE", x: dict[str, Any]) -> None:
    """Gives the prior a first guess from codes, where it has one of its own."""
    first = keras.tree.map_structure(lambda a: ops.convert_to_tensor(a[:_STARTING_CODES]), x["q"])
    seed = keras.random.SeedGenerator(random.stream(vae.seed, 1))
    codes = vae.posterior.sample(first, 1, seed)[0]
    prior.start_from(ops.convert_to_numpy(codes), vae.seed)


class PriorFitting(Trainer):
    """Minimises the KL of encoded examples from a prior, whose weights alone are trained.

    Args:
        vae: the model, of which nothing changes.
        prior: a prior that is built.
    """

    def __init__(self, vae: "VAE", prior: "Prior") -> None:
        super().__init__(autocast=False)
        self.vae, self.prior = vae, prior
        self.noise = keras.random.SeedGenerator(random.stream(vae.seed, 0))
        self._kl = metrics.StepMetrics(["loss"], vae.latent_dim)
        self.built = True

    def call(self, x: dict[str, Any], training: bool = False) -> Tensor:
        """Computes KL(q(z|x) || p(z)) of each example in nats.

        Args:
            x: dict with `q`, the parameters of q(z|x), and `condition` if there is one.
            training: not used.

        Returns:
            Tensor (B,).
        """
        posterior, q = self.vae.posterior, x["q"]
        prior = self.prior.condition_on(x.get("condition"), posterior, self._infer)
        z = posterior.sample(q, 1, self.noise)
        return divergences.kl(posterior, q, prior, posterior.log_prob(q, z), prior.log_prob(z))

    def _infer(self, x):
        return self.vae.posterior(self.vae.encoder(x, training=False))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Tensor | None = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        weights = ops.ones_like(y_pred)
        if sample_weight is not None:
            weights = weights * ops.cast(sample_weight, weights.dtype)
        self._kl.means.update_state([y_pred], weights)
        return replicas.replica_loss(y_pred, weights)

    @property
    def metrics(self) -> list[keras.Metric]:
        return [self._kl.means]

    @property
    def iteration_snapshot(self) -> IterationSnapshot:
        return self._kl.iteration_snapshot

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        return self.prior.trainable_variables

    @property
    def trainable_weights(self) -> list[keras.Variable]:
        return self.prior.trainable_weights

    @property
    def non_trainable_variables(self) -> list[keras.Variable]:
        trained = set(map(id, self.trainable_variables))
        return [v for v in self.variables if id(v) not in trained]
