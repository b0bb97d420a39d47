"""Are samples like the data? Distances between two sets of feature vectors.

Features, (N, F), come from any network: `features(model, x)`. Numbers compare only under the same
one. For 28 x 28 images `feature_model` trains a small classifier here; for photographs use
Inception from a file of yours. Of raw pixels they say little.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_vae.typing import Tensor
from keras_vae.validation import positive_integer


def frechet_distance(real: np.ndarray, generated: np.ndarray) -> float:
    """Computes the squared Fréchet distance between normals fitted to two sets of features.

    The best is 0. It is known as FID where the features are those of Inception.

    Args:
        real, generated: (N, F) and (M, F), N and M well above F.

    Returns:
        The distance.

    Example:

    ```python
    generated = vae.generate(10_000)
    frechet_distance(evaluation.features(network, x), evaluation.features(network, generated))
    ```

    Reference: Heusel et al., GANs Trained by a Two Time-Scale Update Rule (arXiv:1706.08500),
    equation 6.
    """
    real, generated = _checked(real, generated)
    difference = np.mean(real, axis=0) - np.mean(generated, axis=0)
    a, b = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (real, generated))
    values, vectors = np.linalg.eigh(a)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ b @ root), 0.0)).sum()
    return float(difference @ difference + np.trace(a) + np.trace(b) - 2.0 * cross)


def precision_recall(
    real: np.ndarray, generated: np.ndarray, nearest_k: int = 5
) -> dict[str, float]:
    """Computes precision, recall, density and coverage of samples, from balls to their neighbours.

    Precision: the part of samples inside a ball of a real example, whose radius is the distance to
    its k-th neighbour. Recall: the same with the roles exchanged. Density: by how many balls a
    sample is held, over k; may exceed 1. Coverage: the part of real balls that hold a sample.

    Args:
        real, generated: (N, F) and (M, F).
        nearest_k: int, below N and M.

    Returns:
        Dict of `precision`, `recall`, `density`, `coverage`.

    References: Kynkäänniemi et al., Improved Precision and Recall (arXiv:1904.06991), equation 1;
    Naeem et al., Reliable Fidelity and Diversity Metrics (arXiv:2002.09797), equations 4 and 5.
    """
    real, generated = _checked(real, generated)
    positive_integer(nearest_k, "nearest_k", "the neighbour that sets the radius")
    if nearest_k >= min(len(real), len(generated)):
        raise ValueError(
            "`nearest_k` must be below the number of examples in either set, to have so many "
            f"neighbours. Received: nearest_k={nearest_k} for {len(real)} and {len(generated)}"
        )
    real_radius, generated_radius = (_radius(x, nearest_k) for x in (real, generated))
    held, covered, recalled = [], np.zeros(len(real), bool), np.zeros(len(real), bool)
    for chunk, radius in _chunks(generated, generated_radius):
        distance = _squared_distances(real, chunk)
        inside = distance < real_radius[:, None]
        held.append(inside.sum(axis=0))
        covered |= inside.any(axis=1)
        recalled |= (distance < radius).any(axis=1)
    counts = np.concatenate(held)
    return {
        "precision": float(np.mean(counts > 0)),
        "recall": float(np.mean(recalled)),
        "density": float(np.mean(counts) / nearest_k),
        "coverage": float(np.mean(covered)),
    }


def features(model: Callable[[Any], Tensor], x: np.ndarray, batch_size: int = 256) -> np.ndarray:
    """Computes what a network makes of examples, flattened.

    Args:
        model: a `keras.Model` such as that of `feature_model`, or a function of a batch.
        x: (N, …).
        batch_size: int, examples that go through the network at a time.

    Returns:
        NumPy array (N, F).
    """
    batches = (x[i : i + batch_size] for i in range(0, len(x), batch_size))
    parts = [keras.ops.convert_to_numpy(model(batch)) for batch in batches]
    return np.concatenate([part.reshape(len(part), -1) for part in parts])


def feature_model(
    x: np.ndarray, labels: np.ndarray, epochs: int = 2, verbose: int | str = 0
) -> keras.Model:
    """Trains a small convolutional classifier, and returns its last layer of 64 features.

    Two epochs of Fashion-MNIST take about a minute on two cores. Distances compare between runs
    that share the file: `model.save("features.keras")`.

    Args:
        x: (N, H, W, C) in [0, 1].
        labels: (N,) integers from 0.
        epochs, verbose: as for `keras.Model.fit`.

    Returns:
        A `keras.Model`, (B, H, W, C) -> (B, 64).

    Example: `network = feature_model(x_train, y_train)`.
    """
    images = keras.Input(x.shape[1:])
    y = images
    for filters in (32, 64):
        y = layers.Conv2D(filters, 3, 2, "same", activation="relu")(y)
    vector = layers.Dense(64, activation="relu", name="features")(layers.Flatten()(y))
    model = keras.Model(images, layers.Dense(int(np.max(labels)) + 1)(vector))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, labels, batch_size=128, epochs=epochs, verbose=verbose)
    return keras.Model(images, vector, name="features")


def _checked(real, generated):
    real, generated = (np.asarray(x, "float64") for x in (real, generated))
    fit = real.ndim == generated.ndim == 2 and real.shape[1:] == generated.shape[1:]
    if not fit or min(len(real), len(generated)) < 2:
        raise ValueError(
            "`real` and `generated` must be feature vectors, (N, F) and (M, F), at least two of "
            f"each, to be compared. Received: shapes {real.shape} and {generated.shape}"
        )
    return real, generated


def _squared_distances(a, b):
    squares = np.sum(a**2, axis=1)[:, None] + np.sum(b**2, axis=1)
    return np.maximum(squares - 2.0 * a @ b.T, 0.0)


def _chunks(x, radius, size=1000):
    for i in range(0, len(x), size):
        yield x[i : i + size], radius[i : i + size]


def _radius(x, k):
    """The squared distance of each to its k-th neighbour, itself not counted."""
    parts = [
        np.partition(_squared_distances(chunk, x), k, axis=1)[:, k] for chunk, _ in _chunks(x, x)
    ]
    return np.concatenate(parts)
