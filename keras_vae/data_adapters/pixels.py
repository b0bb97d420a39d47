"""What images often come with: labels as y, and values from 0 to 255."""

import warnings
from typing import Any

import numpy as np
from keras import ops

from keras_vae import layers
from keras_vae.data_adapters import checks, pipelines


def refuse_labels(data: Any, x: Any, y: Any, spec: checks.DataSpec) -> None:
    """Refuses a pipeline of images with their labels, and says what makes it one to train on.

    Args:
        data: the pipeline.
        x, y: its first batch, of images x.
        spec: what the model takes.

    Raises:
        ValueError: if y holds numbers or vectors that the model does not reconstruct.
    """
    shapes = [tuple(getattr(part, "shape", ())) for part in (x, y)]
    if not 1 <= len(shapes[1]) <= 2 or shapes[1][1:] == tuple(spec.target_shape):
        return
    low, high = _range(x)
    image = "x / 255" if high > 1 else "x"
    remedy = f"let it yield {image} alone"
    if pipelines.is_tf_dataset(data):
        batch = f'{{"x": {image}, "condition": y}}' if spec.condition_dim else image
        remedy = f"`dataset.map(lambda x, y: {batch})`"
    raise ValueError(
        "`x` must yield images in [0, 1] without labels as y, because y is what a model is to "
        f"reconstruct; leave labels out: {remedy}. Received: x with shape={shapes[0]} and values "
        f"in [{low:g}, {high:g}], and y with shape={shapes[1]}"
    )


def warn_of_bytes(model: Any, parts: dict[str, Any], spec: checks.DataSpec) -> bool:
    """Warns of images with values from 0 to 255, where the likelihood takes all numbers.

    Args:
        model: an encoder that scales its input itself is left alone.
        parts: dict of arrays, as for `checks.check_parts`. The first images stand for all.
        spec: what the model takes.

    Returns:
        Whether it has warned.
    """
    target, likelihood = parts.get("target", parts["x"]), spec.likelihood
    images = len(target.shape) == 4 and target.shape[-1] in (1, 3, 4)
    bounded = np.isfinite(likelihood.low) or np.isfinite(likelihood.high)
    if not images or bounded or layers.scales_its_input(model.encoder):
        return False
    low, high = _range(next(checks.chunks(target))[0])
    if low < 0 or not 100 < high <= 255:
        return False
    warnings.warn(
        f"The images in `x` have values up to {high:g}: train on `x / 255`, because the networks "
        "begin near 0, and images above 1 are drawn white.",
        stacklevel=6,
    )
    return True


def _range(x):
    x = np.asarray(ops.convert_to_numpy(x))
    return float(np.min(x)), float(np.max(x))
