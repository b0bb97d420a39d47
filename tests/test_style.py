"""Rules of style that ruff does not check."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FILES = sorted((ROOT / "keras_vae").rglob("*.py")) + sorted((ROOT / "keras_vae_cli").rglob("*.py"))


def public_functions(tree):
    """The functions of a module and the methods of its classes, without private ones."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node)
        elif isinstance(node, ast.FunctionDef) and is_public(node.name):
            yield node


def is_public(name):
    return name == "__init__" or not name.startswith("_")


def bare_arguments(function):
    arguments = function.args
    named = arguments.posonlyargs + arguments.args + arguments.kwonlyargs
    found = [*named, arguments.vararg, arguments.kwarg]
    found = [a for a in found if a is not None and a.arg not in ("self", "cls")]
    return [argument.arg for argument in found if argument.annotation is None]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_arguments_are_annotated(path):
    functions = public_functions(ast.parse(path.read_text()))
    bare = {f"{f.lineno}: {f.name}": bare_arguments(f) for f in functions}
    assert not {place: names for place, names in bare.items() if names}


def length(function):
    """The lines of a function without its docstring."""
    docstring = ast.get_docstring(function)
    body = function.body[1:] if docstring else function.body
    return function.end_lineno - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_are_short(path):
    functions = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)]
    long = {f.name: length(f) for f in functions if length(f) > 40}
    assert not long or path.name == "arguments.py"  # the parser of the command line is a list
