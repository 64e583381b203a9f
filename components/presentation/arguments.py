"""Types of arguments that all commands share: numbers with bounds, and what is told of others."""

import argparse
import json
import math
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

N = TypeVar("N", int, float)


def number(text: str) -> float:
    """Reads a finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    # float() reads "nan" and "inf", too: a threshold of NaN would never be exceeded.
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"expected a number, received {text!r}")
    return value


def whole_number(text: str) -> int:
    """Reads a whole number."""
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected a whole number, received {text!r}") from error


def _within(
    read: Callable[[str], N], holds: Callable[[N], bool], expected: str
) -> Callable[[str], N]:
    """Returns what reads a number and refuses it where it is not as expected."""

    def read_within(text: str) -> N:
        value = read(text)
        if not holds(value):
            raise argparse.ArgumentTypeError(f"expected {expected}, received {text}")
        return value

    return read_within


at_least_zero = _within(number, lambda value: value >= 0, "a number of at least 0")
above_zero = _within(number, lambda value: value > 0, "a number above 0")
between_zero_and_one = _within(number, lambda value: 0 < value < 1, "a number between 0 and 1")
share_below_one = _within(number, lambda value: 0 <= value < 1, "a share of at least 0 and below 1")
whole_at_least_zero = _within(
    whole_number, lambda value: value >= 0, "a whole number of at least 0"
)
whole_above_zero = _within(whole_number, lambda value: value > 0, "a whole number above 0")


def whole_at_least(least: int) -> Callable[[str], int]:
    """Returns what reads a whole number with a lower bound."""
    return _within(
        whole_number, lambda value: value >= least, f"a whole number of at least {least}"
    )


def moment_ms(text: str) -> int:
    """Reads a date or a time in ISO 8601 as milliseconds since epoch; UTC unless it says otherwise.

    A date alone is its end: what was recorded on that day counts.
    """
    try:
        found = datetime.fromisoformat(re.sub("[Zz]$", "+00:00", text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"expected a time such as 2026-03-01 or 2026-03-01T12:00, received {text!r}"
        ) from error
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        found += timedelta(days=1, milliseconds=-1)
    zoned = found if found.tzinfo else found.replace(tzinfo=timezone.utc)
    return int(zoned.timestamp() * 1000)


def assignment(text: str) -> tuple[str, Any]:
    """Reads NAME=VALUE; the value is JSON, or text as it stands."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, received {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
