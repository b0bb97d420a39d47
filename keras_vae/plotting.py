"""Pictures: every function returns a matplotlib figure, and saves it where `path` is given."""

import collections
import dataclasses
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
_TITLE = 0.3  # inches, the height of a title above a grid
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
    originals: Tensor,
    reconstructed: Tensor,
    path: FilePath | None = None,
    max_columns: int = 10,
    title: str | None = "Images and their reconstructions",
) -> "Figure":
    """Draws originals over their reconstructions.

    Args:
        originals, reconstructed: images (N, H, W, C) in [0, 1] or uint8, C of 1 or 3.
        path: file to save to, such as "reconstructions.png".
        max_columns: how many of the images to show.
        title: title of the figure, or None.

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
    figure, axes = _grid(2, len(rows[0]), left=0.9, top=_TITLE if title else 0.0)
    for line, images, label in zip(axes, rows, ("original", "reconstruction"), strict=True):
        _label(line[0], label)
        for axis, image in zip(line, images, strict=True):
            _show(axis, image)
    _set_title(figure, title)
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
        title: title of the figure, or None.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: if these are no images.
    """
    images = _images(images, "images")
    columns = columns or int(np.ceil(np.sqrt(len(images))))
    figure, axes = _grid(-(-len(images) // columns), columns, top=_TITLE if title else 0.0)
    for axis, image in zip(axes.flat, images, strict=False):
        _show(axis, image)
    _set_title(figure, title)
    return _finish(figure, path)


@_styled
def loss_curves(
    history: Mapping[str, Sequence[float]],
    path: FilePath | None = None,
    title: str | None = "Loss and its parts after each epoch",
) -> "Figure":
    """Draws one panel for each log, training and validation, over epochs.

    Args:
        history: dict of lists, as `fit(…).history`.
        path: file to save to.
        title: title of the figure, or None.

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
    _set_title(figure, title)
    return _finish(figure, path)


@_styled
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
        title=title or "",
    )
    return _finish(figure, path)


@_styled
def latent_scatter(
    codes: np.ndarray,
    labels: Sequence[Any] | np.ndarray | None = None,
    path: FilePath | None = None,
    class_names: Sequence[str] | None = None,
    title: str | None = "Codes of the examples",
) -> "Figure":
    """Draws codes of two latent dimensions, coloured by class.

    Args:
        codes: NumPy array (N, 2).
        labels: classes, (N,).
        path: file to save to.
        class_names: names of the classes 0, 1, ….
        title: title of the figure, or None.

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
    axis.set(xlabel="$z_1$", ylabel="$z_2$", aspect="equal", title=title or "")
    axis.grid(alpha=0.3)
    return _finish(figure, path)


@_styled
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
    """
    code, values = np.asarray(code, "float32").ravel(), np.linspace(-span, span, steps)
    codes = np.repeat(code[None], len(code) * steps, axis=0)
    for i in range(len(code)):
        codes[i * steps : (i + 1) * steps, i] = values
    images = _images(decode(codes), "decode")
    figure, axes = _grid(len(code), steps, left=0.4, top=0.25 + (_TITLE if title else 0.0))
    for axis, image in zip(axes.flat, images, strict=True):
        _show(axis, image)
    for i, line in enumerate(axes):
        line[0].text(
            -0.15, 0.5, f"$z_{{{i + 1}}}$", transform=line[0].transAxes, ha="right", va="center"
        )
    for axis, value in zip(axes[0], values, strict=True):
        axis.set_title(f"{value:+.1f}", fontsize=8, pad=3)
    _set_title(figure, title)
    return _finish(figure, path)


@_styled
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
    columns = _columns(real, generated)
    shown = columns[:max_columns]
    across = min(4, len(shown))
    down = -(-len(shown) // across)
    figure = _figure(max(2.4 * across, 4.0), 1.8 * down + 0.7, layout="constrained")
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
    for axis, column in zip(axes, shown, strict=False):
        _draw_marginal(axis, column)
        axis.set_title(_shortened(column.name, 28), fontsize=9)
    _name_colours(figure, labels)
    _set_title(figure, _of_columns(title, "the first ", len(shown), len(columns)))
    return _finish(figure, path)


@_styled
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
    found = _columns(real, generated, columns)
    total = len(found)
    if columns is None:
        found = sorted(found, key=lambda column: column.classes is not None)[:max_columns]
    side = max(2.0 * len(found), 3.6)
    figure = _figure(side, side + 0.5, layout="constrained")
    axes = figure.subplots(len(found), len(found), squeeze=False, sharex="col")
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
    _set_title(figure, _of_columns(title, "", len(found), total))
    return _finish(figure, path)


@_styled
def cell_scores(
    scores: Any,
    values: Any = None,
    path: FilePath | None = None,
    max_rows: int = 15,
    max_columns: int = 12,
    title: str | None = "Strangest rows: the score of each cell, relative to its column",
) -> "Figure":
    """Draws a heat map of the scores of cells, for the rows whose scores have the highest sums.

    Columns cannot be compared in nats. A cell is therefore coloured by how many standard deviations
    its score lies above the mean score of its column. Gaps are grey.

    Args:
        scores: frame of `vae.explain(df)`.
        values: the frame `df` itself, whose values are then written in the cells; by default the
            numbers that the colours stand for are.
        path: file to save to.
        max_rows: how many rows to show.
        max_columns: how many columns to show: those with the highest scores in these rows.
        title: title of the figure, or None.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: if these are no frames, or `values` has other rows or lacks a column.

    Example: `figure = keras_vae.plotting.cell_scores(vae.explain(df), df)`.
    """
    table = strangest_cells(scores, values, max_rows)
    highest = np.max(np.nan_to_num(table["strangeness"], nan=-np.inf), axis=0)
    shown = np.sort(np.argsort(-highest, kind="stable")[:max_columns])
    strangeness, texts = table["strangeness"][:, shown], table["texts"][:, shown]
    width, height = 1.9 + 0.64 * len(shown), 2.2 + 0.29 * len(strangeness)
    figure = _figure(max(width, 6.2), height, layout="constrained")
    axis = figure.subplots()
    _draw_cells(figure, axis, strangeness, texts)
    names = [_shortened(table["columns"][column], 24) for column in shown]
    axis.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(len(strangeness)), [_shortened(row, 16) for row in table["rows"]])
    axis.set_ylabel("row")
    _set_title(figure, _of_columns(title, "", len(shown), len(table["columns"])))
    return _finish(figure, path)


def strangest_cells(scores: Any, values: Any = None, max_rows: int = 15) -> dict[str, Any]:
    """Returns the rows whose cells have the highest scores, as `cell_scores` draws them.

    Args:
        scores, values, max_rows: as for `cell_scores`.

    Returns:
        Dict of `columns` and `rows`, their names; `texts`, array (R, F) of what to write in a cell;
        and `strangeness`, array (R, F), how many standard deviations the score of a cell lies above
        the mean of its column, NaN at gaps.

    Raises:
        ValueError: as `cell_scores` does.

    Example: `keras_vae.plotting.strangest_cells(vae.explain(df), df)["rows"]`.
    """
    frame = _read(scores)
    raw = np.stack([_numbers_of(frame[name]) for name in frame.columns], axis=1)
    rows = np.argsort(-np.nansum(raw, axis=1), kind="stable")[:max_rows]
    strangeness = _standardised(raw)[rows]
    texts = np.array(
        [["" if np.isnan(v) else f"{np.round(v, 1) + 0.0:.1f}" for v in row] for row in strangeness]
    )
    if values is not None:
        texts = _texts(values, frame.columns, len(raw))[rows]
    names = list(getattr(scores, "index", range(len(raw))))
    return {
        "columns": list(frame.columns),
        "rows": [str(names[row]) for row in rows],
        "texts": texts,
        "strangeness": strangeness,
    }


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


@dataclasses.dataclass
class _Column:
    """A column of two frames as numbers: dates in days, classes by their position."""

    name: str
    values: list[np.ndarray]
    classes: list[str] | None = None
    is_date: bool = False

    @property
    def seen(self) -> list[np.ndarray]:
        """Returns the values of the two frames without their gaps."""
        return [values[~np.isnan(values)] for values in self.values]


_CLASSES = 8  # bars of a column; others are counted together
_WHOLE = 12  # different whole numbers, at most, that are drawn as classes


def _read(frame):
    from keras_vae.tables import frames  # imports the models, which import this file

    return frames.read(frame)


def _values_of(series):
    """The values of a column, and which of them are observed."""
    from keras_vae.tables import frames

    return frames.values_of(series)


def _numbers_of(series):
    """A column of numbers with NaN at its gaps."""
    values, observed = _values_of(series)
    return np.where(observed, np.where(observed, values, 0.0).astype("float64"), np.nan)


def _columns(real, generated, chosen=None):
    """The columns that both frames have, or the chosen ones."""
    real, generated = _read(real), _read(generated)
    names = [name for name in real.columns if name in generated.columns]
    absent = [name for name in chosen or () if name not in names]
    if not names or absent:
        raise ValueError(
            "`generated` must have columns of `real`, because columns are compared by name. "
            f"Received: columns {list(real.columns)} and {list(generated.columns)}"
            + (f", of which not both have {absent}" if absent else "")
        )
    return [_column(name, real[name], generated[name]) for name in chosen or names]


def _column(name, real, generated):
    from keras_vae.tables import frames

    columns = [_values_of(real), _values_of(generated)]
    if frames.is_date(real) and frames.is_date(generated):
        days = [np.where(seen, values / frames.DAY, np.nan) for values, seen in columns]
        return _Column(name, days, is_date=True)
    if any(values.dtype.kind == "O" for values, _ in columns):
        return _column_of_classes(name, columns, _by_frequency(*columns[0]))
    different = np.unique(columns[0][0][columns[0][1]])
    if len(different) <= _WHOLE and np.all(different % 1 == 0):
        return _column_of_classes(name, columns, [_text(value) for value in different])
    return _Column(name, [np.where(seen, values, np.nan) for values, seen in columns])


def _by_frequency(values, observed):
    """The classes that occur most often, the most frequent one first."""
    counts = collections.Counter(_text(value) for value in values[observed])
    classes = [text for text, _ in counts.most_common(_CLASSES)]
    return [*classes, "others"] if len(counts) > _CLASSES else classes


def _column_of_classes(name, columns, classes):
    """A column whose values became positions in `classes`, all others the one behind the last."""
    places = {text: place for place, text in enumerate(classes)}
    other = places.get("others", len(classes))
    numbers = []
    for values, seen in columns:
        found = [places.get(_text(value), other) for value in values]
        numbers.append(np.where(seen, np.array(found, "float64"), np.nan))
    if any(np.any(own == len(classes)) for own in numbers):
        classes = [*classes, "others"]
    return _Column(name, numbers, classes=classes)


def _text(value, most=12):
    """A value as it is written in pictures."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.number)):
        return _shortened(value, most)
    return f"{value:,.0f}" if abs(float(value)) >= 1e5 else f"{value:.5g}"


def _shortened(value, most):
    text = str(value)
    return text if len(text) <= most else text[: most - 1] + "…"


def _of_columns(title, which, shown, total):
    """A title that says how many columns are shown if it is not all of them."""
    return f"{title} ({which}{shown} of {total} columns)" if title and shown < total else title


def _two_colours():
    """Blue and orange, which are told apart by people who confuse red and green."""
    return figure_colours()(0), figure_colours()(1)


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
        axes[-1, i].set_xlabel(_shortened(column.name, 22))
        if i:
            axes[i, 0].set_ylabel(_shortened(column.name, 22))
        for j in range(1, i):
            axes[i, j].tick_params(labelleft=False)


def _standardised(scores):
    """Standard deviations above the mean of each column; 0 in a column whose scores are equal."""
    spread = np.nanstd(scores, axis=0)
    return (scores - np.nanmean(scores, axis=0)) / np.where(spread > 0, spread, 1.0)


def _texts(values, names, count):
    """What to write in the cells of the columns: their values, or nothing at gaps."""
    frame = _read(values)
    absent = [name for name in names if name not in frame.columns]
    if absent or len(frame) != count:
        raise ValueError(
            f"`values` must have the columns and the {count} rows of `scores`, to be written in "
            f"their cells. Received: {len(frame)} rows, without the columns {absent}"
        )
    return np.stack([_texts_of(frame[name]) for name in names], axis=1)


def _texts_of(series):
    from keras_vae.tables import frames

    values, observed = _values_of(series)
    if frames.is_date(series):
        values = np.array([str(np.datetime64(int(seconds), "s"))[:10] for seconds in values])
    return np.array([_text(v) if seen else "" for v, seen in zip(values, observed, strict=True)])


def _draw_cells(figure, axis, strangeness, texts):
    """A heat map from 0 to at most 6 standard deviations, with a text in each cell."""
    import matplotlib

    colours = matplotlib.colormaps["YlOrBr"].with_extremes(bad="#d9d9d9")
    highest = float(np.clip(np.nanmax(strangeness), 1.0, 6.0))
    image = axis.imshow(strangeness, cmap=colours, vmin=0.0, vmax=highest, aspect="auto")
    for (row, column), value in np.ndenumerate(strangeness):
        ink = "white" if value > 0.6 * highest else "black"
        axis.text(column, row, texts[row, column], color=ink, fontsize=7, ha="center", va="center")
    axis.tick_params(length=0)
    bar = figure.colorbar(image, ax=axis, extend="both", fraction=0.05, pad=0.02)
    bar.set_label("standard deviations above the mean")


def _label(axis, text):
    axis.text(-0.12, 0.5, text, transform=axis.transAxes, ha="right", va="center")


def _set_title(figure, title):
    if title:
        figure.suptitle(title, fontsize=10)


def _finish(figure, path):
    if path is not None:
        with saving.atomic(path) as temporary:
            figure.savefig(
                temporary, dpi=150, facecolor="white", bbox_inches="tight", pad_inches=0.08
            )
    return figure
