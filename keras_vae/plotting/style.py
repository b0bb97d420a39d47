"""The style of all pictures: figures, colours, titles, and how they are saved."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec

from keras_vae import saving, validation
from keras_vae.typing import FilePath

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = 0.3
"""Inches, the height of a title above a grid."""
COLOURS = (
    *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
    *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadb"),
)
"""Ten colours that people with any colour vision can tell apart.

Reference: Petroff, Accessible Color Sequences for Data Visualization (arXiv:2107.02270).
"""
_SIZE = 0.7  # inches, of one image in a grid
_STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_P = ParamSpec("_P")


def styled(draw: Callable[_P, "Figure"]) -> Callable[_P, "Figure"]:
    """Draws in our style, and leaves the user's own settings of matplotlib as they are."""

    @functools.wraps(draw)
    def in_our_style(*args: _P.args, **kwargs: _P.kwargs) -> "Figure":
        matplotlib = validation.optional("matplotlib", "plot", "Pictures")
        with matplotlib.rc_context(_STYLE | {"axes.prop_cycle": _cycle()}):
            return draw(*args, **kwargs)

    return in_our_style


def _cycle():
    from cycler import cycler  # a dependency of matplotlib

    return cycler(color=COLOURS)


def figure_colours() -> Any:
    """Returns a colour map of ten colours that people with any colour vision can tell apart."""
    from matplotlib.colors import ListedColormap

    return ListedColormap(COLOURS)


def new_figure(width: float, height: float, **options: Any) -> "Figure":
    """Returns a figure of a size in inches, which no window shows."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), **options)


def grid(rows: int, columns: int, left: float = 0.0, top: float = 0.0) -> tuple["Figure", Any]:
    """Returns a figure of square cells, and their axes (rows, columns).

    Args:
        rows, columns: how many cells.
        left, top: inches, the room for labels at the left and the top.
    """
    edge = 0.02
    width, height = columns * _SIZE + left + 2 * edge, rows * _SIZE + top + 2 * edge
    figure = new_figure(width, height)
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


def label(axis: Any, text: str, distance: float = 0.12) -> None:
    """Writes a text at the left of an axis."""
    axis.text(-distance, 0.5, text, transform=axis.transAxes, ha="right", va="center")


def set_title(figure: "Figure", title: str | None) -> None:
    """Writes a title above all of a figure, if there is one."""
    if title:
        figure.suptitle(title, fontsize=10)


def finish(figure: "Figure", path: FilePath | None) -> "Figure":
    """Saves a figure if there is a path, and returns it."""
    if path is not None:
        with saving.atomic(path) as temporary:
            figure.savefig(
                temporary, dpi=150, facecolor="white", bbox_inches="tight", pad_inches=0.08
            )
    return figure
