"""A parser that proposes the word that was probably meant, and knows its own options."""

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from keras_vae_cli.settings import did_you_mean


class Parser(argparse.ArgumentParser):
    """An `argparse.ArgumentParser` without abbreviations, which proposes words for wrong ones.

    Attributes:
        declared: the arguments that were added, in their order.
        commands: the parsers of its commands by name, if it has any.
    """

    def __init__(self, **options: Any) -> None:
        self.declared: list[argparse.Action] = []
        self.commands: dict[str, Parser] = {}
        super().__init__(**{"allow_abbrev": False, **options})

    def add_argument(self, *args: Any, **kwargs: Any) -> argparse.Action:
        """Adds an argument, as in the base class, and keeps it in `declared`."""
        action = super().add_argument(*args, **kwargs)
        self.declared.append(action)
        return action

    def options(self) -> dict[str, argparse.Action]:
        """Returns the arguments that are options and not hidden, by name, such as `--output`."""
        shown = [action for action in self.declared if action.help != argparse.SUPPRESS]
        names = {name: action for action in shown for name in action.option_strings}
        return {name: action for name, action in names.items() if name.startswith("--")}

    def parse_args(  # type: ignore[override]  # there is always a new namespace
        self, args: Sequence[str] | None = None
    ) -> argparse.Namespace:
        """Parses all arguments; what a command does not know is an error of that command."""
        namespace, unknown = self.parse_known_args(args)
        if unknown:
            parser = getattr(namespace, "parser", self)
            parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        return namespace

    def error(self, message: str) -> NoReturn:
        """Prints the usage and the message, with the word that was probably meant; exits with 2."""
        super().error(message + self._proposal(message))

    def _proposal(self, message):
        choice = re.search(r"invalid choice: '?([^' ]*)'? \(choose from (.*)\)", message)
        if choice:
            return did_you_mean(choice[1], re.findall(r"[\w.-]+", choice[2]))
        unknown = re.search(r"unrecognized arguments: (--[\w-]+)", message)
        return did_you_mean(unknown[1], list(self.options())) if unknown else ""
