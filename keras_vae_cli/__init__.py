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


class _Refused(SystemExit):
    """Ends the process with the status 2, as typing errors do; its text is the sentence."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.code = 2


def main(argv: Sequence[str] | None = None) -> None:
    """Runs one command.

    Args:
        argv: the arguments, a list of strings; those of the process if None.

    Raises:
        SystemExit: with a sentence on standard error, and the status 2 if the arguments or what
            they name are wrong, or 1 if the training fails or a file cannot be written.

    Example: `main(["train", "--data", "shapes", "--epochs", "1"])`.
    """
    arguments = parser().parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if sys.__stderr__ is not None and not faulthandler.is_enabled():
        # It names the line of a crash, and gives signals a stack of their own.
        faulthandler.enable(sys.__stderr__)
    try:
        arguments.run(arguments)
    except (FloatingPointError, OSError) as error:
        sys.exit(f"keras-vae: {error}")
    except (ValueError, ImportError) as error:
        refused = _Refused(f"keras-vae: {error}")
        print(refused, file=sys.stderr)
        raise refused from error
