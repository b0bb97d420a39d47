"""Parts given by name, as Keras takes losses and optimizers: `likelihood="bernoulli"`."""

import inspect
import re
from types import ModuleType
from typing import Any

from keras_vae.part import Part

_BASES = {"Likelihood", "Posterior", "Prior", "Penalty", "Quantizer", "Flow"}


def by_name(name: Any, parts: ModuleType, argument: str) -> Any:
    """Returns the part that a name stands for.

    Args:
        name: the name of a class in snake case, such as "standard_normal". Anything that is not a
            string is returned as it is.
        parts: the module of the classes, such as `keras_vae.priors`.
        argument: the name of the argument, for messages.

    Returns:
        A new part, made without arguments.

    Raises:
        ValueError: if there is no such part, or it cannot be made without arguments.

    Example: `by_name("bernoulli", likelihoods, "likelihood")`.
    """
    if not isinstance(name, str):
        return name
    known = part_classes(parts)
    part = known.get(snake_case(name))
    if part is None:
        raise ValueError(
            f"`{argument}` must be a part or the name of one that needs no arguments, which are "
            f"{', '.join(k for k, c in known.items() if not _needed(c))}. "
            f"Received: {argument}={name!r}"
        )
    if _needed(part):
        raise ValueError(
            f"`{argument}` must be given as an object, `{_last(parts)}.{part.__name__}(…)`, "
            f"because that part needs {', '.join(_needed(part))}. Received: {argument}={name!r}"
        )
    return part()


def part_classes(module: ModuleType) -> dict[str, type]:
    """Returns the classes of parts that a module offers, by their names in snake case."""
    offered = [getattr(module, name) for name in getattr(module, "__all__", vars(module))]
    return {
        snake_case(c.__name__): c
        for c in offered
        if isinstance(c, type) and issubclass(c, Part) and _is_offered(c, module)
    }


def _is_offered(part, module):
    hidden = part.__name__.startswith("_") or part.__name__ in _BASES
    return part.__module__.startswith(module.__name__) and not hidden


def snake_case(name: str) -> str:
    """Returns "standard_normal" for "StandardNormal", and "elbo" for "ELBO"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _needed(part):
    """Returns the names of the arguments without which a part cannot be made."""
    parameters = list(inspect.signature(part.__init__).parameters.values())[1:]
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.default is p.empty and p.kind not in variable]


def _last(module):
    return module.__name__.rpartition(".")[2]
