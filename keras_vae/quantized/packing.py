"""Tokens of a quantised model: their vectors, and bytes to keep them in."""

from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from keras_vae.quantized.quantizers import Quantizer
from keras_vae.validation import positive_integer

if TYPE_CHECKING:
    from keras_vae.model import VAE


def pack(tokens: Any, num_codes: int) -> np.ndarray:
    """Packs tokens into bytes, each token in as few bits as one of `num_codes` needs.

    Args:
        tokens: integers (…, L) in [0, num_codes), such as `vae.tokens` returns.
        num_codes: int, the number of different codes: `vae.posterior.num_codes`.

    Returns:
        NumPy array (…, bytes), uint8. The bits that fill up the last byte of a row are 0.

    Raises:
        ValueError: if a token is not an integer in [0, num_codes).

    Example: `quantized.pack([[3, 500, 12]], num_codes=512)`, of 4 bytes.
    """
    bits = _bits(num_codes)
    tokens = checked_tokens(tokens, num_codes)
    digits = (tokens[..., None] >> np.arange(bits)[::-1]) & 1
    return np.packbits(digits.reshape(*tokens.shape[:-1], -1).astype("uint8"), axis=-1)


def unpack(packed: np.ndarray, num_codes: int, length: int) -> np.ndarray:
    """Returns the tokens that `pack` has packed.

    Args:
        packed: NumPy array (…, bytes), uint8.
        num_codes: int, as given to `pack`.
        length: int, L, the tokens of a row: `vae.posterior.length`.

    Returns:
        NumPy array (…, L), int32.

    Raises:
        ValueError: if the rows do not have the bytes of so many tokens.

    Example:

    ```python
    packed = quantized.pack([[3, 500, 12]], num_codes=512)
    tokens = quantized.unpack(packed, num_codes=512, length=3)
    ```
    """
    bits = _bits(num_codes)
    length = positive_integer(length, "length", "the tokens of a row")
    packed = np.asarray(packed)
    if packed.dtype != np.uint8 or packed.ndim < 1 or packed.shape[-1] != -(-length * bits // 8):
        raise ValueError(
            f"`packed` must be uint8 with {-(-length * bits // 8)} bytes a row, because {length} "
            f"tokens of {bits} bits were packed. Received: packed with shape={packed.shape} and "
            f"dtype={packed.dtype}"
        )
    digits = np.unpackbits(packed, axis=-1, count=length * bits)
    digits = digits.reshape(*packed.shape[:-1], length, bits).astype("int32")
    return np.sum(digits << np.arange(bits, dtype="int32")[::-1], axis=-1, dtype="int32")


def _bits(num_codes):
    """The bits that one of so many codes needs; at least 1."""
    num_codes = positive_integer(num_codes, "num_codes", "the number of different codes")
    if num_codes > 2**31:
        raise ValueError(
            "`num_codes` must be at most 2^31, because tokens are integers of 32 bits. "
            f"Received: num_codes={num_codes}"
        )
    return max((num_codes - 1).bit_length(), 1)


def checked_tokens(tokens: Any, num_codes: int) -> np.ndarray:
    """Returns tokens as a NumPy array of integers.

    Raises:
        ValueError: if one of them is not an integer in [0, num_codes).
    """
    tokens = ops.convert_to_numpy(tokens)
    whole = tokens.dtype.kind in "iu" and tokens.ndim >= 1
    if not whole or (tokens.size and not 0 <= tokens.min() <= tokens.max() < num_codes):
        raise ValueError(
            f"`tokens` must be integers in [0, {num_codes}), because there are so many codes. "
            f"Received: tokens with shape={tokens.shape} and dtype={tokens.dtype}"
            + (f", from {tokens.min()} to {tokens.max()}" if tokens.size and whole else "")
        )
    return tokens.astype("int32")


def z_of_tokens(vae: "VAE", tokens: Any) -> np.ndarray:
    """Returns the vectors of tokens (N, L) as codes z, (N, D)."""
    check_quantized(vae, "from_tokens")
    posterior = vae.posterior
    tokens = checked_tokens(tokens, posterior.num_codes)
    if tokens.ndim != 2 or tokens.shape[1] != posterior.length:
        raise ValueError(
            f"`tokens` must have the shape (examples, {posterior.length}), because the model has "
            f"so many tokens an example. Received: tokens with shape={tokens.shape}"
        )
    vectors = posterior.vectors(ops.convert_to_tensor(tokens))
    return ops.convert_to_numpy(vectors).reshape(len(tokens), posterior.latent_dim)


def check_quantized(vae: "VAE", method: str) -> None:
    """Refuses a method of tokens for a model whose posterior is not a `Quantizer`."""
    if not isinstance(vae.posterior, Quantizer):
        raise ValueError(
            f"`{method}` must have a posterior of `keras_vae.quantized`, because only a quantised "
            "model has tokens; `recipes.vq_vae` makes one, and `encode` returns the codes of any "
            f"model. Received: posterior={type(vae.posterior).__name__}"
        )
