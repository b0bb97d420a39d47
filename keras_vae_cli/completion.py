"""Scripts that let a shell complete the words of `keras-vae`."""

import argparse

from keras_vae_cli import catalogue, settings
from keras_vae_cli.parsing import Parser

SHELLS = ("bash", "zsh")

_BASH = """\
# Completes the words of keras-vae. To use it: source <(keras-vae completion {shell})
{prelude}_keras_vae() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" known="" one
    if [ "$COMP_CWORD" -eq 1 ]; then
        known="{commands}"
    else
        case "${{COMP_WORDS[1]}} $before" in
{values}
        *)
            case "${{COMP_WORDS[1]}}" in
{options}
            esac
            ;;
        esac
    fi
    COMPREPLY=()
    for one in $known; do
        case "$one" in "$word"*) COMPREPLY+=("$one") ;; esac
    done
}}
complete -o default -F _keras_vae keras-vae"""

_FOR_ZSH = "autoload -U +X compinit bashcompinit && compinit && bashcompinit\n"


def script(parser: Parser, shell: str) -> str:
    """Returns the script that makes a shell complete commands, options and their values.

    Args:
        parser: the parser of the command line.
        shell: `"bash"` or `"zsh"`.

    Returns:
        The script, to be sourced.
    """
    return _BASH.format(
        shell=shell,
        prelude=_FOR_ZSH if shell == "zsh" else "",
        commands=" ".join([*parser.commands, *parser.options()]),
        values="\n".join(line for item in parser.commands.items() for line in _values(*item)),
        options="\n".join(_options(*item) for item in parser.commands.items()),
    )


def _values(command, parser):
    """A line of the script for each argument with known values."""
    for name, action in parser.options().items():
        words = _words(action)
        if words:
            yield f'        "{command} {name}") known="{" ".join(words)}" ;;'


def _options(command, parser):
    positional = [a for a in parser.declared if not a.option_strings]
    words = [*parser.options(), *(word for action in positional for word in _words(action))]
    return f'            {command}) known="{" ".join(words)}" ;;'


def _words(action: argparse.Action) -> list[str]:
    """The values that an argument is known to take."""
    if action.type is settings.recipe:
        return catalogue.makeable_recipes()
    if action.type is settings.likelihood:
        return catalogue.makeable_likelihoods()
    if action.dest == "data" and not action.required:
        return ["fashion_mnist", "shapes"]
    return list(action.choices or ())
