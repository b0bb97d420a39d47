"""Types of arguments: numbers that are checked when they are parsed."""

import argparse
import math


def _number(kind, accepted, expected):
    """A function from a string to a number of a kind that `accepted` says yes to."""

    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and accepted(value)):
            raise argparse.ArgumentTypeError(f"it must be {expected}. Received: {text}")
        return value

    return parse


count = _number(int, lambda n: n >= 1, "a whole number of at least 1")
count_or_zero = _number(int, lambda n: n >= 0, "a whole number of at least 0")
seed = _number(int, lambda n: 0 <= n < 2**32, "a whole number from 0 to 4294967295")
positive = _number(float, lambda x: x > 0, "a positive number")
not_negative = _number(float, lambda x: x >= 0, "a number of at least 0")
