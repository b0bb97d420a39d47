"""A page that shows what a model learnt: numbers, curves, pictures, and a map or a table.

One HTML file without anything from the network. Needs `pip install "keras_vae[report]"`.
"""

import base64
import importlib.resources
import io
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_vae import evaluation, plotting, saving, validation
from keras_vae.plotting.latents import classes_of
from keras_vae.typing import FilePath

if TYPE_CHECKING:
    from keras_vae.model import VAE

_SHOWN = 12  # originals, and columns of samples
_SEQUENCES = 6  # originals and samples
_STRIPS = 32  # latent dimensions with a traversal
_STEPS = 11  # tiles of a traversal
_MAP = 20  # tiles along each axis of the map
_POINTS = 1500  # codes on the map
_ROWS = 15  # strangest rows of a table
_SATURATED = 6.0  # standard deviations at which the colour of a cell is full
_MEANINGS = {
    "log_likelihood": "log p(x), a bound by importance sampling with {draws} draws of each of the "
    "first {scored} examples; higher is better",
    "bits_per_dim": "the same as bits for each number of an example; lower is better",
    "elbo": "evidence lower bound, from one draw; higher is better",
    "reconstruction_loss": "-log p(x|z): what the code does not tell",
    "kl_loss": "KL(q(z|x) ‖ p(z)): the length of the code",
    "mutual_information": "part of the KL: what the code tells of the example (at most log N)",
    "total_correlation": "part of the KL: the dependence between latent dimensions",
    "dimension_wise_kl": "part of the KL: each dimension's distance from the prior",
}
_NAMES = {"elbo": "ELBO", "kl_loss": "KL", "dimension_wise_kl": "dimension-wise KL"}


def write(
    path: FilePath,
    vae: "VAE",
    x: np.ndarray,
    labels: Sequence[Any] | np.ndarray | None = None,
    class_names: Sequence[str] | None = None,
    history: Mapping[str, Sequence[float]] | None = None,
    num_samples: int = 100,
    title: str = "VAE",
) -> dict[str, Any]:
    """Writes the page.

    Args:
        path: file to write, such as "report.html".
        vae: a `VAE` without a condition. For a `TableVAE` the page shows the kinds of the columns,
            the values of real and of generated rows, and the strangest rows cell by cell.
        x: (N, …) test examples, or a frame of a `TableVAE`; up to 10,000 are looked at.
        labels: (N,) classes, to colour codes on the map: integers, texts or other values.
        class_names: names of the classes 0, 1, …, for labels that are integers.
        history: dict of lists, as `fit(…).history`, for the curves.
        num_samples: draws for the log-likelihood, of the first 1,000 examples.
        title: of the page.

    Returns:
        A dict of the numbers on the page.

    Raises:
        ValueError: if the model takes a condition.

    Example: `keras_vae.report.write("report.html", vae, x_test, y_test)`.
    """
    jinja2 = validation.optional("jinja2", "report", "Reports")
    if vae.condition_dim:
        raise ValueError(
            "`vae` must be a model without a condition, because the page draws from one "
            f"distribution. Received: a model with a condition of length {vae.condition_dim}"
        )
    x = x[:10_000] if _is_table(vae, x) else np.asarray(x[:10_000])
    numbers = _numbers(vae, x, num_samples)
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    source = importlib.resources.files("keras_vae").joinpath("report.html").read_text("utf-8")
    page = environment.from_string(source).render(
        title=title,
        colours=_colours(),
        facts=_facts(vae, x),
        rows=_rows(numbers, min(len(x), 1000), num_samples),
        active=numbers["active_units"],
        curves=_curves(history),
        pictures=_pictures(vae, x),
        dimensions=_dimensions(vae, x, numbers.get("kl_per_dimension")),
        map=_map(vae, x, labels, class_names),
        table=_table(vae, x),
    )
    with saving.atomic(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(page)
    return numbers


def _is_table(vae, x):
    """Whether x is a frame that the model takes."""
    from keras_vae.tables import TableVAE, frames  # imports the models, which import this file

    return isinstance(vae, TableVAE) and frames.is_frame(x)


def _numbers(vae, x, num_samples):
    log_prob = vae.log_likelihood(x[:1000], num_samples=num_samples)
    numbers = {"log_likelihood": float(np.mean(log_prob))}
    if not _is_table(vae, x):
        numbers["bits_per_dim"] = float(np.mean(evaluation.bits_per_dim(log_prob, x.shape[1:])))
    return numbers | vae.diagnose(x)


def _rows(numbers, scored, draws):
    """(name, value, unit, meaning) of each number with one."""
    return [
        {
            "name": _NAMES.get(key, key.replace("_", " ")),
            "value": f"{numbers[key]:.2f}",
            "unit": "bits" if key == "bits_per_dim" else "nats",
            "meaning": meaning.format(draws=draws, scored=f"{scored:,}"),
        }
        for key, meaning in _MEANINGS.items()
        if key in numbers
    ]


def _facts(vae, x):
    parts = ("posterior", "prior", "likelihood", "objective")
    shape = " x ".join(map(str, x.shape[1:]))
    of_what = f"rows of {shape} columns" if _is_table(vae, x) else f"of shape {shape}"
    return {
        "examples": f"{len(x):,} {of_what}",
        "latent dimensions": vae.posterior.latent_dim,
        "parameters": f"{vae.count_params():,}",
        **{name: type(getattr(vae, name)).__name__ for name in parts},
    }


def _curves(history):
    if not history:
        return None
    return _figure(plotting.loss_curves(history))


def _pictures(vae, x):
    """(heading, description, image, whether it is of pixels) of examples and of samples."""
    if plotting.is_image(x.shape[1:]):
        return _images(vae, x)
    return _sequences(vae, x) if len(x.shape) == 3 else []


def _images(vae, x):
    originals = x[:_SHOWN]
    samples = vae.generate(4 * _SHOWN, seed=0)
    return [
        ("Originals", f"{len(originals)} test examples", _tiles(originals, _SHOWN), True),
        (
            "Reconstructions",
            "the same after coding",
            _tiles(vae.predict(originals, verbose=0)),
            True,
        ),
        ("Samples", f"{len(samples)} draws from the prior", _tiles(samples), True),
    ]


def _sequences(vae, x):
    originals, samples = x[:_SEQUENCES], vae.generate(_SEQUENCES, sample=True, seed=0)
    drawn = plotting.sequences(originals, vae.predict(originals, verbose=0), title=None)
    return [
        ("Sequences", "test examples, and the same after coding", _figure(drawn), False),
        (
            "Samples",
            "new sequences, of codes drawn from the prior",
            _figure(plotting.sequences(samples, title=None)),
            False,
        ),
    ]


def _dimensions(vae, x, kl):
    """Dimensions in falling order of KL, with the pictures of a walk along each."""
    if kl is None:
        return []
    order = np.argsort(-kl)
    strips = {}
    if plotting.is_image(x.shape[1:]):
        values = np.linspace(-3.0, 3.0, _STEPS)
        code = np.median(vae.encode(x), axis=0)
        for i in order[:_STRIPS]:
            walk = np.repeat(code[None], _STEPS, axis=0)
            walk[:, i] = values
            strips[i] = _tiles(vae.decode(walk), _STEPS)
    scale = max(float(kl.max()), 1e-9)
    return [
        {
            "number": i + 1,
            "kl": f"{kl[i]:.2f}",
            "percent": f"{100 * max(0.0, kl[i]) / scale:.1f}",
            "strip": strips.get(i),
        }
        for i in order
    ]


def _map(vae, x, labels, class_names):
    """What the page needs to explore a two-dimensional latent space of images; or None."""
    if vae.posterior.latent_dim != 2 or not plotting.is_image(x.shape[1:]):
        return None
    normal = statistics.NormalDist()
    axis = [normal.inv_cdf((i + 0.5) / _MAP) for i in range(_MAP)]
    z1, z2 = np.meshgrid(axis, axis[::-1])
    codes = vae.encode(x[:_POINTS])
    names: list[str] = []
    classes = np.zeros(len(codes), int)
    if labels is not None:
        names, classes = classes_of(labels, class_names)
    places = 100 * np.vectorize(normal.cdf)(codes)
    return {
        "image": _tiles(vae.decode(np.stack([z1.ravel(), z2.ravel()], 1)), _MAP),
        "ratio": x.shape[2] / x.shape[1],
        "steps": _MAP,
        "axis": [round(value, 2) for value in axis],
        "points": [
            (f"{u:.1f}", f"{100 - v:.1f}", int(c) % 10)
            for (u, v), c in zip(places, classes[: len(codes)], strict=True)
        ],
        "names": [(c % 10, names[c]) for c in np.unique(classes[: len(codes)]) if names],
    }


def _table(vae, x):
    """What the page shows of a table: its columns, real and new rows, the strangest rows."""
    if not _is_table(vae, x):
        return None
    rows = vae.generate(max(len(x), 100), seed=0)
    found = plotting.strangest_cells(vae.explain(x), x, _ROWS)
    shades = np.clip(np.nan_to_num(found["strangeness"]) / _SATURATED, 0.0, 1.0)
    return {
        "columns": [(n, type(k).__name__, k.describe()) for n, k in vae.table.columns.items()],
        "marginals": _figure(plotting.marginals(x, rows, max_columns=40, title=None)),
        "names": found["columns"],
        "rows": [
            (row, [_cell(*cell) for cell in zip(texts, strangeness, own, strict=True)])
            for row, texts, strangeness, own in zip(
                found["rows"], found["texts"], found["strangeness"], shades, strict=True
            )
        ],
    }


def _cell(text, strangeness, shade):
    """A cell of the strangest rows: its text, its score for a tooltip, and its colours."""
    return {
        "text": text,
        "score": "a gap" if np.isnan(strangeness) else f"{strangeness:+.1f} standard deviations",
        "shade": f"{shade:.2f}",
        "is_dark": bool(shade > 0.6),
    }


def _tiles(images, columns=_SHOWN):
    """Images side by side as a PNG in a data URL."""
    from PIL import Image

    images = np.round(255 * np.clip(images, 0, 1)).astype("uint8")
    blank = np.full((-len(images) % columns, *images.shape[1:]), 255, "uint8")
    grid = plotting.mosaic(np.concatenate([images, blank]), columns)
    if grid.shape[-1] == 1:
        grid = grid.squeeze(-1)
    return _url(lambda file: Image.fromarray(grid).save(file, "png", optimize=True))


def _colours():
    """The ten of the other pictures, for the page."""
    from matplotlib.colors import to_hex

    return [to_hex(plotting.figure_colours()(i)) for i in range(10)]


def _figure(figure):
    return _url(lambda file: figure.savefig(file, format="png", dpi=130, facecolor="white"))


def _url(save):
    file = io.BytesIO()
    save(file)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
