"""Lengths of time: in milliseconds, the unit of stored times, and as people write them."""

import re

from tfx_loop.core.errors import ConfigError

MS_PER_SECOND = 1_000
MS_PER_HOUR = 3_600_000
MS_PER_DAY = 24 * MS_PER_HOUR

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}


def seconds_of(text: str | int | float) -> int:
    """Returns the whole seconds of a length of time such as `90s`, `30m`, `12h`, `7d` or `2w`.

    Raises:
        ConfigError: It is none; a number without a unit is read by nobody alike.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*", str(text))
    if match is None:
        raise ConfigError(
            f"Expected a length of time such as '90s', '12h' or '7d', received {text!r}."
        )
    return round(float(match[1]) * _SECONDS[match[2]])


def duration_text(seconds: float) -> str:
    """Returns a length of time in its largest whole unit, such as `7d`."""
    whole = round(seconds)
    for unit in reversed(_SECONDS):
        if whole and whole % _SECONDS[unit] == 0:
            return f"{whole // _SECONDS[unit]}{unit}"
    return "0s"
