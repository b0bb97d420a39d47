"""How much memory the training of a model needs, estimated before the first step."""

import math
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras

from keras_vae import optimizers

_MOST_SLOTS = 4
"""No optimizer of Keras keeps more numbers for each weight."""


class TrainingMemory(NamedTuple):
    """Bytes that training takes."""

    weights: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        """Returns the sum."""
        return sum(self)


def training_memory(vae: Any, batch_size: int) -> TrainingMemory:
    """Estimates how much memory the training of a compiled model takes.

    Activations are what the layers of encoder and decoder put out for a batch, which are kept for
    the gradients, and twice the largest of them, which are on their way. Layers whose shapes are
    not known do not count, so that the estimate is rather too low than too high: a step of
    `networks.residual_encoder` and its decoder for 64 images of 96 x 96 took 1.3 to 1.5 GB, of
    which this function finds 1.1.

    Args:
        vae: a model that is built and compiled.
        batch_size: examples in a step.

    Returns:
        The parts of the estimate.

    Example: `keras_vae.memory.training_memory(vae, batch_size=128).total / 1e9`.
    """
    return _estimate(vae, batch_size, _slots(vae.optimizer))


def _estimate(vae, batch_size, slots):
    trainable = sum(map(_bytes, vae.trainable_variables))
    draws = batch_size * vae.objective.num_samples
    outputs = [batch_size * size for size in _output_bytes(vae.encoder)]
    outputs += [draws * size for size in _output_bytes(vae.decoder)]
    return TrainingMemory(
        weights=sum(map(_bytes, vae.variables)),
        gradients=trainable,
        optimizer=slots * trainable,
        activations=sum(outputs) + 2 * max(outputs, default=0),
    )


def check_fits(vae: Any, batch_size: int) -> None:
    """Refuses to train a model that does not fit into the memory of this machine.

    There is no check where the machine does not tell its memory, or the model is not on the CPU.

    Args:
        vae: a model that is built and compiled.
        batch_size: examples in a step.

    Raises:
        ValueError: if the estimate is larger than the memory.
    """
    there = machine_memory()
    if there is None or not _on_cpu(vae) or _estimate(vae, batch_size, _MOST_SLOTS).total <= there:
        return
    needed = training_memory(vae, batch_size)
    if needed.total <= there:
        return
    parts = ", ".join(f"{name} {size / 1e9:.1f}" for name, size in needed._asdict().items())
    raise ValueError(
        "The model and `batch_size` must fit into the memory of this machine, because the system "
        "ends a process that needs more: use smaller images (`image_size`), a smaller batch, or "
        f"networks with fewer `filters`. Received: batch_size={batch_size} of x with shape="
        f"{tuple(vae.x_shape)}, which need about {needed.total / 1e9:.3g} GB ({parts}), of "
        f"{there / 1e9:.3g} GB that there are"
    )


def machine_memory() -> int | None:
    """Returns the bytes of memory of this machine, or None where it does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _bytes(tensor):
    size = {"float64": 8, "int64": 8, "float16": 2, "bfloat16": 2, "int8": 1, "bool": 1}
    return math.prod(tensor.shape) * size.get(keras.backend.standardize_dtype(tensor.dtype), 4)


def _output_bytes(network: keras.Layer) -> Iterator[int]:
    """Yields the bytes for one example of what each layer of a functional network puts out."""
    for layer in getattr(network, "layers", []):
        if isinstance(layer, keras.Model):
            yield from _output_bytes(layer)
            continue
        for output in keras.tree.flatten(getattr(layer, "output", [])):
            if None not in output.shape[1:]:
                yield _bytes(keras.KerasTensor(output.shape[1:], output.dtype))


def _slots(optimizer):
    """How many numbers an optimizer keeps for each weight: 2 for Adam."""
    optimizer = optimizers.innermost(optimizer)[0]
    own = type(optimizer).from_config(optimizer.get_config())
    own.build([keras.Variable([0.0])])
    return sum(math.prod(v.shape) for v in own.variables if len(v.shape) == 1)


def _on_cpu(vae):
    value = vae.variables[0].value
    return "cpu" in str(getattr(value, "device", "")).lower()
