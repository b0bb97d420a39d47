"""`--set NAME=VALUE`: arguments of the recipe, or of the likelihood as `likelihood.NAME=VALUE`."""

import argparse
import difflib
import json
import math
import pathlib
import sys
from collections.abc import Iterable
from typing import Any

from keras_vae_cli import catalogue

ROWS = (".csv", ".tsv", ".parquet")
"""The suffixes of files of rows."""
ONLY_FOR_IMAGES = ("image_size", "network", "likelihood", "beta", "warm_up")
OF_LIKELIHOOD = "likelihood."


def setting(text: str) -> tuple[str, Any]:
    """Returns the name and the value of `NAME=VALUE`; the value is read as JSON or is a text."""
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise argparse.ArgumentTypeError(
            f"it must be NAME=VALUE, such as weight=5. Received: {text}"
        )
    return name, _literal(value)


def _literal(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


def is_rows_file(name: Any) -> bool:
    """Returns whether a name is that of a file of rows, by its suffix."""
    return name is not None and pathlib.Path(name).suffix.lower() in ROWS


def check(arguments: argparse.Namespace) -> None:
    """Sets `recipe` if it was not given.

    Raises:
        ValueError: if data, recipe, likelihood and `--set` do not go together.
    """
    if is_rows_file(arguments.data):
        _check_table(arguments)
    elif arguments.recipe == "table_vae":
        raise ValueError(
            f"`--recipe` must be another than table_vae, which is for {', '.join(ROWS)} files. "
            f"Received: --data={arguments.data}"
        )
    arguments.recipe = arguments.recipe or _recipe_of_network(arguments)
    recipe = catalogue.recipes()[arguments.recipe]
    _check_options(recipe, arguments)
    of_recipe, of_likelihood = split(arguments.set)
    _check_all(of_recipe, recipe, "")
    if arguments.likelihood is None:
        if of_likelihood:
            raise ValueError(
                "`--set` must be about the recipe where no --likelihood is given. "
                f"Received: --set {OF_LIKELIHOOD}{next(iter(of_likelihood))}"
            )
        return
    likelihood = catalogue.likelihoods()[arguments.likelihood]
    _check_all(of_likelihood, likelihood, OF_LIKELIHOOD)
    missing = [name for name in likelihood.required if name not in of_likelihood]
    if missing:
        raise ValueError(
            f"`--likelihood {likelihood.name}` must come with --set "
            f"{OF_LIKELIHOOD}{missing[0]}=…, without which it cannot be made. "
            f"Received: --likelihood {likelihood.name}"
        )


def _check_table(arguments):
    """Refuses what is only for images and arrays; the recipe is `table_vae`."""
    for name in ONLY_FOR_IMAGES:
        value, option = getattr(arguments, name), f"--{name.replace('_', '-')}"
        if value is not None:
            raise ValueError(
                f"`{option}` must be left out for a table, whose columns decide the networks and "
                f"the likelihood. Received: {option}={value}"
            )
    if arguments.recipe not in (None, "table_vae"):
        raise ValueError(
            "`--recipe` must be table_vae or left out for a table, because the others are for "
            f"images and arrays. Received: --recipe {arguments.recipe} --data={arguments.data}"
        )
    arguments.recipe = "table_vae"


def _recipe_of_network(arguments):
    """The recipe that `--network`, the earlier name of `--recipe`, stands for."""
    recipe = "tutorial_vae" if arguments.network == "tutorial" else "vae"
    if arguments.network:
        print(f"`--network {arguments.network}` is now `--recipe {recipe}`.", file=sys.stderr)
    return recipe


def split(settings: Iterable[tuple[str, Any]] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the settings of the recipe and those of the likelihood, by name."""
    given = dict(settings or ())
    own = {name: value for name, value in given.items() if not name.startswith(OF_LIKELIHOOD)}
    other = {n.removeprefix(OF_LIKELIHOOD): v for n, v in given.items() if n not in own}
    return own, other


def _check_options(recipe, arguments):
    """Refuses options of the command line that the recipe has no argument for."""
    accepted = {
        "latent_dim": recipe.takes("latent_dim"),
        "likelihood": recipe.takes("likelihood"),
        "beta": recipe.has_beta,
        "warm_up": recipe.has_beta,
    }
    for name, is_accepted in accepted.items():
        if getattr(arguments, name) is not None and not is_accepted:
            option = f"--{name.replace('_', '-')}"
            raise ValueError(
                f"`{option}` must be left out with --recipe {recipe.name}, which has no argument "
                f"for it; --set gives {', '.join(recipe.settings)}. "
                f"Received: {option} {getattr(arguments, name)}"
            )


def _check_all(settings, entry, prefix):
    for name, value in settings.items():
        if name not in entry.settings:
            close = did_you_mean(name, list(entry.settings))
            raise ValueError(
                f"`--set` must name an argument of {entry.name}, which has "
                f"{', '.join(prefix + own for own in entry.settings) or 'none to set'}{close}. "
                f"Received: --set {prefix}{name}={json.dumps(value)}"
            )
        expected = _expected(value, entry.settings[name])
        if expected:
            raise ValueError(
                f"`--set {prefix}{name}` must be {expected}. "
                f"Received: --set {prefix}{name}={json.dumps(value)}"
            )


def _expected(value, annotation):
    """What a value should be, in words, or None where it may be an argument of this type."""
    if value is None:
        return None if "None" in annotation else "a value, and not null"
    if "Sequence" in annotation:
        is_list = isinstance(value, list) and value and all(map(_is_finite, value))
        return None if is_list else "a list of numbers, such as [256,128]"
    if "bool" in annotation:
        return None if isinstance(value, bool) else "true or false"
    if "str" in annotation:
        accepts_numbers = "float" in annotation and _is_finite(value)
        return None if isinstance(value, str) or accepts_numbers else "a text"
    if "int" in annotation:
        is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        return None if is_count else "a whole number of at least 1"
    return None if _is_finite(value) else "a finite number"


def _is_finite(value):
    if isinstance(value, list):
        return all(map(_is_finite, value))
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


def recipe(text: str) -> str:
    """Returns the name of a recipe that `train` can make."""
    if text in catalogue.IN_PYTHON_ONLY:
        raise argparse.ArgumentTypeError(
            f"it must be a recipe without a condition; recipes.{text} is for Python. "
            f"Received: {text}"
        )
    return _one_of(text, catalogue.makeable_recipes(), "a recipe")


def likelihood(text: str) -> str:
    """Returns the name of a likelihood that `train` can make."""
    if text in catalogue.likelihoods() and text not in catalogue.makeable_likelihoods():
        raise argparse.ArgumentTypeError(
            f"it must be made of numbers and texts; likelihoods.{text} is for Python. "
            f"Received: {text}"
        )
    return _one_of(text, catalogue.makeable_likelihoods(), "a likelihood")


def _one_of(text, names, what):
    if text not in names:
        raise argparse.ArgumentTypeError(
            f"it must be {what} of `keras-vae recipes`: {', '.join(names)}"
            f"{did_you_mean(text, names)}. Received: {text}"
        )
    return text


def did_you_mean(word: str, known: list[str]) -> str:
    """Returns " (did you mean …?)" with the most similar word, or nothing if none is similar."""
    close = difflib.get_close_matches(word, known, 1)
    return f" (did you mean {close[0]}?)" if close else ""
