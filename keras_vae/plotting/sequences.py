"""Sequences of tokens or of measurements, and their reconstructions."""

from typing import TYPE_CHECKING

import numpy as np

from keras_vae.plotting.style import COLOURS, finish, new_figure, set_title, styled
from keras_vae.typing import FilePath, Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WRITTEN = 40  # steps, at most, whose tokens are written out


@styled
def sequences(
    originals: Tensor,
    reconstructed: Tensor | None = None,
    path: FilePath | None = None,
    max_rows: int = 8,
    title: str | None = "Sequences, step by step",
) -> "Figure":
    """Draws sequences, and the reconstruction of each below or over it.

    Tokens, which are whole numbers, one at each step, are drawn as coloured cells; measurements are
    drawn as lines.

    Args:
        originals, reconstructed: sequences (N, steps, features) or (N, steps).
        path: file to save to, such as "sequences.png".
        max_rows: how many of the sequences to show.
        title: title of the figure, or None.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: if these are no sequences, or not as many of each.

    Example: `keras_vae.plotting.sequences(np.arange(20).reshape(2, 10) % 4)`.
    """
    x = _checked(originals, "originals")
    y = None if reconstructed is None else _checked(reconstructed, "reconstructed")
    if y is not None and y.shape != x.shape:
        raise ValueError(
            "`reconstructed` must have the shape of `originals`, because each is drawn beside its "
            f"own. Received: shapes {y.shape} and {x.shape}"
        )
    draw = _draw_tokens if is_tokens(x) else _draw_lines
    figure = draw(x[:max_rows], None if y is None else y[:max_rows])
    set_title(figure, title)
    return finish(figure, path)


def is_tokens(x: np.ndarray) -> bool:
    """Returns whether sequences (N, steps, features) are of tokens: whole numbers from 0 on."""
    x = np.asarray(x)
    return x.shape[-1] == 1 and bool(np.all((x >= 0) & (x % 1 == 0)))


def _checked(x, argument):
    x = np.asarray(x)
    x = x[..., None] if x.ndim == 2 else x
    if x.ndim != 3 or not x.size:
        raise ValueError(
            f"`{argument}` must be one or more sequences of shape (N, steps, features), to be "
            f"drawn. Received: {argument} with shape={x.shape}"
        )
    return x


def _draw_tokens(x, y):
    """A row of cells for each sequence, and below it one for its reconstruction."""
    from matplotlib.colors import ListedColormap
    from matplotlib.ticker import MaxNLocator

    rows = _alternating(x, y)
    count, (height, steps) = int(np.nanmax(rows)) + 1, rows.shape
    figure = new_figure(min(1.6 + 0.26 * steps, 11.0), 0.9 + 0.25 * height, layout="constrained")
    axis = figure.subplots()
    colours = ListedColormap(COLOURS[:count]) if count <= len(COLOURS) else "viridis"
    image = axis.imshow(rows, cmap=colours, vmin=0, vmax=max(count - 1, 1), aspect="auto")
    if steps <= _WRITTEN:
        _write_tokens(axis, rows, image.to_rgba)
    names = [f"{i + 1}" for i in range(len(x))]
    if y is not None:
        names = [text for name in names for text in (name, "reconstructed", "")][:-1]
    axis.set_yticks(range(height), names)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.tick_params(left=False)
    axis.set(xlabel="step", ylabel="sequence")
    axis.spines[:].set_visible(False)
    return figure


def _alternating(x, y):
    """The rows of the picture: a sequence, its reconstruction, and a gap before the next one."""
    x = x[..., 0].astype("float32")
    if y is None:
        return x
    rows = np.stack([x, np.round(y[..., 0]), np.full_like(x, np.nan)], axis=1)
    return rows.reshape(-1, x.shape[1])[:-1]


def _write_tokens(axis, rows, colour_of):
    """Writes the number of each token in its cell, in white where the cell is dark."""
    for (row, step), token in np.ndenumerate(rows):
        if not np.isnan(token):
            brightness = np.dot(colour_of(token)[:3], (0.299, 0.587, 0.114))
            ink = "black" if brightness > 0.5 else "white"
            axis.text(step, row, f"{token:.0f}", color=ink, fontsize=7, ha="center", va="center")


def _draw_lines(x, y):
    """A panel for each sequence; with several features each has a colour."""
    across = min(2, len(x))
    down = -(-len(x) // across)
    figure = new_figure(4.0 * across, 1.5 * down + 0.6, layout="constrained")
    axes = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).ravel()
    for axis, own, other in zip(axes, x, x if y is None else y, strict=False):
        for i in range(min(own.shape[1], len(COLOURS))):
            axis.plot(own[:, i], color=COLOURS[i], linewidth=1.2)
            if y is not None:
                axis.plot(
                    other[:, i], color=_colour_of_other(own, i), linewidth=1.2, linestyle="--"
                )
    for axis in axes[len(x) :]:
        axis.set_axis_off()
    for axis in axes[-across:]:
        axis.set_xlabel("step")
    if y is not None:
        _name_lines(figure, x.shape[-1])
    return figure


def _colour_of_other(x, feature):
    """Orange for the reconstruction of a single feature, else the colour of the feature."""
    return COLOURS[1] if x.shape[1] == 1 else COLOURS[feature]


def _name_lines(figure, features):
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=COLOURS[0] if features == 1 else "black", label="original"),
        Line2D([], [], color=COLOURS[1] if features == 1 else "black", linestyle="--"),
    ]
    handles[1].set_label("reconstruction")
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
