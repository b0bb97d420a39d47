"""What is minimised varies: the ELBO and other bounds, and penalties."""

from collections.abc import Sequence
from typing import Any

from keras_vae import adversarial, likelihoods, networks, objectives, penalties, schedules
from keras_vae.model import VAE
from keras_vae.recipes.fitting import compose, with_own
from keras_vae.typing import ScheduledNumber


def vae(
    input_shape: int | Sequence[int],
    latent_dim: int = 2,
    likelihood: likelihoods.Likelihood | None = None,
    beta: ScheduledNumber = 1.0,
    seed: int | None = None,
    **parts: Any,
) -> VAE:
    """Makes a VAE with networks chosen to fit the shape of the data; with `beta` not 1, a beta-VAE.

    Args:
        input_shape: shape of an example: (H, W, C) or (F,).
        latent_dim: int, D.
        likelihood: p(x|z); by default `Bernoulli()`, for x in [0, 1].
        beta: weight of the KL, a number or a schedule.
        seed: int, of the noise.
        parts: `encoder`, `decoder` or both, in place of the networks that fit the shape; or the
            `units` of dense ones, widths of the encoder's hidden layers, which the decoder has in
            reverse; and other arguments of `VAE`.

    Returns:
        The model, not compiled.

    Example: `recipes.vae((28, 28, 1), latent_dim=16)`.

    References: Kingma and Welling, Auto-Encoding Variational Bayes (arXiv:1312.6114); Higgins et
    al., beta-VAE (ICLR 2017).
    """
    parts = {"objective": objectives.ELBO(beta), **parts}
    return compose(input_shape, latent_dim, likelihood, seed=seed, recipe="vae", **parts)


def annealed_vae(
    input_shape: int | Sequence[int],
    latent_dim: int = 10,
    likelihood: likelihoods.Likelihood | None = None,
    gamma: ScheduledNumber = 1000.0,
    capacity: float = 25.0,
    steps: int = 100_000,
    **parts: Any,
) -> VAE:
    """Makes a beta-VAE whose KL is held at a capacity that rises from 0 nats.

    Args:
        input_shape, latent_dim, likelihood: as for `vae`.
        gamma: weight of the KL's distance from the capacity.
        capacity: nats at the end.
        steps: int, of the optimizer until then.
        parts: as for `vae`.

    Returns:
        The model, not compiled.

    Example: `recipes.annealed_vae((64, 64, 1), capacity=25.0, steps=20_000)`.

    Reference: Burgess et al., Understanding Disentangling in beta-VAE (arXiv:1804.03599).
    """
    rising = schedules.Linear(steps, end=capacity)
    objective = objectives.ELBO(gamma, capacity=rising)
    parts = with_own("annealed_vae", parts, objective=objective)
    return compose(input_shape, latent_dim, likelihood, recipe="annealed_vae", **parts)


def beta_tc_vae(
    input_shape: int | Sequence[int],
    dataset_size: int,
    latent_dim: int = 10,
    likelihood: likelihoods.Likelihood | None = None,
    beta: float = 6.0,
    **parts: Any,
) -> VAE:
    """Makes a VAE with the total correlation of its codes weighted by `beta`.

    Args:
        input_shape, latent_dim, likelihood: as for `vae`.
        dataset_size: int, the number of training examples.
        beta: number, the weight of the total correlation.
        parts: as for `vae`.

    Returns:
        The model, not compiled.

    Example: `recipes.beta_tc_vae((64, 64, 1), dataset_size=len(x))`.

    Reference: Chen et al., Isolating Sources of Disentanglement (arXiv:1802.04942).
    """
    penalty = penalties.TotalCorrelation(dataset_size, weight=beta - 1.0)
    parts = with_own("beta_tc_vae", parts, penalties=[penalty])
    return compose(input_shape, latent_dim, likelihood, recipe="beta_tc_vae", **parts)


def dip_vae(
    input_shape: int | Sequence[int],
    latent_dim: int = 10,
    likelihood: likelihoods.Likelihood | None = None,
    weight: ScheduledNumber = 10.0,
    kind: str = "II",
    **parts: Any,
) -> VAE:
    """Makes a VAE whose codes have a covariance near the identity.

    Args:
        input_shape, latent_dim, likelihood: as for `vae`.
        weight, kind: as for `penalties.DIP`.
        parts: as for `vae`.

    Returns:
        The model, not compiled.

    Example: `recipes.dip_vae((64, 64, 1), kind="I")`.

    Reference: Kumar et al., Variational Inference of Disentangled Latent Concepts
    (arXiv:1711.00848).
    """
    parts = with_own("dip_vae", parts, penalties=[penalties.DIP(weight, kind=kind)])
    return compose(input_shape, latent_dim, likelihood, recipe="dip_vae", **parts)


def info_vae(
    input_shape: int | Sequence[int],
    latent_dim: int = 2,
    likelihood: likelihoods.Likelihood | None = None,
    alpha: float = 0.5,
    weight: ScheduledNumber = 100.0,
    **parts: Any,
) -> VAE:
    """Makes a VAE with (1 - alpha) · KL and `weight` times the MMD to the prior.

    Args:
        input_shape, latent_dim, likelihood: as for `vae`.
        alpha: number, what is taken from the weight of the KL.
        weight: of the MMD, the paper's alpha + lambda - 1.
        parts: as for `vae`.

    Returns:
        The model, not compiled.

    Example: `recipes.info_vae((28, 28, 1), latent_dim=8)`.

    Reference: Zhao et al., InfoVAE (arXiv:1706.02262), equation 6.
    """
    mmd, objective = penalties.MMD(weight, kernel="rbf"), objectives.ELBO(beta=1.0 - alpha)
    parts = with_own("info_vae", parts, objective=objective, penalties=[mmd])
    return compose(input_shape, latent_dim, likelihood, recipe="info_vae", **parts)


def wae_mmd(
    input_shape: int | Sequence[int],
    latent_dim: int = 8,
    likelihood: likelihoods.Likelihood | None = None,
    weight: ScheduledNumber = 1000.0,
    **parts: Any,
) -> VAE:
    """Makes a Wasserstein autoencoder: reconstruction and MMD to the prior, no KL.

    Its `kl_loss` is logged and not trained.

    Args:
        input_shape, latent_dim, likelihood: as for `vae`.
        weight: of the MMD.
        parts: as for `vae`.

    Returns:
        The model, not compiled.

    Example: `recipes.wae_mmd((28, 28, 1))`.

    Reference: Tolstikhin et al., Wasserstein Auto-Encoders (arXiv:1711.01558), algorithm 2.
    """
    mmd, objective = penalties.MMD(weight), objectives.ELBO(beta=0.0)
    parts = with_own("wae_mmd", parts, objective=objective, penalties=[mmd])
    return compose(input_shape, latent_dim, likelihood, recipe="wae_mmd", **parts)


def factor_vae(
    input_shape: int | Sequence[int],
    latent_dim: int = 10,
    likelihood: likelihoods.Likelihood | None = None,
    weight: ScheduledNumber = 10.0,
    **parts: Any,
) -> adversarial.AdversarialVAE:
    """Makes a FactorVAE: a discriminator tells the total correlation, weighted by `weight`.

    Args:
        input_shape, latent_dim, likelihood: as for `vae`.
        weight: of the total correlation.
        parts: networks as for `vae`, and other arguments of `AdversarialVAE`.

    Returns:
        The model, not compiled.

    Example: `recipes.factor_vae((64, 64, 1), weight=35.0)`.

    Reference: Kim and Mnih, Disentangling by Factorising (arXiv:1802.05983), algorithm 2.
    """
    judge = networks.discriminator(latent_dim)
    adversary = adversarial.TotalCorrelationAdversary(judge, weight)
    parts = with_own("factor_vae", parts, penalties=[adversary])
    return compose(
        input_shape,
        latent_dim,
        likelihood,
        recipe="factor_vae",
        model=adversarial.AdversarialVAE,
        **parts,
    )


def wae_gan(
    input_shape: int | Sequence[int],
    latent_dim: int = 8,
    likelihood: likelihoods.Likelihood | None = None,
    weight: ScheduledNumber = 10.0,
    **parts: Any,
) -> adversarial.AdversarialVAE:
    """Makes an adversarial autoencoder: a discriminator of codes and prior in place of the KL.

    Its `kl_loss` is logged and not trained.

    Args:
        input_shape, latent_dim, likelihood: as for `vae`.
        weight: of the adversarial penalty.
        parts: networks as for `vae`, and other arguments of `AdversarialVAE`.

    Returns:
        The model, not compiled.

    Example: `recipes.wae_gan((28, 28, 1))`.

    References: Makhzani et al., Adversarial Autoencoders (arXiv:1511.05644); Tolstikhin et al.,
    Wasserstein Auto-Encoders (arXiv:1711.01558), algorithm 1.
    """
    judge = networks.discriminator(latent_dim)
    adversary, objective = adversarial.PriorAdversary(judge, weight), objectives.ELBO(beta=0.0)
    parts = with_own("wae_gan", parts, objective=objective, penalties=[adversary])
    return compose(
        input_shape,
        latent_dim,
        likelihood,
        recipe="wae_gan",
        model=adversarial.AdversarialVAE,
        **parts,
    )


def sigma_vae(input_shape: int | Sequence[int], latent_dim: int = 8, **parts: Any) -> VAE:
    """Makes a VAE with a normal likelihood of the best scale: squared error without a weight.

    Args:
        input_shape, latent_dim: as for `vae`.
        parts: as for `vae`.

    Returns:
        The model, not compiled.

    Example: `recipes.sigma_vae((28, 28, 1))`.

    Reference: Rybkin et al., Simple and Effective VAE Training with Calibrated Decoders
    (arXiv:2006.13202).
    """
    parts = with_own("sigma_vae", parts, likelihood=likelihoods.Normal(scale="optimal"))
    return compose(input_shape, latent_dim, recipe="sigma_vae", **parts)


def iwae(
    input_shape: int | Sequence[int],
    latent_dim: int = 2,
    likelihood: likelihoods.Likelihood | None = None,
    num_samples: int = 5,
    gradient: str = "standard",
    **parts: Any,
) -> VAE:
    """Makes a VAE of the importance-weighted bound; `gradient="doubly_reparameterized"` for DReG.

    Args:
        input_shape, latent_dim, likelihood: as for `vae`.
        num_samples, gradient: as for `objectives.IWAE`.
        parts: as for `vae`.

    Returns:
        The model, not compiled.

    Example: `recipes.iwae((28, 28, 1), latent_dim=16, num_samples=8)`.

    References: Burda et al., Importance Weighted Autoencoders (arXiv:1509.00519); Tucker et al.
    (arXiv:1810.04152).
    """
    parts = with_own("iwae", parts, objective=objectives.IWAE(num_samples, gradient))
    return compose(input_shape, latent_dim, likelihood, recipe="iwae", **parts)


def miwae(
    input_shape: int | Sequence[int],
    latent_dim: int = 8,
    likelihood: likelihoods.Likelihood | None = None,
    num_samples: int = 20,
    **parts: Any,
) -> VAE:
    """Makes an IWAE for tables with missing entries: `fit({"x": x, "mask": mask})`, `impute`.

    The likelihood is by default `Normal(scale="per_feature")`, for standardised columns.

    Args:
        input_shape, latent_dim, likelihood: as for `vae`, but for the default likelihood.
        num_samples: int, draws for each example.
        parts: as for `vae`.

    Returns:
        The model, not compiled.

    Example: `recipes.miwae((30,), units=(128, 128))`.

    Reference: Mattei and Frellsen, MIWAE (arXiv:1812.02633).
    """
    likelihood = likelihood or likelihoods.Normal(scale="per_feature")
    parts = with_own("miwae", parts, objective=objectives.IWAE(num_samples))
    return compose(input_shape, latent_dim, likelihood, recipe="miwae", **parts)
