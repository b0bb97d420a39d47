"""The course of the training."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_vae.plotting.style import finish, new_figure, set_title, styled
from keras_vae.typing import FilePath

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
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
    figure = new_figure(3.2 * len(names), 2.6, layout="constrained")
    for axis, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
        for key, label in ((name, "training"), (f"val_{name}", "validation")):
            if key in history:
                epochs = np.arange(1, len(history[key]) + 1)
                axis.plot(epochs, history[key], marker="o", markersize=3, label=label)
        axis.set(title=name.replace("_", " "), xlabel="epoch", ylabel="nats per example")
        axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    set_title(figure, title)
    return finish(figure, path)
