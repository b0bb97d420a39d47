"""The strangest rows of a table, cell by cell."""

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_vae.plotting.columns import numbers_of, of_columns, read, shortened, text_of, values_of
from keras_vae.plotting.style import finish, new_figure, set_title, styled
from keras_vae.typing import FilePath

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
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
    figure = new_figure(max(width, 6.2), height, layout="constrained")
    axis = figure.subplots()
    _draw_cells(figure, axis, strangeness, texts)
    names = [shortened(table["columns"][column], 24) for column in shown]
    axis.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(len(strangeness)), [shortened(row, 16) for row in table["rows"]])
    axis.set_ylabel("row")
    set_title(figure, of_columns(title, "", len(shown), len(table["columns"])))
    return finish(figure, path)


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
    frame = read(scores)
    raw = np.stack([numbers_of(frame[name]) for name in frame.columns], axis=1)
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


def _standardised(scores):
    """Standard deviations above the mean of each column; 0 in a column whose scores are equal."""
    spread = np.nanstd(scores, axis=0)
    return (scores - np.nanmean(scores, axis=0)) / np.where(spread > 0, spread, 1.0)


def _texts(values, names, count):
    """What to write in the cells of the columns: their values, or nothing at gaps."""
    frame = read(values)
    absent = [name for name in names if name not in frame.columns]
    if absent or len(frame) != count:
        raise ValueError(
            f"`values` must have the columns and the {count} rows of `scores`, to be written in "
            f"their cells. Received: {len(frame)} rows, without the columns {absent}"
        )
    return np.stack([_texts_of(frame[name]) for name in names], axis=1)


def _texts_of(series):
    from keras_vae.tables import frames

    values, observed = values_of(series)
    if frames.is_date(series):
        values = np.array([str(np.datetime64(int(seconds), "s"))[:10] for seconds in values])
    return np.array([text_of(v) if seen else "" for v, seen in zip(values, observed, strict=True)])


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
