"""Recipes and likelihoods with their arguments, read from the source of `keras_vae`.

Nothing is imported for this, because the import of `keras_vae` takes seconds.
"""

import ast
import dataclasses
import functools
import importlib.util
import pathlib
import re

IN_PYTHON_ONLY = ("conditional_vae",)
"""Recipes that need more than examples: the command line has no conditions."""
_NO_RECIPES = ("fitting_networks",)
_OF_THE_DATA = ("input_shape", "frame", "dataset_size", "condition_dim")
_OPTIONS = ("latent_dim", "likelihood", "seed")
_PLAIN = re.compile(r"(int|float|str|bool|ScheduledNumber|Sequence|None|[\[\] |])+")


@dataclasses.dataclass(frozen=True)
class Entry:
    """A recipe or a likelihood.

    Attributes:
        name: what it is called on the command line.
        summary: the first line of its docstring.
        annotations: the types of all arguments, as they are written, by name.
        required: the names of those without a default.
    """

    name: str
    summary: str
    annotations: dict[str, str]
    required: tuple[str, ...]

    def takes(self, argument: str) -> bool:
        """Returns whether there is an argument of this name."""
        return argument in self.annotations

    @property
    def has_beta(self) -> bool:
        """Returns whether `beta` is the weight of the KL, which may be scheduled."""
        return self.annotations.get("beta") == "ScheduledNumber"

    @property
    def settings(self) -> dict[str, str]:
        """Returns the types of the arguments that `--set` may give, by name."""
        left_out = {*_OF_THE_DATA, *_OPTIONS, *(["beta"] if self.has_beta else [])}
        return {
            name: annotation
            for name, annotation in self.annotations.items()
            if name not in left_out and _PLAIN.fullmatch(annotation)
        }


@functools.cache
def recipes() -> dict[str, Entry]:
    """Returns the recipes by name, those of the command line and `IN_PYTHON_ONLY`."""
    found = {}
    for function in _definitions("recipes", ast.FunctionDef):
        public = not function.name.startswith("_") and function.name not in _NO_RECIPES
        if public and function.name in _exported("recipes"):
            found[function.name] = _entry(function.name, function, function)
            if function.args.kwarg:
                found[function.name].annotations["units"] = "Sequence[int] | None"
    return dict(sorted(found.items()))


@functools.cache
def likelihoods() -> dict[str, Entry]:
    """Returns the likelihoods by name."""
    classes = {node.name: node for node in _definitions("likelihoods", ast.ClassDef)}
    offered = [name for name in _exported("likelihoods") if name != "Likelihood"]
    found = [
        _entry(snake_case(name), classes[name], _constructor(name, classes)) for name in offered
    ]
    return {entry.name: entry for entry in found}


def makeable_likelihoods() -> list[str]:
    """Returns the names of the likelihoods that numbers and texts can make."""
    return [
        name
        for name, entry in likelihoods().items()
        if all(argument in entry.settings for argument in entry.required)
    ]


def makeable_recipes() -> list[str]:
    """Returns the names of the recipes that `train` can make."""
    return [name for name in recipes() if name not in IN_PYTHON_ONLY]


def snake_case(name: str) -> str:
    """Returns "log_normal" for "LogNormal"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _folder():
    """The folder of `keras_vae`, which is found without being imported."""
    spec = importlib.util.find_spec("keras_vae")
    if spec is None or spec.origin is None:
        raise ImportError("keras_vae is not installed")
    return pathlib.Path(spec.origin).parent


@functools.cache
def _trees(package):
    return [
        ast.parse(path.read_text("utf-8")) for path in sorted(_folder().glob(f"{package}/*.py"))
    ]


def _definitions(package, kind):
    return [node for tree in _trees(package) for node in tree.body if isinstance(node, kind)]


def _exported(package):
    """The names in `__all__` of a package."""
    assignments = _definitions(package, ast.Assign)
    lists = [a.value for a in assignments if getattr(a.targets[0], "id", "") == "__all__"]
    return [name for own in lists for name in ast.literal_eval(own)]


def _constructor(name, classes):
    """The constructor of a class, its own or the one that it inherits; None if there is none."""
    node = classes.get(name)
    if node is None:
        return None
    own = [f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"]
    inherited = (_constructor(base.id, classes) for base in node.bases if hasattr(base, "id"))
    return own[0] if own else next(filter(None, inherited), None)


def _entry(name, documented, function):
    summary = (ast.get_docstring(documented) or "").partition("\n")[0]
    arguments = [a for a in function.args.args if a.arg != "self"] if function else []
    annotations = {a.arg: ast.unparse(a.annotation) for a in arguments if a.annotation}
    optional = len(function.args.defaults) if function else 0
    required = [a.arg for a in arguments[: len(arguments) - optional]]
    return Entry(name, summary, annotations, tuple(required))
