"""What `keras-vae recipes` prints."""

from keras_vae_cli import catalogue
from keras_vae_cli.catalogue import Entry


def everything() -> str:
    """Returns all recipes and likelihoods, one a line."""
    recipes, likelihoods = catalogue.recipes(), catalogue.likelihoods()
    made = catalogue.makeable_likelihoods()
    of_python = [name for name in likelihoods if name not in made] + [*catalogue.IN_PYTHON_ONLY]
    return "\n".join(
        [
            "Recipes, for `keras-vae train --recipe NAME`:",
            *_lines([recipes[name] for name in catalogue.makeable_recipes()]),
            "",
            "Likelihoods, for `keras-vae train --likelihood NAME`:",
            *_lines([likelihoods[name] for name in made]),
            "",
            f"In Python only: {', '.join(sorted(of_python))}.",
            "The arguments of one of them: `keras-vae recipes NAME`.",
        ]
    )


def _lines(entries):
    width = max(len(entry.name) for entry in entries)
    return [f"  {entry.name:{width}}  {entry.summary}" for entry in entries]


def one(name: str) -> str:
    """Returns a recipe or a likelihood with what `--set` may give.

    Raises:
        ValueError: if there is none of this name.
    """
    known = catalogue.recipes() | catalogue.likelihoods()
    if name not in known:
        raise ValueError(
            "`name` must be a recipe or a likelihood of `keras-vae recipes`, because its arguments "
            f"are listed. Received: {name}"
        )
    return "\n".join([known[name].summary, *_settings(known[name])])


def _settings(entry: Entry) -> list[str]:
    prefix = "" if entry.name in catalogue.recipes() else "likelihood."
    found = [f"  --set {prefix}{name}=…  {kind}" for name, kind in entry.settings.items()]
    return ["", *found] if found else ["", "It has no arguments to set."]
