"""Real and generated rows of a table: columns and pairs of columns."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_vae.plotting.columns import common_columns, of_columns, shortened
from keras_vae.plotting.style import COLOURS, finish, new_figure, set_title, styled
from keras_vae.typing import FilePath

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def marginals(
    real: Any,
    generated: Any,
    path: FilePath | None = None,
    max_columns: int = 16,
    labels: tuple[str, str] = ("real", "generated"),
    title: str | None = "How often each column has its values",
) -> "Figure":
    """Draws one panel for each column of two frames: how often each value occurs in either.

    Numbers and dates get histograms over common bins; texts and a few whole numbers get bars. Gaps
    do not count.

    Args:
        real, generated: frames of pandas or polars; columns that only one has are left out.
        path: file to save to.
        max_columns: how many columns to show, the first ones.
        labels: what the two frames are called.
        title: title of the figure, or None.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: if these are no frames, or have no column in common.

    Example: `figure = keras_vae.plotting.marginals(df, vae.generate(1000))`.
    """
    columns = common_columns(real, generated)
    shown = columns[:max_columns]
    across = min(4, len(shown))
    down = -(-len(shown) // across)
    figure = new_figure(max(2.4 * across, 4.0), 1.8 * down + 0.7, layout="constrained")
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
    for axis, column in zip(axes, shown, strict=False):
        _draw_marginal(axis, column)
        axis.set_title(shortened(column.name, 28), fontsize=9)
    _name_colours(figure, labels)
    set_title(figure, of_columns(title, "the first ", len(shown), len(columns)))
    return finish(figure, path)


@styled
def pairs(
    real: Any,
    generated: Any,
    columns: Sequence[str] | None = None,
    path: FilePath | None = None,
    max_columns: int = 4,
    max_rows: int = 500,
    labels: tuple[str, str] = ("real", "generated"),
    title: str | None = "Pairs of columns",
) -> "Figure":
    """Draws each pair of a few columns: the rows of two frames as points of two colours.

    The panels of the diagonal show the columns themselves, as `marginals` does. Points of classes
    are spread a little, so that they can be told apart.

    Args:
        real, generated: frames of pandas or polars.
        columns: names of the columns; by default the first ones, numbers before classes.
        path: file to save to.
        max_columns: how many columns to show if `columns` is not given.
        max_rows: how many rows of each frame to draw, the first ones.
        labels: what the two frames are called.
        title: title of the figure, or None.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: if these are no frames, or a column is in only one of them.

    Example: `figure = keras_vae.plotting.pairs(df, vae.generate(1000), ["age", "height"])`.
    """
    found = common_columns(real, generated, columns)
    total = len(found)
    if columns is None:
        found = sorted(found, key=lambda column: column.classes is not None)[:max_columns]
    side = max(2.0 * len(found), 3.6)
    figure = new_figure(side, side + 0.5, layout="constrained")
    axes: Any = figure.subplots(len(found), len(found), squeeze=False, sharex="col")
    for i, j in np.ndindex(axes.shape):
        if i == j:
            _draw_marginal(axes[i, i], found[i], is_upright=True)
            axes[i, i].set_yticks([])
        elif i > j:
            _draw_pair(axes[i, j], found[j], found[i], max_rows)
        else:
            axes[i, j].set_axis_off()
    _label_pairs(axes, found)
    _name_colours(figure, labels)
    set_title(figure, of_columns(title, "", len(found), total))
    return finish(figure, path)


def _two_colours():
    """Blue and orange."""
    return COLOURS[:2]


def _name_colours(figure, labels):
    from matplotlib.patches import Patch

    handles = [Patch(color=c, label=n) for c, n in zip(_two_colours(), labels, strict=True)]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)


def _draw_marginal(axis, column, is_upright=False):
    if any(len(values) == 0 for values in column.seen):
        axis.text(0.5, 0.5, "no values", transform=axis.transAxes, ha="center", va="center")
        axis.set(xticks=[], yticks=[])
    elif column.classes is None:
        _draw_histograms(axis, column)
    else:
        _draw_bars(axis, column, is_upright)


def _draw_histograms(axis, column, bins=24):
    edges = _edges(np.concatenate(column.seen), bins)
    styles = ({"fill": True, "alpha": 0.45}, {"linewidth": 1.6})
    for values, colour, style in zip(column.seen, _two_colours(), styles, strict=True):
        shares = np.histogram(values, edges)[0] / len(values)
        axis.stairs(shares, edges, color=colour, **style)
    _mark(axis.xaxis, column)
    _mark_shares(axis.yaxis)


def _edges(values, bins):
    """Edges of bins; bins of whole numbers hold equally many of these."""
    if np.any(values % 1 != 0):
        return np.histogram_bin_edges(values, bins)
    low, high = np.min(values) - 0.5, np.max(values) + 0.5
    width = max(1.0, np.ceil((high - low) / bins))
    return low + width * np.arange(np.ceil((high - low) / width) + 1)


def _draw_bars(axis, column, is_upright):
    for values, colour, shift in zip(column.seen, _two_colours(), (-0.2, 0.2), strict=True):
        places = np.arange(len(column.classes))
        shares = [np.mean(values == place) for place in places]
        draw = axis.bar if is_upright else axis.barh
        draw(places + shift, shares, 0.4, color=colour)
    if is_upright:
        _mark(axis.xaxis, column)
        return
    _mark(axis.yaxis, column)
    axis.invert_yaxis()
    _mark_shares(axis.xaxis)


def _mark(axis, column):
    """Marks an axis with the classes, the dates or a few numbers of a column."""
    from matplotlib import dates, ticker

    if column.classes is not None:
        is_wide = len(column.classes) * max(map(len, column.classes)) > 24
        angle = {"rotation": 90} if is_wide and axis.axis_name == "x" else {}
        axis.set_ticks(range(len(column.classes)), column.classes, fontsize=8, **angle)
    elif column.is_date:
        locator = dates.AutoDateLocator(minticks=2, maxticks=4)
        axis.set_major_locator(locator)
        axis.set_major_formatter(dates.ConciseDateFormatter(locator))
    else:
        axis.set_major_locator(ticker.MaxNLocator(3))


def _mark_shares(axis):
    from matplotlib import ticker

    axis.set_major_locator(ticker.MaxNLocator(4, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(lambda share, _: f"{100 * share:.3g}%")


def _draw_pair(axis, beside, below, max_rows):
    """Points of two colours in a random order, so that neither colour covers the other."""
    rng = np.random.default_rng(0)
    points, colours = [], []
    for x, y, colour in zip(beside.values, below.values, _two_colours(), strict=True):
        points.append(np.stack([_spread(x, beside, rng), _spread(y, below, rng)], 1)[:max_rows])
        colours += [colour] * len(points[-1])
    order = rng.permutation(len(colours))
    x, y = np.concatenate(points)[order].T
    axis.scatter(x, y, s=7, c=np.array(colours)[order], alpha=0.5, linewidths=0)
    _mark(axis.xaxis, beside)
    _mark(axis.yaxis, below)


def _spread(values, column, rng):
    return values if column.classes is None else values + rng.uniform(-0.25, 0.25, len(values))


def _label_pairs(axes, found):
    """Names the columns at the left and at the bottom, where alone the axes have numbers."""
    for i, column in enumerate(found):
        axes[-1, i].set_xlabel(shortened(column.name, 22))
        if i:
            axes[i, 0].set_ylabel(shortened(column.name, 22))
        for j in range(1, i):
            axes[i, j].tick_params(labelleft=False)
