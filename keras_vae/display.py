"""How models and parts are shown: `repr`, and the diagram of a model in a notebook."""

import functools
import html
import inspect
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np

if TYPE_CHECKING:
    from keras_vae.model import VAE

_LONGEST = 120  # letters of an argument


_OFFERED = {
    *("compile", "count_params", "evaluate", "export", "fit", "get_layer", "get_weights", "layers"),
    *("load_weights", "metrics", "metrics_names", "name", "optimizer", "predict", "quantize"),
    *("predict_on_batch", "save", "save_weights", "set_weights", "summary", "test_on_batch"),
    *("train_on_batch", "trainable", "trainable_variables", "trainable_weights", "weights"),
}
"""What completion offers of `keras.Model`."""
_OF_THE_STEP = {
    *("after_constructor", "bad_examples", "batch_shapes", "build", "check_jit", "check_strategy"),
    *("data_spec", "encoder_fills_missing", "encoder_takes_condition", "decoder_takes_condition"),
    *("iteration_snapshot", "non_finite_kl", "optimizer_step", "prepare", "prepare_fit"),
    *("is_chief", "prepare_first_step", "strategy", "strategy_scope", "supports_jit"),
    *("unrolled_steps_per_execution", "warned_of_unusual_values"),
}
"""What the library itself calls in training."""


class _Step(NamedTuple):
    role: str
    text: str
    weights: int | None


def call(instance: Any, names: list[str]) -> str:
    """Returns an object as the call that makes it, such as `Normal(scale='optimal')`.

    Arguments that have their default are left out.

    Args:
        instance: the object.
        names: the names of its arguments, which it keeps in attributes of the same names.

    Returns:
        The text.
    """
    defaults = _defaults(type(instance))
    values = {name: getattr(instance, name) for name in names if hasattr(instance, name)}
    shown = {
        n: v for n, v in values.items() if not _is_same(v, defaults.get(n, inspect.Parameter.empty))
    }
    return f"{type(instance).__name__}({', '.join(f'{n}={_text(v)}' for n, v in shown.items())})"


def _defaults(cls):
    """The defaults of all constructors of a class by argument, those of the class itself first."""
    found: dict[str, Any] = {}
    for owner in reversed(cls.__mro__):
        if "__init__" in vars(owner):
            parameters = inspect.signature(owner.__init__).parameters.values()
            found |= {p.name: p.default for p in parameters if p.default is not p.empty}
    return found


def _is_same(value, default):
    """Whether a value is the default; arrays and objects of different kinds are not."""
    if value is default:
        return True
    plain = (bool, int, float, str, tuple, list)
    return isinstance(value, plain) and isinstance(default, plain) and value == default


def _text(value):
    """An argument as it could be written, if it is short."""
    if isinstance(value, np.ndarray) or keras.ops.is_tensor(value):
        return f"<array {tuple(value.shape)}>"
    if isinstance(value, keras.Variable):
        return f"<variable {tuple(value.shape)}>"
    if isinstance(value, keras.Model):
        return f"<{type(value).__name__} {value.name!r}>"
    if isinstance(value, (list, tuple)):
        inner = ", ".join(map(_text, value))
        text = f"[{inner}]" if isinstance(value, list) else f"({inner}{',' * (len(value) == 1)})"
    else:
        text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


@functools.cache
def not_offered() -> frozenset[str]:
    """Returns the public attributes of a model that completion leaves out.

    Private ones stay, because Keras goes through `dir` as it saves; shells hide them.
    """
    of_keras = {name for name in dir(keras.Model(name="any")) if not name.startswith("_")}
    return frozenset((of_keras - _OFFERED) | _OF_THE_STEP)


def text_of(vae: "VAE") -> str:
    """Returns a model in lines: what an example goes through, with shapes and numbers of weights.

    Args:
        vae: the model.

    Returns:
        The text that `repr(vae)` is.
    """
    steps = _steps(vae)
    width = max(len(step.role) for step in steps)
    lines = [f"  {step.role:{width}}  {step.text}{_counted(step.weights)}" for step in steps]
    return "\n".join([_heading(vae), *lines])


def html_of(vae: "VAE") -> str:
    """Returns the diagram of a model for a notebook.

    Args:
        vae: the model.

    Returns:
        HTML that needs nothing but the notebook, in light or dark.
    """
    arrow = '<span style="align-self: center">→</span>'
    path = [step for step in _steps(vae) if step.role in _PATH]
    others = [step for step in _steps(vae) if step.role not in _PATH]
    return (
        f'<div style="font-family: sans-serif; font-size: 13px"><b>{html.escape(_heading(vae))}</b>'
        '<div style="display: flex; flex-wrap: wrap; gap: 6px; margin: 6px 0">'
        f"{arrow.join(map(_box, path))}</div>"
        '<div style="display: flex; flex-wrap: wrap; gap: 6px">'
        f"{''.join(map(_box, others))}</div></div>"
    )


_PATH = ("x", "encoder", "posterior", "z", "decoder", "likelihood", "target")


def _box(step):
    counted = "" if not step.weights else f"<br><small>{step.weights:,} weights</small>"
    return (
        '<span style="border: 1px solid currentColor; border-radius: 4px; padding: 3px 8px; '
        'max-width: 24em; overflow-wrap: anywhere">'
        f"<small>{html.escape(step.role)}</small><br>{html.escape(step.text)}{counted}</span>"
    )


def _heading(vae):
    return f"{type(vae).__name__} {vae.name!r} with {_count(vae):,} weights"


def _steps(vae):
    """What an example goes through from x to the likelihood, then prior, objective, penalties."""
    parts = {name: getattr(vae, name) for name in ("posterior", "likelihood", "prior", "objective")}
    part = {name: _Step(name, repr(own), _count(own)) for name, own in parts.items()}
    return [
        _Step("x", _shape(vae, "x_shape"), None),
        _Step("encoder", _network(vae.encoder), _count(vae.encoder)),
        part["posterior"],
        _Step("z", str((vae.latent_dim,)), None),
        _Step("decoder", _network(vae.decoder), _count(vae.decoder)),
        part["likelihood"],
        _Step("target", _shape(vae, "target_shape"), None),
        part["prior"],
        part["objective"],
        *(_Step("penalty", repr(own), _count(own)) for own in vae.penalties),
    ]


def _shape(vae, name):
    return str(tuple(getattr(vae, name))) if vae.built else "not known before the first batch"


def _network(network):
    return f"{type(network).__name__} {network.name!r}"


def _count(layer):
    """The number of weights of a layer, without single numbers that are not trained.

    Those are coefficients such as beta.
    """
    weights = getattr(layer, "weights", ())
    shapes = [tuple(weight.shape) for weight in weights if weight.trainable or len(weight.shape)]
    return sum(map(math.prod, shapes))


def _counted(count):
    return f", {count:,} weights" if count else ""
