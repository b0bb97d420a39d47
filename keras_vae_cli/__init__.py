"""The command line `keras-vae`. It parses its arguments before it imports TensorFlow.

This package lies beside `keras_vae` because the import of any module of `keras_vae` imports the
whole library, which takes seconds. What the commands do is in `keras_vae.cli`.
"""

import faulthandler
import os
import sys
from collections.abc import Sequence

from keras_vae_cli.arguments import parser

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> None:
    """Runs one command.

    Args:
        argv: the arguments, a list of strings; those of the process if None.

    Raises:
        SystemExit: if the arguments are wrong, or with a sentence if the command fails.

    Example: `main(["train", "--data", "shapes", "--epochs", "1"])`.
    """
    arguments = parser().parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if sys.__stderr__ is not None and not faulthandler.is_enabled():
        # It names the line of a crash, and gives signals a stack of their own.
        faulthandler.enable(sys.__stderr__)
    try:
        arguments.run(arguments)
    except (ValueError, ImportError, FloatingPointError) as error:
        sys.exit(f"keras-vae: {error}")
