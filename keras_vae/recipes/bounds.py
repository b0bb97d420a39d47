"""What is minimised varies: the ELBO and other bounds, and penalties."""

from keras_vae import adversarial, likelihoods, networks, objectives, penalties
from keras_vae import schedules as ramps
from keras_vae.recipes.fitting import compose, fitting_networks


def vae(input_shape, latent_dim=2, likelihood=None, beta=1.0, seed=None, **parts):
    """A VAE with networks chosen to fit the shape of the data; with `beta` not 1, a beta-VAE.

    Args:
        input_shape: shape of an example: (H, W, C) or (F,).
        latent_dim: int, D.
        likelihood: p(x|z); by default `Bernoulli()`, for x in [0, 1].
        beta: weight of the KL, a number or a schedule.
        seed: int, of the noise.
        parts: other arguments of `VAE`.

    Example: `recipes.vae((28, 28, 1), latent_dim=16)`.

    References: Kingma and Welling, Auto-Encoding Variational Bayes (arXiv:1312.6114); Higgins et
    al., beta-VAE (ICLR 2017).
    """
    parts = {"objective": objectives.ELBO(beta), **parts}
    return compose(input_shape, latent_dim, likelihood, seed=seed, **parts)


def annealed_vae(
    input_shape, latent_dim=10, likelihood=None, gamma=1000.0, capacity=25.0, steps=100_000, **parts
):
    """beta-VAE whose KL is held at a capacity that rises from 0 nats.

    Args: gamma: the weight; capacity: nats at the end; steps: of the optimizer until then.

    Example: `recipes.annealed_vae((64, 64, 1), capacity=25.0, steps=20_000)`.

    Reference: Burgess et al., Understanding Disentangling in beta-VAE (arXiv:1804.03599).
    """
    rising = ramps.Linear(steps, end=capacity)
    objective = objectives.ELBO(gamma, capacity=rising)
    return compose(input_shape, latent_dim, likelihood, objective=objective, **parts)


def beta_tc_vae(input_shape, dataset_size, latent_dim=10, likelihood=None, beta=6.0, **parts):
    """VAE with the total correlation of its codes weighted by `beta`.

    Args: dataset_size: the number of training examples; beta: a number.

    Example: `recipes.beta_tc_vae((64, 64, 1), dataset_size=len(x))`.

    Reference: Chen et al., Isolating Sources of Disentanglement (arXiv:1802.04942).
    """
    penalty = penalties.TotalCorrelation(dataset_size, weight=beta - 1.0)
    return compose(input_shape, latent_dim, likelihood, penalties=[penalty], **parts)


def dip_vae(input_shape, latent_dim=10, likelihood=None, weight=10.0, kind="II", **parts):
    """VAE whose codes have a covariance near the identity.

    Args: weight, kind: of `penalties.DIP`.

    Example: `recipes.dip_vae((64, 64, 1), kind="I")`.

    Reference: Kumar et al., Variational Inference of Disentangled Latent Concepts
    (arXiv:1711.00848).
    """
    penalty = penalties.DIP(weight, kind=kind)
    return compose(input_shape, latent_dim, likelihood, penalties=[penalty], **parts)


def info_vae(input_shape, latent_dim=2, likelihood=None, alpha=0.5, weight=100.0, **parts):
    """VAE with (1 - alpha) · KL and `weight` = alpha + lambda - 1 times the MMD to the prior.

    Example: `recipes.info_vae((28, 28, 1), latent_dim=8)`.

    Reference: Zhao et al., InfoVAE (arXiv:1706.02262), equation 6.
    """
    parts = {"penalties": [penalties.MMD(weight, kernel="rbf")], **parts}
    objective = objectives.ELBO(beta=1.0 - alpha)
    return compose(input_shape, latent_dim, likelihood, objective=objective, **parts)


def wae_mmd(input_shape, latent_dim=8, likelihood=None, weight=1000.0, **parts):
    """Wasserstein autoencoder: reconstruction and MMD to the prior, no KL.

    Its `kl_loss` is logged and not trained.

    Example: `recipes.wae_mmd((28, 28, 1))`.

    Reference: Tolstikhin et al., Wasserstein Auto-Encoders (arXiv:1711.01558), algorithm 2.
    """
    parts = {"penalties": [penalties.MMD(weight)], **parts}
    objective = objectives.ELBO(beta=0.0)
    return compose(input_shape, latent_dim, likelihood, objective=objective, **parts)


def factor_vae(input_shape, latent_dim=10, likelihood=None, weight=10.0, **parts):
    """FactorVAE: the total correlation of the codes, from a discriminator, weighted by `weight`.

    Example: `recipes.factor_vae((64, 64, 1), weight=35.0)`.

    Reference: Kim and Mnih, Disentangling by Factorising (arXiv:1802.05983), algorithm 2.
    """
    judge = networks.discriminator(latent_dim)
    parts = {"penalties": [adversarial.TotalCorrelationAdversary(judge, weight)], **parts}
    pair = fitting_networks(input_shape, latent_dim, likelihood)
    return adversarial.AdversarialVAE(*pair, likelihood=likelihood, **parts)


def wae_gan(input_shape, latent_dim=8, likelihood=None, weight=10.0, **parts):
    """Adversarial autoencoder: reconstruction and a discriminator of codes and prior, no KL.

    Its `kl_loss` is logged and not trained.

    Example: `recipes.wae_gan((28, 28, 1))`.

    References: Makhzani et al., Adversarial Autoencoders (arXiv:1511.05644); Tolstikhin et al.,
    Wasserstein Auto-Encoders (arXiv:1711.01558), algorithm 1.
    """
    judge = networks.discriminator(latent_dim)
    parts = {"penalties": [adversarial.PriorAdversary(judge, weight)], **parts}
    parts = {"objective": objectives.ELBO(beta=0.0), **parts}
    pair = fitting_networks(input_shape, latent_dim, likelihood)
    return adversarial.AdversarialVAE(*pair, likelihood=likelihood, **parts)


def sigma_vae(input_shape, latent_dim=8, **parts):
    """VAE with a normal likelihood of the best single scale: squared error without a weight.

    Example: `recipes.sigma_vae((28, 28, 1))`.

    Reference: Rybkin et al., Simple and Effective VAE Training with Calibrated Decoders
    (arXiv:2006.13202).
    """
    return compose(input_shape, latent_dim, likelihoods.Normal(scale="optimal"), **parts)


def iwae(input_shape, latent_dim=2, likelihood=None, num_samples=5, gradient="standard", **parts):
    """VAE trained on the importance-weighted bound; `gradient="doubly_reparameterized"` for DReG.

    Example: `recipes.iwae((28, 28, 1), latent_dim=16, num_samples=8)`.

    References: Burda et al., Importance Weighted Autoencoders (arXiv:1509.00519); Tucker et al.
    (arXiv:1810.04152).
    """
    objective = objectives.IWAE(num_samples, gradient)
    return compose(input_shape, latent_dim, likelihood, objective=objective, **parts)


def miwae(input_shape, latent_dim=8, likelihood=None, num_samples=20, **parts):
    """IWAE for tables with missing entries: `fit({"x": x, "mask": mask})`, then `impute`.

    The likelihood is by default `Normal(scale="per_feature")`, for standardised columns.

    Example: `recipes.miwae((30,))`.

    Reference: Mattei and Frellsen, MIWAE (arXiv:1812.02633).
    """
    likelihood = likelihood or likelihoods.Normal(scale="per_feature")
    objective = objectives.IWAE(num_samples)
    return compose(input_shape, latent_dim, likelihood, objective=objective, **parts)
