"""Networks that fit the shape of the data."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_vae import layers, likelihoods, networks
from keras_vae.model import VAE, first_input_shape
from keras_vae.validation import positive_integer

DENSE_UP_TO = 4096
"""Examples with at most this many features get dense networks; larger images and volumes
convolutions."""
FREQUENCIES = (1.0, 2.0, 4.0)
"""Of the sines and cosines of z that dense layers see for images, in radians. Tables fit worse with
them: their codes are less certain, and high frequencies turn that into noise."""


def fitting_networks(
    input_shape: int | Sequence[int],
    latent_dim: int = 2,
    likelihood: likelihoods.Likelihood | None = None,
    condition_dim: int | None = None,
    units: Sequence[int] | None = None,
) -> tuple[keras.Model, keras.Model]:
    """Makes networks that fit the shape of the data: dense, or convolutional for larger images.

    With a likelihood of counts the encoder sees log(1 + x), because counts of hundreds and more
    would saturate it.

    Args:
        input_shape: shape of an example: (F,), (H, W, C), or (D, H, W, C) for volumes.
        latent_dim: int, D.
        likelihood: p(x|z); by default `Bernoulli()`.
        condition_dim: length of a condition, or None.
        units: widths of the hidden layers of dense networks, in the encoder's order; the decoder
            has them in reverse.

    Returns:
        Tuple of encoder and decoder.

    Raises:
        ValueError: if `units` are given for images whose networks are convolutional.

    Example: `encoder, decoder = recipes.fitting_networks((28, 28, 1), latent_dim=16)`.
    """
    check_units("fitting_networks", units, input_shape)
    likelihood = likelihood or likelihoods.Bernoulli()
    encoder = _fitting_encoder(input_shape, likelihood, condition_dim, units)
    decoder = _fitting_decoder(input_shape, latent_dim, likelihood, condition_dim, units)
    return encoder, decoder


def _fitting_encoder(input_shape, likelihood, condition_dim, units):
    shape, _ = shapes(input_shape, likelihood)
    encoder_of: Callable = networks.image_encoder
    if is_dense(shape):
        encoder_of = functools.partial(networks.dense_encoder, **_widths(units))
    encoder = encoder_of(shape, condition_dim=condition_dim)
    kinds = (likelihoods.Poisson, likelihoods.NegativeBinomial, likelihoods.ZeroInflated)
    counts = isinstance(likelihood, kinds)
    return on_logarithms(encoder) if counts else encoder


def _fitting_decoder(input_shape, latent_dim, likelihood, condition_dim, units):
    shape, params_shape = shapes(input_shape, likelihood)
    decoder_of: Callable = networks.image_decoder
    if is_dense(shape):
        frequencies = FREQUENCIES if len(shape) == 3 else ()
        widths = _widths(None if units is None else units[::-1])
        decoder_of = functools.partial(networks.dense_decoder, frequencies=frequencies, **widths)
    return decoder_of(latent_dim, params_shape, condition_dim=condition_dim)


def is_dense(shape: tuple[int, ...]) -> bool:
    """Returns whether the networks that fit examples of `shape` are dense."""
    return len(shape) not in (3, 4) or math.prod(shape) <= DENSE_UP_TO


def _widths(units):
    return {} if units is None else {"units": tuple(units)}


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
    recipe: str = "vae",
    model: type[VAE] = VAE,
    **parts: Any,
) -> VAE:
    """Makes a VAE with networks that fit the shape of the data, where none are given.

    Args:
        input_shape, latent_dim, likelihood, condition_dim: as for `fitting_networks`.
        recipe: name of the recipe, for errors.
        model: the class of the model.
        parts: `encoder`, `decoder` or the `units` of dense networks where they are given, and other
            arguments of the model.

    Returns:
        The model, not compiled.

    Raises:
        ValueError: if the networks do not fit the recipe, or `units` are given beside them.

    Example: `compose((28, 28, 1), 2, recipe="flow_prior_vae", prior=priors.FlowPrior())`.
    """
    units, used = parts.pop("units", None), likelihood or likelihoods.Bernoulli()
    check_units(recipe, units, input_shape, beside=parts)
    encoder, decoder = chosen_networks(
        recipe,
        parts,
        input_shape,
        latent_dim,
        lambda: _fitting_encoder(input_shape, used, condition_dim, units),
        lambda: _fitting_decoder(input_shape, latent_dim, used, condition_dim, units),
    )
    return model(encoder, decoder, likelihood=likelihood, **parts)


def chosen_networks(
    recipe: str,
    parts: dict[str, Any],
    input_shape: int | Sequence[int],
    latent_dim: int,
    encoder: Callable[[], keras.Model],
    decoder: Callable[[], keras.Model],
) -> tuple[keras.Model, keras.Model]:
    """Returns the networks that the user gave, and where there are none those of the recipe.

    Args:
        recipe: name of the recipe, for errors.
        parts: what the user gave; `encoder` and `decoder` are taken out of it.
        input_shape, latent_dim: of the recipe's examples and codes.
        encoder, decoder: functions that make the networks of the recipe.

    Returns:
        Tuple of encoder and decoder.

    Raises:
        ValueError: if a network is for examples or codes of another shape.
    """
    own_encoder, own_decoder = parts.pop("encoder", None), parts.pop("decoder", None)
    shape = networks.positive_shape(input_shape, "input_shape")
    _check_takes(own_encoder, f"`encoder` of recipes.{recipe}", shape, "`input_shape` says so")
    _check_takes(
        own_decoder, f"`decoder` of recipes.{recipe}", (latent_dim,), "its codes have that length"
    )
    return (
        encoder() if own_encoder is None else own_encoder,
        decoder() if own_decoder is None else own_decoder,
    )


def _check_takes(network, what, shape, why):
    """Refuses a network whose first input is known to have another shape."""
    known = first_input_shape(network) if isinstance(network, keras.Layer) else None
    found = shape if known is None else tuple(known[1:])
    fits = len(found) == len(shape) and all(
        size in (None, want) for size, want in zip(found, shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"{what} must take an input of the shape (batch, {', '.join(map(str, shape))}), "
            f"because {why}; change one of them. "
            f"Received: {network.name} for (batch, {', '.join(map(str, found))})"
        )


def check_units(
    recipe: str,
    units: Any,
    input_shape: int | Sequence[int],
    beside: dict[str, Any] | None = None,
) -> None:
    """Refuses `units` that are no widths, or that no network of a recipe would have.

    Args:
        recipe: name of the recipe, for errors.
        units: what the user gave, or None.
        input_shape: of the recipe's examples.
        beside: other arguments; `encoder` and `decoder` must not be among them.

    Raises:
        ValueError: if they cannot be used.
    """
    if units is None:
        return
    networks_given = [n for n in ("encoder", "decoder") if (beside or {}).get(n) is not None]
    if networks_given:
        refuse_units(recipe, units, "networks that are given have their own", "leave one out")
    if not is_dense(networks.positive_shape(input_shape, "input_shape")):
        why = f"its networks are convolutional for images of more than {DENSE_UP_TO} values"
        refuse_units(recipe, units, why, "give `encoder` and `decoder`")
    if not isinstance(units, Sequence) or isinstance(units, str):
        raise ValueError(
            f"`units` of recipes.{recipe} must be a sequence of widths, because each is a hidden "
            f"layer; for one layer write `units=(128,)`. Received: units={units!r}"
        )
    for width in units:
        positive_integer(width, "units", f"the width of a hidden layer of recipes.{recipe}")


def refuse_units(recipe: str, units: Any, why: str, remedy: str) -> None:
    """Raises a ValueError about `units`, unless they are None."""
    if units is not None:
        raise ValueError(
            f"`units` must be left out of recipes.{recipe}, because {why}; {remedy}. "
            f"Received: units={units!r}"
        )


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
