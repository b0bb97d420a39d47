"""Pictures: every function returns a matplotlib figure, and saves it where `path` is given."""

import functools
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np

from keras_vae import saving, validation
from keras_vae.typing import FilePath, Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIZE = 0.7  # inches, of one image in a grid
_STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


_P = ParamSpec("_P")


def _styled(draw: Callable[_P, "Figure"]) -> Callable[_P, "Figure"]:
    """Draws in our style, and leaves the user's own settings of matplotlib as they are."""

    @functools.wraps(draw)
    def styled(*args: _P.args, **kwargs: _P.kwargs) -> "Figure":
        matplotlib = validation.optional("matplotlib", "plot", "Pictures")
        with matplotlib.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return styled


@_styled
def reconstructions(
    originals: Tensor, reconstructed: Tensor, path: FilePath | None = None, max_columns: int = 10
) -> "Figure":
    """Draws originals over their reconstructions.

    Args:
        originals, reconstructed: images (N, H, W, C) in [0, 1] or uint8, C of 1 or 3.
        path: file to save to, such as "reconstructions.png".
        max_columns: how many of the images to show.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: if these are no images, or not as many of each.
    """
    rows = [
        _images(x, name)[:max_columns]
        for x, name in ((originals, "originals"), (reconstructed, "reconstructed"))
    ]
    if len(rows[0]) != len(rows[1]):
        raise ValueError(
            "`reconstructed` must have an image for each of `originals`, to be drawn below it. "
            f"Received: {len(rows[1])} for {len(rows[0])} originals"
        )
    figure, axes = _grid(2, len(rows[0]), left=0.9)
    for line, images, label in zip(axes, rows, ("original", "reconstruction"), strict=True):
        _label(line[0], label)
        for axis, image in zip(line, images, strict=True):
            _show(axis, image)
    return _finish(figure, path)


@_styled
def image_grid(
    images: Tensor,
    path: FilePath | None = None,
    columns: int | None = None,
    title: str | None = None,
) -> "Figure":
    """Draws images in rows.

    Args:
        images: images (N, H, W, C) in [0, 1] or uint8, C of 1 or 3.
        path: file to save to.
        columns: number of images in a row; by default the grid is about square.
        title: title of the figure.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: if these are no images.
    """
    images = _images(images, "images")
    columns = columns or int(np.ceil(np.sqrt(len(images))))
    figure, axes = _grid(-(-len(images) // columns), columns, top=0.3 if title else 0.0)
    for axis, image in zip(axes.flat, images, strict=False):
        _show(axis, image)
    if title:
        figure.suptitle(title, fontsize=10)
    return _finish(figure, path)


@_styled
def loss_curves(history: Mapping[str, Sequence[float]], path: FilePath | None = None) -> "Figure":
    """Draws one panel for each log, training and validation, over epochs.

    Args:
        history: dict of lists, as `fit(…).history`.
        path: file to save to.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: if there is no loss in `history`.
    """
    names = [n for n in ("loss", "reconstruction_loss", "kl_loss") if n in history]
    if not names:
        raise ValueError(
            "`history` must hold loss, reconstruction_loss or kl_loss, as `fit(…).history` does, "
            f"to have a curve to draw. Received: history with keys={sorted(history)}"
        )
    figure = _figure(3.2 * len(names), 2.6, layout="constrained")
    for axis, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
        for key, label in ((name, "training"), (f"val_{name}", "validation")):
            if key in history:
                epochs = np.arange(1, len(history[key]) + 1)
                axis.plot(epochs, history[key], marker="o", markersize=3, label=label)
        axis.set(title=name.replace("_", " "), xlabel="epoch", ylabel="nats per example")
        axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    return _finish(figure, path)


@_styled
def latent_map(
    decode: Callable[[np.ndarray], np.ndarray], path: FilePath | None = None, steps: int = 20
) -> "Figure":
    """Draws what the decoder makes of a plane of two latent dimensions.

    Args:
        decode: function (N, 2) -> (N, H, W, C), such as `vae.decode`.
        path: file to save to.
        steps: codes along each axis, at equal steps of the prior's probability.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: if `decode` returns no images.
    """
    quantiles = [statistics.NormalDist().inv_cdf(p) for p in np.linspace(0.02, 0.98, steps)]
    z1, z2 = np.meshgrid(quantiles, quantiles[::-1])
    images = _images(decode(np.stack([z1.ravel(), z2.ravel()], 1)), "decode")
    height, width = images.shape[1:3]
    figure = _figure(6.0, 6.0, layout="constrained")
    axis = figure.subplots()
    _show(axis, mosaic(images, steps))
    shown = np.linspace(0, steps - 1, 7).round().astype(int)
    axis.set(
        xlabel="$z_1$",
        ylabel="$z_2$",
        xticks=(shown + 0.5) * width - 0.5,
        yticks=(shown + 0.5) * height - 0.5,
        xticklabels=[f"{quantiles[i]:.1f}" for i in shown],
        yticklabels=[f"{quantiles[::-1][i]:.1f}" for i in shown],
    )
    return _finish(figure, path)


@_styled
def latent_scatter(
    codes: np.ndarray,
    labels: Sequence[Any] | np.ndarray | None = None,
    path: FilePath | None = None,
    class_names: Sequence[str] | None = None,
) -> "Figure":
    """Draws codes of two latent dimensions, coloured by class.

    Args:
        codes: NumPy array (N, 2).
        labels: classes, (N,).
        path: file to save to.
        class_names: names of the classes 0, 1, ….

    Returns:
        A matplotlib figure.
    """
    figure = _figure(6.0, 5.0, layout="constrained")
    axis = figure.subplots()
    if labels is None:
        axis.scatter(*codes.T, s=3, alpha=0.4, linewidths=0)
    else:
        colours = figure_colours()
        for i, label in enumerate(np.unique(labels)):
            name = class_names[int(label)] if class_names else str(label)
            chosen = codes[np.asarray(labels) == label]
            axis.scatter(*chosen.T, s=4, alpha=0.5, linewidths=0, color=colours(i % 10), label=name)
        legend = axis.legend(
            frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), markerscale=4
        )
        for handle in legend.legend_handles:
            handle.set_alpha(1)
    axis.set(xlabel="$z_1$", ylabel="$z_2$", aspect="equal")
    axis.grid(alpha=0.3)
    return _finish(figure, path)


@_styled
def traversals(
    decode: Callable[[np.ndarray], np.ndarray],
    code: Tensor,
    path: FilePath | None = None,
    span: float = 3.0,
    steps: int = 9,
) -> "Figure":
    """Draws one row for each latent dimension: that entry of `code` moved from -span to span.

    Args:
        decode: function (N, D) -> (N, H, W, C), such as `vae.decode`.
        code: the code to start from, (D,).
        path: file to save to.
        span: how far each entry is moved.
        steps: number of images in a row.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: if `decode` returns no images.
    """
    code, values = np.asarray(code, "float32").ravel(), np.linspace(-span, span, steps)
    codes = np.repeat(code[None], len(code) * steps, axis=0)
    for i in range(len(code)):
        codes[i * steps : (i + 1) * steps, i] = values
    images = _images(decode(codes), "decode")
    figure, axes = _grid(len(code), steps, left=0.4, top=0.25)
    for axis, image in zip(axes.flat, images, strict=True):
        _show(axis, image)
    for i, line in enumerate(axes):
        line[0].text(
            -0.15, 0.5, f"$z_{{{i + 1}}}$", transform=line[0].transAxes, ha="right", va="center"
        )
    for axis, value in zip(axes[0], values, strict=True):
        axis.set_title(f"{value:+.1f}", fontsize=8, pad=3)
    return _finish(figure, path)


def figure_colours() -> Any:
    """Returns a colour map of ten colours that can be told apart."""
    import matplotlib

    return matplotlib.colormaps["tab10"]


def mosaic(images: np.ndarray, columns: int) -> np.ndarray:
    """Joins images to one picture.

    Args:
        images: images (N, H, W, C); N must fill the rows.
        columns: number of images in a row.

    Returns:
        NumPy array (rows * H, columns * W, C).
    """
    count, height, width, channels = images.shape
    rows = count // columns
    grid = images.reshape(rows, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    return grid.reshape(rows * height, columns * width, channels)


def is_image(shape: Sequence[int]) -> bool:
    """Returns whether an example of this shape, (H, W, C), can be drawn."""
    return len(shape) == 3 and shape[-1] in (1, 3)


def _images(x, argument):
    x = np.asarray(x)
    x = x[..., None] if x.ndim == 3 else x
    if x.ndim != 4 or len(x) == 0 or not is_image(x.shape[1:]):
        raise ValueError(
            f"`{argument}` must be one or more images of shape (N, height, width, 1 or 3), to be "
            "drawn. "
            f"Received: {argument} with shape={x.shape}"
        )
    return x / 255 if x.dtype == np.uint8 else np.clip(x, 0, 1)


def _figure(width, height, **options):
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), **options)


def _grid(rows, columns, left=0.0, top=0.0):
    """A figure of square cells with room, in inches, for labels at the left and the top."""
    edge = 0.02
    width, height = columns * _SIZE + left + 2 * edge, rows * _SIZE + top + 2 * edge
    figure = _figure(width, height)
    axes = figure.subplots(rows, columns, squeeze=False)
    figure.subplots_adjust(
        (left + edge) / width,
        edge / height,
        1 - edge / width,
        1 - (top + edge) / height,
        0.06,
        0.06,
    )
    for axis in axes.flat:
        axis.set_axis_off()
    return figure, axes


def _show(axis, image):
    if image.shape[-1] == 1:
        axis.imshow(image[..., 0], cmap="gray", vmin=0, vmax=1)
    else:
        axis.imshow(image)


def _label(axis, text):
    axis.text(-0.12, 0.5, text, transform=axis.transAxes, ha="right", va="center")


def _finish(figure, path):
    if path is not None:
        with saving.atomic(path) as temporary:
            figure.savefig(
                temporary, dpi=150, facecolor="white", bbox_inches="tight", pad_inches=0.08
            )
    return figure
