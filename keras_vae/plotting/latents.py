"""The latent space: what codes decode to, and where examples lie."""

import statistics
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_vae.plotting.images import checked_images, mosaic, show
from keras_vae.plotting.style import (
    COLOURS,
    TITLE,
    finish,
    grid,
    label,
    new_figure,
    set_title,
    styled,
)
from keras_vae.typing import FilePath, Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure
_MARKERS = "osD^vPX*"
_UNITS = "in standard deviations of the prior, at equal steps of its probability"


@styled
def latent_map(
    decode: Callable[[np.ndarray], np.ndarray],
    path: FilePath | None = None,
    steps: int = 20,
    title: str | None = "Images decoded from a grid of codes",
) -> "Figure":
    """Draws what the decoder makes of a plane of two latent dimensions.

    Args:
        decode: function (N, 2) -> (N, H, W, C), such as `vae.decode`.
        path: file to save to.
        steps: codes along each axis, at equal steps of the prior's probability.
        title: title of the figure, or None.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: if `decode` returns no images.

    Example: `keras_vae.plotting.latent_map(vae.decode, steps=10)`.
    """
    quantiles = [statistics.NormalDist().inv_cdf(p) for p in np.linspace(0.02, 0.98, steps)]
    z1, z2 = np.meshgrid(quantiles, quantiles[::-1])
    images = checked_images(decode(np.stack([z1.ravel(), z2.ravel()], 1)), "decode")
    height, width = images.shape[1:3]
    figure = new_figure(6.0, 6.0, layout="constrained")
    axis = figure.subplots()
    show(axis, mosaic(images, steps))
    shown = np.linspace(0, steps - 1, 7).round().astype(int)
    axis.set(
        xlabel=f"$z_1$ {_UNITS}",
        ylabel=f"$z_2$ {_UNITS}",
        xticks=(shown + 0.5) * width - 0.5,
        yticks=(shown + 0.5) * height - 0.5,
        xticklabels=[f"{quantiles[i]:.1f}" for i in shown],
        yticklabels=[f"{quantiles[::-1][i]:.1f}" for i in shown],
        title=title or "",
    )
    return finish(figure, path)


@styled
def latent_scatter(
    codes: np.ndarray,
    labels: Sequence[Any] | np.ndarray | None = None,
    path: FilePath | None = None,
    class_names: Sequence[str] | None = None,
    title: str | None = "Codes of the examples",
) -> "Figure":
    """Draws codes of two latent dimensions, coloured by class.

    The fewer codes there are, the larger are their marks. More than ten classes have marks of
    different shapes.

    Args:
        codes: NumPy array (N, 2).
        labels: classes, (N,): integers, texts or other values.
        path: file to save to.
        class_names: names of the classes 0, 1, …, for labels that are integers.
        title: title of the figure, or None.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: if there is not one label for each code.

    Example: `keras_vae.plotting.latent_scatter(vae.encode(x), y)`.
    """
    figure = new_figure(6.0, 5.0, layout="constrained")
    axis = figure.subplots()
    marks = _marks(len(codes))
    if labels is None:
        axis.scatter(*codes.T, **marks)
    else:
        _draw_classes(axis, codes, labels, class_names, marks)
    axis.set(xlabel="$z_1$", ylabel="$z_2$", aspect="equal", title=title or "")
    axis.grid(alpha=0.3)
    axis.set_axisbelow(True)
    return finish(figure, path)


def _marks(count):
    """The size and the opacity of so many marks: an area of 40 for 50 or fewer, 4 for thousands."""
    size = float(np.clip(2000.0 / max(count, 1), 4.0, 40.0))
    return {"s": size, "alpha": 0.5 if size < 8 else 0.85, "linewidths": 0}


def _draw_classes(axis, codes, labels, class_names, marks):
    """Marks with a colour for each class, and the names of the classes beside the axis."""
    names, numbers = classes_of(labels, class_names)
    if len(numbers) != len(codes):
        raise ValueError(
            "`labels` must have one entry for each code, because it decides the colour. "
            f"Received: {len(numbers)} labels for {len(codes)} codes"
        )
    for i in np.unique(numbers):
        kind = {"color": COLOURS[i % 10], "marker": _MARKERS[i // 10 % len(_MARKERS)]}
        axis.scatter(*codes[numbers == i].T, **marks, **kind, label=names[i])
    legend = axis.legend(
        frameon=False,
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        markerscale=6.0 / marks["s"] ** 0.5,
        ncols=1 + len(names) // 24,
    )
    for handle in legend.legend_handles:
        handle.set_alpha(1)


def classes_of(
    labels: Sequence[Any] | np.ndarray, class_names: Sequence[str] | None = None
) -> tuple[list[str], np.ndarray]:
    """Returns the names of classes, and the number of each label among them.

    Args:
        labels: classes, (N,): integers, texts or other values.
        class_names: names of the classes 0, 1, …, for labels that are integers.

    Returns:
        Tuple of the names, and the number of each label, integers (N,). Named classes keep their
        numbers, and therefore their colours, in all pictures.
    """
    labels = np.asarray(labels).ravel()
    if labels.dtype.kind == "O":
        labels = labels.astype(str)
    if class_names is not None and labels.dtype.kind in "biu":
        return [str(name) for name in class_names], labels.astype(int)
    values, numbers = np.unique(labels, return_inverse=True)
    return [str(value) for value in values], numbers


@styled
def traversals(
    decode: Callable[[np.ndarray], np.ndarray],
    code: Tensor,
    path: FilePath | None = None,
    span: float = 3.0,
    steps: int = 9,
    title: str | None = "Images as one latent changes",
) -> "Figure":
    """Draws one row for each latent dimension: that entry of `code` moved from -span to span.

    Args:
        decode: function (N, D) -> (N, H, W, C), such as `vae.decode`.
        code: the code to start from, (D,).
        path: file to save to.
        span: how far each entry is moved.
        steps: number of images in a row.
        title: title of the figure, or None.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: if `decode` returns no images.

    Example: `keras_vae.plotting.traversals(vae.decode, np.zeros(2))`.
    """
    code, values = np.asarray(code, "float32").ravel(), np.linspace(-span, span, steps)
    codes = np.repeat(code[None], len(code) * steps, axis=0)
    for i in range(len(code)):
        codes[i * steps : (i + 1) * steps, i] = values
    images = checked_images(decode(codes), "decode")
    figure, axes = grid(len(code), steps, left=0.4, top=0.25 + (TITLE if title else 0.0))
    for axis, image in zip(axes.flat, images, strict=True):
        show(axis, image)
    for i, line in enumerate(axes):
        label(line[0], f"$z_{{{i + 1}}}$", 0.15)
    for axis, value in zip(axes[0], values, strict=True):
        axis.set_title(f"{value:+.1f}", fontsize=8, pad=3)
    set_title(figure, title)
    return finish(figure, path)
