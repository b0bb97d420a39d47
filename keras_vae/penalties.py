"""Penalties: what may be added to an objective. Each is computed on the batch of all replicas."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from keras_vae import posteriors, priors, replicas
from keras_vae.objectives import LossTerms
from keras_vae.part import Coefficient, Part, register
from keras_vae.typing import ScheduledNumber, Tensor
from keras_vae.validation import is_number, positive_integer

if TYPE_CHECKING:
    from keras_vae.model import VAE


class Penalty(Part):
    """Base of penalties. A subclass gives `value`; the logs show it, weighted, under `name`.

    Args:
        weight: a non-negative number, a schedule of the optimizer's steps or a `keras.Variable`;
            setting the attribute takes effect from the next step on.
    """

    weight = Coefficient("it multiplies the penalty")

    def __init__(self, weight: ScheduledNumber = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.weight = weight

    def loss(self, terms: LossTerms, step: Tensor) -> Tensor:
        """Computes the weighted penalty of each example.

        Args:
            terms: what the step knows of the batch.
            step: the optimizer's step, for a schedule of the weight.

        Returns:
            Tensor (B,).
        """
        penalty = Penalty.weight.at(self, step) * self.value(terms)
        return ops.broadcast_to(penalty, ops.shape(terms.weights))

    def value(self, terms: LossTerms) -> Tensor:
        """Computes the penalty, without its weight.

        Args:
            terms: what the step knows of the batch.

        Returns:
            Tensor (B,), or one number for the batch.
        """
        raise NotImplementedError


def check_one_prior(penalty: Penalty, prior: Any) -> None:
    """Refuses a prior of each example's own for a penalty that compares codes with its draws."""
    if isinstance(prior, priors.ConditionalNormal):
        raise ValueError(
            f"`penalties` with {type(penalty).__name__} must go with a prior that is the same for "
            "all examples, because it compares the codes of the batch with draws from one. "
            f"Received: prior={type(prior).__name__}"
        )


@register
class TotalCorrelation(Penalty):
    """KL(q(z) || Π_d q(z_d)), estimated from minibatches: are the latent dimensions independent?

    beta-TC-VAE is `ELBO()` with `TotalCorrelation(weight=beta - 1)`. For `DiagonalNormal`.

    Args:
        dataset_size: int, the number of training examples, which the estimators need.
        weight: a number or a schedule.
        estimator: `"weighted"` or `"stratified"` minibatch sampling. The first is simple, and off
            by a constant; the second is unbiased for q(z) at each draw.

    Example: `VAE(encoder, decoder, penalties=[TotalCorrelation(60_000, weight=5.0)])`.

    Reference: Chen et al., Isolating Sources of Disentanglement (arXiv:1802.04942), equations 2,
    S4 and S6.
    """

    estimators = ("weighted", "stratified")

    def __init__(
        self,
        dataset_size: int,
        weight: ScheduledNumber = 1.0,
        estimator: str = "weighted",
        **kwargs: Any,
    ) -> None:
        super().__init__(weight, **{"name": "total_correlation", **kwargs})
        self.dataset_size = positive_integer(
            dataset_size, "dataset_size", "the number of training examples"
        )
        if estimator not in self.estimators:
            raise ValueError(
                f"`estimator` must be one of {self.estimators}, of minibatch sampling. "
                f"Received: estimator={estimator!r}"
            )
        self.estimator = estimator

    def check_model(self, vae: "VAE") -> None:
        if not isinstance(vae.posterior, posteriors.DiagonalNormal):
            raise ValueError(
                "`penalties` with a TotalCorrelation must go with the posterior DiagonalNormal, "
                "because it compares densities by dimension. "
                f"Received: posterior={type(vae.posterior).__name__}"
            )

    def value(self, terms: LossTerms) -> Tensor:
        q = keras.tree.map_structure(replicas.all_gather, terms.q)
        # log q(z_id|x_j) of own draws i under the posteriors j of all replicas: (K, B, B', D)
        densities = terms.posterior.log_prob_per_dim(q, terms.z[:, :, None, :])
        log_w = self._log_weights(terms)
        joint = ops.logsumexp(ops.sum(densities, axis=-1) + log_w, axis=-1)
        marginals = ops.logsumexp(densities + log_w[..., None], axis=-2)
        return ops.mean(joint - ops.sum(marginals, axis=-1), axis=0)

    def _log_weights(self, terms):
        """Returns the log of the weight of q(z|x_j) in the estimate of q(z_i), (B, B')."""
        own, everyone = terms.weights, replicas.all_gather(terms.weights)
        others = everyone / ops.maximum(ops.mean(everyone), 1e-12)
        size = ops.cast(ops.shape(everyone)[0], "float32")
        n = float(self.dataset_size)
        if self.estimator == "weighted":
            w = ops.zeros_like(own)[:, None] + others / (n * size)
        else:
            m = ops.maximum(size - 1.0, 1.0)
            place = replicas.first_row(own) + ops.arange(ops.shape(own)[0])
            apart = ops.arange(ops.shape(everyone)[0])[None, :] - place[:, None]
            apart = ops.mod(apart, ops.shape(everyone)[0])
            w = ops.where(apart == 0, 1.0 / n, ops.where(apart == 1, (n - m) / (n * m), 1.0 / m))
            w = others * w
        return ops.log(ops.maximum(w, 1e-30))


@register
class Perceptual(Penalty):
    """The squared distance between what a network sees in the target and in its reconstruction.

    Summed over the network's features. The network is held fixed, and made untrainable. No network
    comes with the library: take a classifier of your own images, such as
    `networks.features_of(networks.image_classifier((64, 64, 3), 10))` after it is trained, or one
    of `keras.applications`, whose weights Keras downloads.

    Args:
        network: `keras.Model`, or another registered callable, x to features (B, …), or to a list
            of them.
        weight: a non-negative number or a schedule.

    Example: `Perceptual(keras.applications.VGG16(include_top=False), weight=0.01)`.

    References: Johnson et al., Perceptual Losses for Real-Time Style Transfer (arXiv:1603.08155),
    section 3.2; Rombach et al., Latent Diffusion Models (arXiv:2112.10752), section 3.1.
    """

    def __init__(
        self, network: Callable[[Tensor], Tensor], weight: ScheduledNumber = 1.0, **kwargs: Any
    ) -> None:
        super().__init__(weight, **{"name": "perceptual", **kwargs})
        if not callable(network):
            raise ValueError(
                "`network` must be a keras.Model or another callable from x to features. "
                f"Received: network={network!r}"
            )
        self.network = network
        if isinstance(network, keras.Layer):
            network.trainable = False

    def value(self, terms: LossTerms) -> Tensor:
        both = (ops.cast(terms.target, "float32"), terms.reconstruction())
        pairs = zip(*(keras.tree.flatten(self.network(x)) for x in both), strict=True)
        return sum(_squared_distance(*pair) for pair in pairs)


def _squared_distance(a, b):
    """The squared distance of features (B, …), which may be in half precision, (B,)."""
    difference = ops.cast(a, "float32") - ops.cast(b, "float32")
    return ops.sum(ops.square(difference), axis=tuple(range(1, len(difference.shape))))


@register
class DIP(Penalty):
    """Σ_{i≠j} C_ij² + ratio Σ_i (C_ii - 1)²: pulls the codes' covariance C to the identity.

    DIP-VAE is `ELBO()` with this. For `DiagonalNormal`.

    Args:
        weight: of the off-diagonal entries: a number or a schedule.
        diagonal_ratio: number, the weight of the diagonal ones relative to them.
        kind: `"I"`: C is the covariance of the posterior means. `"II"`: that of the codes, with the
            mean posterior variance added.

    Example: `VAE(encoder, decoder, penalties=[DIP(weight=10.0, kind="II")])`.

    Reference: Kumar et al., Variational Inference of Disentangled Latent Concepts
    (arXiv:1711.00848), equations 6 and 7.
    """

    kinds = ("I", "II")

    def __init__(
        self,
        weight: ScheduledNumber = 1.0,
        diagonal_ratio: float = 1.0,
        kind: str = "II",
        **kwargs: Any,
    ) -> None:
        super().__init__(weight, **{"name": "dip", **kwargs})
        if kind not in self.kinds:
            raise ValueError(
                f"`kind` must be one of {self.kinds}, of DIP-VAE. Received: kind={kind!r}"
            )
        if not (is_number(diagonal_ratio) and diagonal_ratio >= 0):
            raise ValueError(
                "`diagonal_ratio` must be a non-negative number: it weights the diagonal. "
                f"Received: diagonal_ratio={diagonal_ratio!r}"
            )
        self.diagonal_ratio = float(diagonal_ratio)
        self.kind = kind

    def check_model(self, vae: "VAE") -> None:
        if not isinstance(vae.posterior, posteriors.DiagonalNormal):
            raise ValueError(
                "`penalties` with a DIP must go with the posterior DiagonalNormal, because it "
                "takes the covariance from means and variances. "
                f"Received: posterior={type(vae.posterior).__name__}"
            )

    def value(self, terms: LossTerms) -> Tensor:
        means, weights = terms.q["mean"], terms.weights
        centred = means - replicas.mean(means, weights)
        covariance = replicas.mean(centred[:, :, None] * centred[:, None, :], weights)
        if self.kind == "II":
            variance = replicas.mean(ops.exp(terms.q["log_variance"]), weights)
            covariance = covariance + ops.eye(means.shape[1]) * variance
        diagonal = ops.diagonal(covariance)
        off = ops.sum(ops.square(covariance)) - ops.sum(ops.square(diagonal))
        return off + self.diagonal_ratio * ops.sum(ops.square(diagonal - 1.0))


@register
class MMD(Penalty):
    """Maximum mean discrepancy between the codes of the batch and draws from the prior.

    It compares the mean posterior with the prior without a density of either. InfoVAE is
    `ELBO(beta=1 - alpha)` with `MMD(alpha + lambda - 1)`; WAE-MMD is `ELBO(beta=0)` with
    `MMD(weight)`. The estimate is unbiased, and so may be negative.

    Args:
        weight: a number or a schedule.
        kernel: `"imq"`, C / (C + |a - b|²), or `"rbf"`, exp(-|a - b|² / C), each averaged over
            C = 2 D scale² · (0.1, 0.2, 0.5, 1, 2, 5, 10).
        scale: number, the standard deviation of the prior.

    Example: `VAE(encoder, decoder, objective=objectives.ELBO(beta=0.0), penalties=[MMD(1000.0)])`.

    References: Gretton et al., A Kernel Two-Sample Test (2012), lemma 6; Tolstikhin et al.,
    Wasserstein Auto-Encoders (arXiv:1711.01558), algorithm 2; Zhao et al., InfoVAE
    (arXiv:1706.02262), section 3.
    """

    kernels = ("imq", "rbf")
    multiples = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

    def __init__(
        self, weight: ScheduledNumber = 1.0, kernel: str = "imq", scale: float = 1.0, **kwargs: Any
    ) -> None:
        super().__init__(weight, **{"name": "mmd", **kwargs})
        if kernel not in self.kernels:
            raise ValueError(f"`kernel` must be one of {self.kernels}. Received: kernel={kernel!r}")
        self.kernel = kernel
        if not (is_number(scale) and scale > 0):
            raise ValueError(
                "`scale` must be a positive number: it is the spread of the prior. "
                f"Received: scale={scale!r}"
            )
        self.scale = float(scale)

    def check_model(self, vae: "VAE") -> None:
        check_one_prior(self, vae.prior)

    def value(self, terms: LossTerms) -> Tensor:
        codes = replicas.all_gather(terms.z[0])
        weights = replicas.all_gather(terms.weights)
        draws = terms.prior.sample(ops.shape(codes)[0], terms.seed)
        ones = ops.ones_like(weights)
        return (
            self._mean_kernel(codes, codes, weights, weights, distinct=True)
            + self._mean_kernel(draws, draws, ones, ones, distinct=True)
            - 2.0 * self._mean_kernel(codes, draws, weights, ones)
        )

    def _mean_kernel(self, a, b, a_weights, b_weights, distinct=False):
        """The weighted mean of the kernel over pairs, without those of one and the same row."""
        pairs = a_weights[:, None] * b_weights[None, :]
        if distinct:
            pairs = pairs * (1.0 - ops.eye(ops.shape(a)[0]))
        return ops.divide_no_nan(ops.sum(pairs * self._kernel(a, b)), ops.sum(pairs))

    def _kernel(self, a, b):
        square = ops.sum(ops.square(a[:, None, :] - b[None, :, :]), axis=-1)[..., None]
        c = 2.0 * a.shape[-1] * self.scale**2 * ops.convert_to_tensor(self.multiples, "float32")
        values = c / (c + square) if self.kernel == "imq" else ops.exp(-square / c)
        return ops.mean(values, axis=-1)
