"""Codes on grids, and ladders of codes."""

import math

from keras_vae import (
    hierarchical,
    likelihoods,
    networks,
    objectives,
    penalties,
    posteriors,
    quantized,
)
from keras_vae.model import VAE
from keras_vae.recipes.fitting import shapes


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
    shape, params_shape = shapes(input_shape, likelihood)
    places = math.prod(networks.grid_size(shape, filters))
    posterior = posterior or quantized.VectorQuantizer(places, num_codes, code_dim)
    if isinstance(posterior, quantized.VectorQuantizer):
        parts = {"penalties": [quantized.Commitment(commitment)], **parts}
    return VAE(
        networks.grid_encoder(shape, posterior.code_dim, filters),
        networks.grid_decoder(
            posterior.code_dim, params_shape, filters[::-1], depth=getattr(posterior, "depth", 1)
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
    shape, params_shape = shapes(input_shape, likelihood)
    latent_dim = math.prod(networks.grid_size(shape, filters)) * channels
    extra = [] if network is None else [penalties.Perceptual(network)]
    return VAE(
        networks.grid_encoder(shape, 2 * channels, filters),
        networks.grid_decoder(channels, params_shape, filters[::-1]),
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
    shape, params_shape = shapes(input_shape, likelihood)
    return hierarchical.HierarchicalVAE(
        hierarchical.bottom_up(shape, groups, width),
        hierarchical.TopDown(groups, params_shape, width),
        likelihood=likelihood,
        **parts,
    )
