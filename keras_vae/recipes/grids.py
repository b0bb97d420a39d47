"""Codes on grids, and ladders of codes."""

import math
from collections.abc import Sequence
from typing import Any

import keras

from keras_vae import (
    adversarial,
    hierarchical,
    latent_grids,
    likelihoods,
    networks,
    objectives,
    penalties,
    posteriors,
    quantized,
)
from keras_vae.model import VAE
from keras_vae.recipes.fitting import chosen_networks, refuse_units, shapes, with_own
from keras_vae.typing import ScheduledNumber


def vq_vae(
    input_shape: Sequence[int],
    num_codes: int = 512,
    code_dim: int = 16,
    likelihood: likelihoods.Likelihood | None = None,
    filters: Sequence[int] = (64, 128),
    commitment: ScheduledNumber = 0.25,
    posterior: quantized.Quantizer | None = None,
    **parts: Any,
) -> VAE:
    """Makes a VQ-VAE: a grid of codes from a learned codebook.

    Args:
        input_shape: (H, W, C).
        num_codes, code_dim: ints, the size of the codebook and the length of its vectors.
        filters: channels of the encoder, each halving height and width.
        commitment: weight that pulls features to their codes.
        posterior: another quantiser for the grid, such as
            `quantized.VectorQuantizer(49, gradient="rotation")`. One of a multiple of the places
            gives each place so many codes, each for features of its own.
        parts: `encoder`, `decoder` or both, for the grid that `filters` make; and other arguments
            of `VAE`.

    Returns:
        The model, not compiled.

    Example:

    ```python
    vae = recipes.vq_vae((28, 28, 1))
    vae.compile("adam")
    vae.fit(x, epochs=10)
    tokens = vae.tokens(x)  # integers, (N, 49)
    vae = vae.fit_prior(x, epochs=10)
    vae.generate(16)
    ```

    Reference: van den Oord et al., Neural Discrete Representation Learning (arXiv:1711.00937).
    """
    likelihood = likelihood or likelihoods.Bernoulli()
    shape, params_shape = shapes(input_shape, likelihood)
    places = math.prod(networks.grid_size(shape, filters))
    posterior = posterior or quantized.VectorQuantizer(places, num_codes, code_dim)
    if isinstance(posterior, quantized.VectorQuantizer):
        parts = with_own("vq_vae", parts, penalties=[quantized.Commitment(commitment)])
    channels = max(posterior.num_latents // places, 1) * posterior.code_dim
    encoder, decoder = _grid_networks(
        parts.pop("recipe", "vq_vae"),
        parts,
        shape,
        posterior.latent_dim,
        lambda: networks.grid_encoder(shape, channels, filters),
        lambda: _code_decoder(posterior, channels, params_shape, filters[::-1]),
    )
    return VAE(encoder, decoder, posterior, likelihood=likelihood, **parts)


def _code_decoder(posterior, channels, params_shape, filters):
    """A decoder that begins with the sum of the vectors of each place, or part of a place."""
    depth = posterior.depth
    if depth == 1 or channels == posterior.code_dim:
        return networks.grid_decoder(channels, params_shape, filters, depth=depth)
    inputs = keras.Input((posterior.latent_dim,))
    vectors = keras.layers.Reshape((posterior.num_latents, depth, posterior.code_dim))(inputs)
    sums = keras.layers.Flatten()(keras.ops.sum(vectors, axis=2))
    return keras.Model(inputs, networks.grid_decoder(channels, params_shape, filters)(sums))


def _grid_networks(recipe, parts, *others):
    remedy = "give `filters`, or `encoder` and `decoder`"
    refuse_units(recipe, parts.pop("units", None), "its networks are convolutional", remedy)
    return chosen_networks(recipe, parts, *others)


def rvq_vae(
    input_shape: Sequence[int],
    depth: int = 4,
    num_codes: int = 512,
    code_dim: int = 16,
    filters: Sequence[int] = (64, 128),
    **parts: Any,
) -> VAE:
    """Makes a VQ-VAE with `depth` codes a place, each for what the ones before it leave over.

    Its prior is over places · depth codes: `quantized.AutoregressiveCodes(49 * 4, 512)`.

    Args:
        input_shape, num_codes, code_dim, filters: as for `vq_vae`.
        depth: int, codes for each place.
        parts: other arguments of `vq_vae`.

    Returns:
        The model, not compiled.

    Example: `recipes.rvq_vae((28, 28, 1), depth=4)`.

    References: Zeghidour et al., SoundStream (arXiv:2107.03312), section III.C; Lee et al.,
    Autoregressive Image Generation using Residual Quantization (arXiv:2203.01941).
    """
    shape = networks.positive_shape(input_shape, "input_shape")
    places = math.prod(networks.grid_size(shape, filters))
    posterior = quantized.VectorQuantizer(places, num_codes, code_dim, depth=depth)
    parts = with_own("rvq_vae", parts, posterior=posterior)
    return vq_vae(shape, filters=filters, recipe="rvq_vae", **parts)


def fsq_vae(
    input_shape: Sequence[int],
    levels: Sequence[int] = (8, 8, 8),
    likelihood: likelihoods.Likelihood | None = None,
    filters: Sequence[int] = (64, 128),
    depth: int = 1,
    **parts: Any,
) -> VAE:
    """Makes a VAE of a grid of codes by rounding: no codebook that could collapse.

    Args:
        input_shape, likelihood, filters: as for `vq_vae`.
        levels, depth: as for `quantized.FiniteScalarQuantizer`.
        parts: other arguments of `vq_vae`.

    Returns:
        The model, not compiled.

    Example: `recipes.fsq_vae((28, 28, 1))`.

    Reference: Mentzer et al., Finite Scalar Quantization: VQ-VAE Made Simple (arXiv:2309.15505).
    """
    places = math.prod(networks.grid_size(input_shape, filters))
    posterior = quantized.FiniteScalarQuantizer(places, levels, depth=depth)
    parts = with_own("fsq_vae", parts, posterior=posterior)
    return vq_vae(input_shape, likelihood=likelihood, filters=filters, recipe="fsq_vae", **parts)


def lfq_vae(
    input_shape: Sequence[int],
    num_bits: int = 9,
    filters: Sequence[int] = (64, 128),
    entropy: ScheduledNumber = 0.1,
    commitment: ScheduledNumber = 0.25,
    **parts: Any,
) -> VAE:
    """Makes a VAE of a grid of codes whose bits are the signs of features.

    Args:
        input_shape, filters: as for `vq_vae`.
        num_bits: int, of a code: there are 2^num_bits codes.
        entropy: weight of `quantized.CodeEntropy`.
        commitment: weight that pulls features to 1 and -1.
        parts: other arguments of `vq_vae`.

    Returns:
        The model, not compiled.

    Example: `recipes.lfq_vae((28, 28, 1))`.

    Reference: Yu et al., Language Model Beats Diffusion (arXiv:2310.05737).
    """
    own = [quantized.Commitment(commitment), quantized.CodeEntropy(entropy)]
    return _binary_vae("lfq_vae", input_shape, num_bits, False, filters, own, parts)


def bsq_vae(
    input_shape: Sequence[int],
    num_bits: int = 9,
    filters: Sequence[int] = (64, 128),
    entropy: ScheduledNumber = 0.1,
    **parts: Any,
) -> VAE:
    """Makes a VAE of a grid of codes whose bits are the signs of features on a sphere.

    Args:
        input_shape, num_bits, filters, entropy: as for `lfq_vae`.
        parts: other arguments of `vq_vae`.

    Returns:
        The model, not compiled.

    Example: `recipes.bsq_vae((28, 28, 1))`.

    Reference: Zhao et al., Image and Video Tokenization with Binary Spherical Quantization
    (arXiv:2406.07548).
    """
    own = [quantized.CodeEntropy(entropy)]
    return _binary_vae("bsq_vae", input_shape, num_bits, True, filters, own, parts)


def _binary_vae(recipe, input_shape, num_bits, spherical, filters, penalties, parts):
    shape = networks.positive_shape(input_shape, "input_shape")
    places = math.prod(networks.grid_size(shape, filters))
    posterior = quantized.BinaryQuantizer(places, num_bits, spherical)
    parts = with_own(recipe, parts, posterior=posterior, penalties=penalties)
    return vq_vae(shape, filters=filters, recipe=recipe, **parts)


def kl_autoencoder(
    input_shape: Sequence[int],
    channels: int = 4,
    beta: ScheduledNumber = 1e-6,
    likelihood: likelihoods.Likelihood | None = None,
    filters: Sequence[int] = (64, 128),
    blocks: int = 1,
    perceptual: keras.Model | penalties.Perceptual | None = None,
    discriminator: bool | keras.Model | adversarial.PatchAdversary = False,
    **parts: Any,
) -> latent_grids.GridVAE:
    """Makes an autoencoder with a small KL and a grid of latents, as latent diffusion begins with.

    Args:
        input_shape: (H, W, C).
        channels: int, of the latents in each place of the grid.
        beta: weight of the KL.
        likelihood: by default `Laplace(scale="shared")`.
        filters: channels of the encoder, each halving height and width.
        blocks: int, residual blocks for each of the filters.
        perceptual: a network of features, such as `networks.features_of(classifier)`, or a
            `penalties.Perceptual` with a weight of your own; None leaves it out.
        discriminator: whether a discriminator of patches judges the reconstructions; or its
            network; or an `adversarial.PatchAdversary` with a weight and a start of your own. By
            default its weight is 0.5, and it starts at the first step.
        parts: as for `vq_vae`.

    Returns:
        The model, not compiled; with a discriminator an `AdversarialGridVAE`.

    Example:

    ```python
    vae = recipes.kl_autoencoder((28, 28, 1), discriminator=True)
    vae.compile(keras.optimizers.Adam(1e-3))
    vae.fit(x, epochs=20)
    latents = vae.fit_latents(x).encode_latents(x)
    images = vae.decode_latents(latents)
    ```

    Reference: Rombach et al., Latent Diffusion Models (arXiv:2112.10752), section 3.1.
    """
    likelihood = likelihood or likelihoods.Laplace(scale="shared")
    shape, params_shape = shapes(input_shape, likelihood)
    grid = (*networks.grid_size(shape, filters), channels)
    extra = [*_perceptual(perceptual), *_adversary(discriminator, shape)]
    parts = with_own("kl_autoencoder", parts, objective=objectives.ELBO(beta), penalties=extra)
    encoder, decoder = _grid_networks(
        "kl_autoencoder",
        parts,
        shape,
        math.prod(grid),
        lambda: networks.latent_encoder(shape, 2 * channels, filters, blocks),
        lambda: networks.latent_decoder(channels, params_shape, filters[::-1], blocks),
    )
    opposed = any(isinstance(penalty, adversarial.Opponent) for penalty in parts["penalties"])
    model = latent_grids.AdversarialGridVAE if opposed else latent_grids.GridVAE
    return model(encoder, decoder, posteriors.GridNormal(grid), likelihood=likelihood, **parts)


def _perceptual(given):
    if given is None or isinstance(given, penalties.Penalty):
        return [] if given is None else [given]
    return [penalties.Perceptual(given)]


def _adversary(given, shape):
    if given is None or given is False or isinstance(given, adversarial.Opponent):
        return [given] if given else []
    judge = networks.patch_discriminator(shape, (32, 64)) if given is True else given
    return [adversarial.PatchAdversary(judge, 0.5)]


def ladder_vae(
    input_shape: int | Sequence[int],
    latent_dims: Sequence[int] = (16, 32),
    width: int = 256,
    likelihood: likelihoods.Likelihood | None = None,
    **parts: Any,
) -> hierarchical.HierarchicalVAE:
    """Makes a ladder VAE with groups of latent vectors, the first at the top; by default two.

    Args:
        input_shape, likelihood: as for `vae`.
        latent_dims: the length of each group.
        width: of all layers.
        parts: `encoder` (as `hierarchical.bottom_up` makes), `decoder` (a `hierarchical.TopDown`)
            or both, in place of the recipe's; and other arguments of `HierarchicalVAE`.

    Returns:
        The model, not compiled.

    Example: `recipes.ladder_vae((28, 28, 1))`.

    Reference: Sønderby et al., Ladder Variational Autoencoders (arXiv:1602.02282).
    """
    groups = [(n,) for n in latent_dims]
    return _ladder("ladder_vae", input_shape, groups, width, likelihood, **parts)


def deep_ladder_vae(
    input_shape: Sequence[int],
    num_groups: int = 12,
    channels: int = 2,
    width: int = 32,
    likelihood: likelihoods.Likelihood | None = None,
    num_scales: int = 3,
    **parts: Any,
) -> hierarchical.HierarchicalVAE:
    """Makes a ladder VAE with many groups of grids, on scales that double from the top down.

    Args:
        input_shape: (H, W, C).
        num_groups: int, spread over the scales.
        channels: int, of each group.
        width: channels of all layers.
        num_scales: int; the last has half the height and width of x.
        likelihood: as for `vae`.
        parts: as for `ladder_vae`.

    Returns:
        The model, not compiled.

    Example: `recipes.deep_ladder_vae((28, 28, 1), num_groups=12)`.

    References: Vahdat and Kautz, NVAE (arXiv:2007.03898); Child, Very Deep VAEs
    (arXiv:2011.10650).
    """
    scales = [num_scales - i * num_scales // num_groups for i in range(num_groups)]
    groups = [(*(math.ceil(n / 2**s) for n in input_shape[:2]), channels) for s in scales]
    return _ladder("deep_ladder_vae", input_shape, groups, width, likelihood, **parts)


def _ladder(recipe, input_shape, groups, width, likelihood=None, **parts):
    likelihood = likelihood or likelihoods.Bernoulli()
    shape, params_shape = shapes(input_shape, likelihood)
    remedy = "give `width`, or `encoder` and `decoder`"
    refuse_units(recipe, parts.pop("units", None), "all its layers have one `width`", remedy)
    encoder, decoder = chosen_networks(
        recipe,
        parts,
        shape,
        sum(map(math.prod, groups)),
        lambda: hierarchical.bottom_up(shape, groups, width),
        lambda: hierarchical.TopDown(groups, params_shape, width),
    )
    return hierarchical.HierarchicalVAE(encoder, decoder, likelihood=likelihood, **parts)
