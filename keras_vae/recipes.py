"""Well-known models, each a short composition of parts.

All take the shape of an example, (H, W, C) or (F,), the `latent_dim` and a `likelihood` (by default
`Bernoulli()`, for x in [0, 1]); the rest is what the paper varies. `seed`, of the noise, and the
other parts of `VAE` can be given to each.
"""

import math

import keras

from keras_vae import (
    adversarial,
    flows,
    hierarchical,
    likelihoods,
    networks,
    objectives,
    penalties,
    posteriors,
    priors,
    quantized,
)
from keras_vae import schedules as ramps
from keras_vae.model import VAE

DENSE_UP_TO = 4096
"""Examples with at most this many features get dense networks; larger images convolutions."""


def fitting_networks(input_shape, latent_dim=2, likelihood=None, condition_dim=None):
    """(encoder, decoder) to fit the shape of the data: dense, or residual for larger images.

    Example: `encoder, decoder = recipes.fitting_networks((28, 28, 1), latent_dim=16)`.
    """
    shape, raw_shape = _shapes(input_shape, likelihood or likelihoods.Bernoulli())
    if len(shape) != 3 or math.prod(shape) <= DENSE_UP_TO:
        encoder, decoder = networks.dense_encoder, networks.dense_decoder
    else:
        encoder, decoder = networks.residual_encoder, networks.residual_decoder
    return (
        encoder(shape, condition_dim=condition_dim),
        decoder(latent_dim, raw_shape, condition_dim=condition_dim),
    )


def _compose(input_shape, latent_dim, likelihood=None, condition_dim=None, **parts):
    pair = fitting_networks(input_shape, latent_dim, likelihood, condition_dim)
    return VAE(*pair, likelihood=likelihood, **parts)


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
    return _compose(input_shape, latent_dim, likelihood, seed=seed, **parts)


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
    return _compose(input_shape, latent_dim, likelihood, objective=objective, **parts)


def beta_tc_vae(input_shape, dataset_size, latent_dim=10, likelihood=None, beta=6.0, **parts):
    """VAE with the total correlation of its codes weighted by `beta`.

    Args: dataset_size: the number of training examples; beta: a number.

    Example: `recipes.beta_tc_vae((64, 64, 1), dataset_size=len(x))`.

    Reference: Chen et al., Isolating Sources of Disentanglement (arXiv:1802.04942).
    """
    penalty = penalties.TotalCorrelation(dataset_size, weight=beta - 1.0)
    return _compose(input_shape, latent_dim, likelihood, penalties=[penalty], **parts)


def dip_vae(input_shape, latent_dim=10, likelihood=None, weight=10.0, kind="II", **parts):
    """VAE whose codes have a covariance near the identity.

    Args: weight, kind: of `penalties.DIP`.

    Example: `recipes.dip_vae((64, 64, 1), kind="I")`.

    Reference: Kumar et al., Variational Inference of Disentangled Latent Concepts
    (arXiv:1711.00848).
    """
    penalty = penalties.DIP(weight, kind=kind)
    return _compose(input_shape, latent_dim, likelihood, penalties=[penalty], **parts)


def info_vae(input_shape, latent_dim=2, likelihood=None, alpha=0.5, weight=100.0, **parts):
    """VAE with (1 - alpha) · KL and `weight` = alpha + lambda - 1 times the MMD to the prior.

    Example: `recipes.info_vae((28, 28, 1), latent_dim=8)`.

    Reference: Zhao et al., InfoVAE (arXiv:1706.02262), equation 6.
    """
    parts = {"penalties": [penalties.MMD(weight, kernel="rbf")], **parts}
    objective = objectives.ELBO(beta=1.0 - alpha)
    return _compose(input_shape, latent_dim, likelihood, objective=objective, **parts)


def wae_mmd(input_shape, latent_dim=8, likelihood=None, weight=1000.0, **parts):
    """Wasserstein autoencoder: reconstruction and MMD to the prior, no KL.

    Its `kl_loss` is logged and not trained.

    Example: `recipes.wae_mmd((28, 28, 1))`.

    Reference: Tolstikhin et al., Wasserstein Auto-Encoders (arXiv:1711.01558), algorithm 2.
    """
    parts = {"penalties": [penalties.MMD(weight)], **parts}
    objective = objectives.ELBO(beta=0.0)
    return _compose(input_shape, latent_dim, likelihood, objective=objective, **parts)


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


def iwae(input_shape, latent_dim=2, likelihood=None, num_samples=5, gradient="standard", **parts):
    """VAE trained on the importance-weighted bound; `gradient="doubly_reparameterized"` for DReG.

    Example: `recipes.iwae((28, 28, 1), latent_dim=16, num_samples=8)`.

    References: Burda et al., Importance Weighted Autoencoders (arXiv:1509.00519); Tucker et al.
    (arXiv:1810.04152).
    """
    objective = objectives.IWAE(num_samples, gradient)
    return _compose(input_shape, latent_dim, likelihood, objective=objective, **parts)


def miwae(input_shape, latent_dim=8, likelihood=None, num_samples=20, **parts):
    """IWAE for tables with missing entries: `fit({"x": x, "mask": mask})`, then `impute`.

    The likelihood is by default `Normal(scale="per_feature")`, for standardised columns.

    Example: `recipes.miwae((30,))`.

    Reference: Mattei and Frellsen, MIWAE (arXiv:1812.02633).
    """
    likelihood = likelihood or likelihoods.Normal(scale="per_feature")
    objective = objectives.IWAE(num_samples)
    return _compose(input_shape, latent_dim, likelihood, objective=objective, **parts)


def vamp_vae(input_shape, latent_dim=8, likelihood=None, num_components=500, **parts):
    """VAE with the VampPrior, for x in [0, 1].

    Example: `recipes.vamp_vae((28, 28, 1), latent_dim=40)`.

    Reference: Tomczak and Welling, VAE with a VampPrior (arXiv:1705.07120).
    """
    prior = priors.VampPrior(networks.positive_shape(input_shape, "input_shape"), num_components)
    return _compose(input_shape, latent_dim, likelihood, prior=prior, **parts)


def mixture_vae(input_shape, latent_dim=8, likelihood=None, num_components=10, **parts):
    """VAE with a learned mixture of normals as prior.

    Example: `recipes.mixture_vae((28, 28, 1), num_components=20)`.

    Reference: Dilokthanakul et al. (arXiv:1611.02648); Tomczak and Welling (arXiv:1705.07120),
    "MoG".
    """
    prior = priors.NormalMixture(num_components)
    return _compose(input_shape, latent_dim, likelihood, prior=prior, **parts)


def flow_prior_vae(input_shape, latent_dim=8, likelihood=None, num_flows=4, **parts):
    """VAE with a RealNVP as prior.

    Example: `recipes.flow_prior_vae((28, 28, 1))`.

    Reference: Chen et al., Variational Lossy Autoencoder (arXiv:1611.02731).
    """
    prior = priors.FlowPrior([flows.Coupling() for _ in range(num_flows)])
    return _compose(input_shape, latent_dim, likelihood, prior=prior, **parts)


def iaf_vae(input_shape, latent_dim=8, likelihood=None, num_flows=2, **parts):
    """VAE whose posterior is a normal run through inverse autoregressive flows.

    Example: `recipes.iaf_vae((28, 28, 1))`.

    Reference: Kingma et al., Improved Variational Inference with Inverse Autoregressive Flow
    (arXiv:1606.04934).
    """
    base, steps = posteriors.DiagonalNormal(latent_dim), range(num_flows)
    posterior = posteriors.NormalizingFlow(base, [flows.Autoregressive() for _ in steps])
    return _compose(input_shape, latent_dim, likelihood, posterior=posterior, **parts)


def planar_vae(input_shape, latent_dim=8, likelihood=None, num_flows=4, **parts):
    """VAE whose posterior is a normal run through planar flows.

    Example: `recipes.planar_vae((28, 28, 1), num_flows=10)`.

    Reference: Rezende and Mohamed, Variational Inference with Normalizing Flows
    (arXiv:1505.05770).
    """
    base, steps = posteriors.DiagonalNormal(latent_dim), range(num_flows)
    posterior = posteriors.NormalizingFlow(base, [flows.Planar() for _ in steps])
    return _compose(input_shape, latent_dim, likelihood, posterior=posterior, **parts)


def categorical_vae(input_shape, num_variables=20, num_classes=10, likelihood=None, **parts):
    """VAE with codes of classes, by Gumbel-softmax with a falling temperature.

    Example: `recipes.categorical_vae((28, 28, 1))`.

    Reference: Jang et al., Categorical Reparameterization with Gumbel-Softmax (arXiv:1611.01144).
    """
    cooling = keras.optimizers.schedules.PolynomialDecay(1.0, 20_000, end_learning_rate=0.5)
    posterior = posteriors.Categorical(num_variables, num_classes, cooling)
    return _compose(input_shape, posterior.latent_dim, likelihood, posterior=posterior, **parts)


def vq_vae(
    input_shape,
    num_codes=512,
    code_dim=16,
    likelihood=None,
    filters=(64, 128),
    commitment=0.25,
    posterior=None,
    **parts,
):
    """VQ-VAE: a grid of codes from a learned codebook.

    Args:
        input_shape: (H, W, C).
        num_codes, code_dim: ints, the size of the codebook and the length of its vectors.
        filters: channels of the encoder, each halving height and width.
        commitment: weight that pulls features to their codes.
        posterior: another quantiser for the grid, such as
            `quantized.VectorQuantizer(49, gradient="rotation")`.

    Example:

    ```python
    vae = recipes.vq_vae((28, 28, 1))
    vae.compile("adam")
    vae.fit(x, epochs=10)
    prior = keras_vae.quantized.AutoregressiveCodes(49, 512)
    vae = vae.fit_prior(x, prior, learning_rate=2e-3, epochs=10)
    vae.generate(16)
    ```

    Reference: van den Oord et al., Neural Discrete Representation Learning (arXiv:1711.00937).
    """
    likelihood = likelihood or likelihoods.Bernoulli()
    shape, raw_shape = _shapes(input_shape, likelihood)
    places = math.prod(networks.grid_size(shape, filters))
    posterior = posterior or quantized.VectorQuantizer(places, num_codes, code_dim)
    if isinstance(posterior, quantized.VectorQuantizer):
        parts = {"penalties": [quantized.Commitment(commitment)], **parts}
    return VAE(
        networks.grid_encoder(shape, posterior.code_dim, filters),
        networks.grid_decoder(
            posterior.code_dim, raw_shape, filters[::-1], depth=getattr(posterior, "depth", 1)
        ),
        posterior,
        likelihood=likelihood,
        **parts,
    )


def rvq_vae(input_shape, depth=4, num_codes=512, code_dim=16, filters=(64, 128), **parts):
    """VQ-VAE with `depth` codes a place, each for what the ones before it leave over.

    Its prior is over places · depth codes: `quantized.AutoregressiveCodes(49 * 4, 512)`.

    Args: as for `vq_vae`; depth: int.

    Example: `recipes.rvq_vae((28, 28, 1), depth=4)`.

    References: Zeghidour et al., SoundStream (arXiv:2107.03312), section III.C; Lee et al.,
    Autoregressive Image Generation using Residual Quantization (arXiv:2203.01941).
    """
    shape = networks.positive_shape(input_shape, "input_shape")
    places = math.prod(networks.grid_size(shape, filters))
    posterior = quantized.VectorQuantizer(places, num_codes, code_dim, depth=depth)
    return vq_vae(shape, filters=filters, **{"posterior": posterior, **parts})


def fsq_vae(input_shape, levels=(8, 8, 8), likelihood=None, filters=(64, 128), **parts):
    """VAE of a grid of codes by rounding: no codebook that could collapse.

    Example: `recipes.fsq_vae((28, 28, 1))`.

    Reference: Mentzer et al., Finite Scalar Quantization: VQ-VAE Made Simple (arXiv:2309.15505).
    """
    places = math.prod(networks.grid_size(input_shape, filters))
    posterior = quantized.FiniteScalarQuantizer(places, levels)
    parts = {"posterior": posterior, **parts}
    return vq_vae(input_shape, likelihood=likelihood, filters=filters, **parts)


def kl_autoencoder(
    input_shape, channels=4, beta=1e-6, likelihood=None, filters=(64, 128), network=None, **parts
):
    """Autoencoder with a small KL and a grid of latents: what latent diffusion models begin with.

    Args:
        input_shape: (H, W, C).
        channels: int, of the latents in each place of the grid.
        beta: weight of the KL.
        likelihood: by default `Laplace(scale="shared")`.
        filters: channels of the encoder, each halving height and width.
        network: of the penalty `Perceptual`, or None.

    Example: `recipes.kl_autoencoder((64, 64, 3), filters=(64, 128, 256))`.

    Reference: Rombach et al., Latent Diffusion Models (arXiv:2112.10752), section 3.1, without the
    discriminator.
    """
    likelihood = likelihood or likelihoods.Laplace(scale="shared")
    shape, raw_shape = _shapes(input_shape, likelihood)
    latent_dim = math.prod(networks.grid_size(shape, filters)) * channels
    extra = [] if network is None else [penalties.Perceptual(network)]
    return VAE(
        networks.grid_encoder(shape, 2 * channels, filters),
        networks.grid_decoder(channels, raw_shape, filters[::-1]),
        posteriors.DiagonalNormal(latent_dim, linear=False),
        likelihood=likelihood,
        objective=objectives.ELBO(beta),
        **{"penalties": extra, **parts},
    )


def ladder_vae(input_shape, latent_dims=(16, 32), width=256, likelihood=None, **parts):
    """Ladder VAE with groups of latent vectors, the first at the top; by default two.

    Args: latent_dims: the length of each group; width: of all layers.

    Example: `recipes.ladder_vae((28, 28, 1))`.

    Reference: Sønderby et al., Ladder Variational Autoencoders (arXiv:1602.02282).
    """
    return _ladder(input_shape, [(n,) for n in latent_dims], width, likelihood, **parts)


def deep_ladder_vae(
    input_shape, num_groups=12, channels=2, width=32, likelihood=None, num_scales=3, **parts
):
    """Ladder VAE with many groups of grids, on scales that double from the top down.

    Args:
        input_shape: (H, W, C).
        num_groups: int, spread over the scales.
        channels: int, of each group.
        width: channels of all layers.
        num_scales: int; the last has half the height and width of x.

    Example: `recipes.deep_ladder_vae((28, 28, 1), num_groups=12)`.

    References: Vahdat and Kautz, NVAE (arXiv:2007.03898); Child, Very Deep VAEs
    (arXiv:2011.10650).
    """
    scales = [num_scales - i * num_scales // num_groups for i in range(num_groups)]
    groups = [(*(math.ceil(n / 2**s) for n in input_shape[:2]), channels) for s in scales]
    return _ladder(input_shape, groups, width, likelihood, **parts)


def _ladder(input_shape, groups, width, likelihood=None, **parts):
    likelihood = likelihood or likelihoods.Bernoulli()
    shape, raw_shape = _shapes(input_shape, likelihood)
    return hierarchical.HierarchicalVAE(
        hierarchical.bottom_up(shape, groups, width),
        hierarchical.TopDown(groups, raw_shape, width),
        likelihood=likelihood,
        **parts,
    )


def hyperspherical_vae(input_shape, latent_dim=3, likelihood=None, **parts):
    """VAE with codes on the unit sphere.

    Train it gently: with Adam at 2e-3 it collapses on Fashion-MNIST, at 5e-4 it learns.

    Example: `recipes.hyperspherical_vae((28, 28, 1), latent_dim=6)`.

    Reference: Davidson et al., Hyperspherical Variational Auto-Encoders (arXiv:1804.00891).
    """
    posterior = posteriors.VonMisesFisher(latent_dim)
    return _compose(input_shape, latent_dim, likelihood, posterior=posterior, **parts)


def sigma_vae(input_shape, latent_dim=8, **parts):
    """VAE with a normal likelihood of the best single scale: squared error without a weight.

    Example: `recipes.sigma_vae((28, 28, 1))`.

    Reference: Rybkin et al., Simple and Effective VAE Training with Calibrated Decoders
    (arXiv:2006.13202).
    """
    return _compose(input_shape, latent_dim, likelihoods.Normal(scale="optimal"), **parts)


def conditional_vae(input_shape, condition_dim, latent_dim=2, likelihood=None, **parts):
    """VAE whose encoder, decoder and prior know a condition, such as the class.

    Train with `fit({"x": x, "condition": classes})`; then `generate(8, condition=3)`.

    Args: condition_dim: length of the vectors, or the number of classes.

    Example: `recipes.conditional_vae((28, 28, 1), condition_dim=10)`.

    Reference: Sohn et al., Learning Structured Output Representation (NeurIPS 2015), section 4.
    """
    parts = {"prior": priors.ConditionalNormal(condition_dim), **parts}
    return _compose(input_shape, latent_dim, likelihood, condition_dim, **parts)


def seed_vae(input_shape=(28, 28, 1), latent_dim=2, likelihood=None, beta=1.0, seed=None):
    """The small convolutional VAE of many tutorials: the baseline to beat.

    Convolutions of 32 and 64 channels and a linear Dense layer of 16; a Dense layer of 7 x 7 x 64
    and transposed convolutions of 64, 32 and 1 channels.

    Args:
        input_shape: (H, W, C).
        latent_dim, likelihood, beta, seed: as for `vae`.

    Example: `recipes.seed_vae()`.
    """
    likelihood = likelihood or likelihoods.Bernoulli()
    shape, raw_shape = _shapes(input_shape, likelihood)
    return VAE(
        networks.conv_encoder(shape, filters=(32, 64), units=(16,), units_activation=None),
        networks.conv_decoder(latent_dim, raw_shape, filters=(64, 32)),
        likelihood=likelihood,
        objective=objectives.ELBO(beta),
        seed=seed,
    )


def linear_vae(input_shape, latent_dim=2, seed=None):
    """Linear encoder and decoder, normal likelihood with one learned scale: probabilistic PCA.

    Its best ELBO is the log-likelihood of probabilistic PCA, which has a closed form.

    Args:
        input_shape: shape of an example.
        latent_dim: int, D.
        seed: int, of the noise.

    Example: `recipes.linear_vae((28, 28, 1), latent_dim=10)`.

    References: Tipping and Bishop, Probabilistic Principal Component Analysis (1999); Lucas et
    al., Don't Blame the ELBO! (arXiv:1911.02469), section 4.
    """
    return VAE(
        networks.dense_encoder(input_shape, units=()),
        networks.dense_decoder(latent_dim, input_shape, units=()),
        likelihood=likelihoods.Normal(scale="shared"),
        seed=seed,
    )


def _shapes(input_shape, likelihood):
    """Shapes of an example and of what the decoder emits for it."""
    shape = networks.positive_shape(input_shape, "input_shape")
    return shape, likelihood.raw_shape(shape)
