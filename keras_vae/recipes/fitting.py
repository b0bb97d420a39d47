"""Networks that fit the shape of the data."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_vae import layers, likelihoods, networks
from keras_vae.model import VAE

DENSE_UP_TO = 4096
"""Examples with at most this many features get dense networks; larger images convolutions."""
FREQUENCIES = (1.0, 2.0, 4.0)
"""Of the sines and cosines of z that dense layers see for images, in radians. Tables fit worse with
them: their codes are less certain, and high frequencies turn that into noise."""


def fitting_networks(
    input_shape: int | Sequence[int],
    latent_dim: int = 2,
    likelihood: likelihoods.Likelihood | None = None,
    condition_dim: int | None = None,
) -> tuple[keras.Model, keras.Model]:
    """Makes networks that fit the shape of the data: dense, or residual for larger images.

    With a likelihood of counts the encoder sees log(1 + x), because counts of hundreds and more
    would saturate it.

    Args:
        input_shape: shape of an example: (H, W, C) or (F,).
        latent_dim: int, D.
        likelihood: p(x|z); by default `Bernoulli()`.
        condition_dim: length of a condition, or None.

    Returns:
        Tuple of encoder and decoder.

    Example: `encoder, decoder = recipes.fitting_networks((28, 28, 1), latent_dim=16)`.
    """
    shape, params_shape = shapes(input_shape, likelihood or likelihoods.Bernoulli())
    encoder_of: Callable = networks.residual_encoder
    decoder_of: Callable = networks.residual_decoder
    if len(shape) != 3 or math.prod(shape) <= DENSE_UP_TO:
        encoder_of = networks.dense_encoder
        decoder_of = functools.partial(
            networks.dense_decoder, frequencies=FREQUENCIES if len(shape) == 3 else ()
        )
    encoder = encoder_of(shape, condition_dim=condition_dim)
    if isinstance(likelihood, (likelihoods.Poisson, likelihoods.NegativeBinomial)):
        encoder = on_logarithms(encoder)
    return encoder, decoder_of(latent_dim, params_shape, condition_dim=condition_dim)


def on_logarithms(encoder: keras.Model) -> keras.Model:
    """Returns an encoder of log(1 + x) instead of x, with the same further inputs and weights."""
    inputs = [keras.Input(tensor.shape[1:], dtype=tensor.dtype) for tensor in encoder.inputs]
    seen = [layers.Log1p()(inputs[0]), *inputs[1:]]
    features = encoder(seen if len(seen) > 1 else seen[0])
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], features, name=encoder.name)


def compose(
    input_shape: int | Sequence[int],
    latent_dim: int,
    likelihood: likelihoods.Likelihood | None = None,
    condition_dim: int | None = None,
    **parts: Any,
) -> VAE:
    """Makes a VAE with networks that fit the shape of the data.

    Args:
        input_shape, latent_dim, likelihood, condition_dim: as for `fitting_networks`.
        parts: other arguments of `VAE`.

    Returns:
        The model, not compiled.

    Example: `compose((28, 28, 1), 2, prior=priors.FlowPrior())`.
    """
    encoder, decoder = fitting_networks(input_shape, latent_dim, likelihood, condition_dim)
    return VAE(encoder, decoder, likelihood=likelihood, **parts)


def with_own(recipe: str, given: dict[str, Any], **own: Any) -> dict[str, Any]:
    """Returns the arguments of a recipe's model: what makes the recipe, and what the user adds.

    Args:
        recipe: name of the recipe, for the error.
        given: what the user gave, by argument of `VAE`. Penalties are added to the recipe's.
        own: what the recipe sets.

    Returns:
        Dict of arguments of `VAE`.

    Raises:
        ValueError: If the user gave a part that makes the recipe what it is.

    Example: `with_own("iwae", {"seed": 1}, objective=objectives.IWAE(5))`.
    """
    for part in own.keys() & given.keys() - {"penalties"}:
        raise ValueError(
            f"`{part}` must be left out of recipes.{recipe}, because it is what makes the recipe. "
            "Use another recipe, or a `VAE` of your own parts. "
            f"Received: {part}={given[part]!r}"
        )
    penalties = [*own.get("penalties", ()), *(given.get("penalties") or ())]
    return {**given, **own, "penalties": penalties}


def shapes(
    input_shape: int | Sequence[int], likelihood: likelihoods.Likelihood
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns the shapes of an example and of what the decoder emits for it."""
    shape = networks.positive_shape(input_shape, "input_shape")
    return shape, likelihood.params_shape(shape)
