"""Types of arguments that all commands share: numbers with bounds, and what is told of others."""

import argparse
import math
from collections.abc import Callable


def number(text: str) -> float:
    """Reads a finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"expected a number, received {text!r}")
    return value


def at_least_zero(text: str) -> float:
    """Reads a number of at least 0."""
    value = number(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected a number of at least 0, received {text}")
    return value


def above_zero(text: str) -> float:
    """Reads a number above 0."""
    value = number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"expected a number above 0, received {text}")
    return value


def whole_number(text: str) -> int:
    """Reads a whole number."""
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected a whole number, received {text!r}") from error


def whole_at_least_zero(text: str) -> int:
    """Reads a whole number of at least 0."""
    value = whole_number(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, received {text}")
    return value


def whole_above_zero(text: str) -> int:
    """Reads a whole number above 0."""
    value = whole_number(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, received {text}")
    return value


def between_zero_and_one(text: str) -> float:
    """Reads a number above 0 and below 1."""
    value = number(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, received {text}")
    return value


def share_below_one(text: str) -> float:
    """Reads a share: a number of at least 0 and below 1."""
    value = number(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(
            f"expected a share of at least 0 and below 1, received {text}"
        )
    return value


def whole_at_least(least: int) -> Callable[[str], int]:
    """Returns what reads a whole number with a lower bound."""

    def read(text: str) -> int:
        value = whole_number(text)
        if value < least:
            raise argparse.ArgumentTypeError(
                f"expected a whole number of at least {least}, received {text}"
            )
        return value

    return read
