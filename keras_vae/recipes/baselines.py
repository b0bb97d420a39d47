"""Models to compare with."""

from collections.abc import Sequence
from typing import Any

from keras_vae import likelihoods, networks, objectives
from keras_vae.model import VAE
from keras_vae.recipes.fitting import chosen_networks, refuse_units, shapes
from keras_vae.typing import ScheduledNumber


def tutorial_vae(
    input_shape: Sequence[int] = (28, 28, 1),
    latent_dim: int = 2,
    likelihood: likelihoods.Likelihood | None = None,
    beta: ScheduledNumber = 1.0,
    seed: int | None = None,
    **parts: Any,
) -> VAE:
    """Makes the small convolutional VAE of many tutorials: the baseline to beat.

    Convolutions of 32 and 64 channels and a linear Dense layer of 16; a Dense layer of 7 x 7 x 64
    and transposed convolutions of 64, 32 and 1 channels.

    Args:
        input_shape: (H, W, C).
        latent_dim, likelihood, beta, seed: as for `vae`.
        parts: `encoder`, `decoder` or both, in place of the recipe's; and other arguments of `VAE`.

    Returns:
        The model, not compiled.

    Example: `recipes.tutorial_vae()`.
    """
    likelihood = likelihood or likelihoods.Bernoulli()
    shape, params_shape = shapes(input_shape, likelihood)
    remedy = "give `encoder` and `decoder`, or use recipes.vae"
    refuse_units("tutorial_vae", parts.pop("units", None), "its networks are convolutional", remedy)
    encoder, decoder = chosen_networks(
        "tutorial_vae",
        parts,
        shape,
        latent_dim,
        lambda: networks.conv_encoder(shape, filters=(32, 64), units=(16,), units_activation=None),
        lambda: networks.conv_decoder(latent_dim, params_shape, filters=(64, 32)),
    )
    parts = {"objective": objectives.ELBO(beta), **parts}
    return VAE(encoder, decoder, likelihood=likelihood, seed=seed, **parts)


def linear_vae(
    input_shape: int | Sequence[int], latent_dim: int = 2, seed: int | None = None, **parts: Any
) -> VAE:
    """Makes a linear VAE, with a normal likelihood of one learned scale: probabilistic PCA.

    Its best ELBO is the log-likelihood of probabilistic PCA, which has a closed form.

    Args:
        input_shape: shape of an example.
        latent_dim: int, D.
        seed: int, of the noise.
        parts: other arguments of `VAE`, but for its networks, which are linear.

    Returns:
        The model, not compiled.

    Raises:
        ValueError: if networks or their `units` are given.

    Example: `recipes.linear_vae((28, 28, 1), latent_dim=10)`.

    References: Tipping and Bishop, Probabilistic Principal Component Analysis (1999); Lucas et
    al., Don't Blame the ELBO! (arXiv:1911.02469), section 4.
    """
    for name in ("encoder", "decoder", "units"):
        if parts.get(name) is not None:
            raise ValueError(
                f"`{name}` must be left out of recipes.linear_vae, because linear networks are "
                "what makes the recipe; for others use "
                "`recipes.vae(…, likelihood=likelihoods.Normal(scale='shared'))`. "
                f"Received: {name}={parts[name]!r:.100}"
            )
    return VAE(
        networks.dense_encoder(input_shape, units=()),
        networks.dense_decoder(latent_dim, input_shape, units=()),
        seed=seed,
        **{"likelihood": likelihoods.Normal(scale="shared"), **parts},
    )
