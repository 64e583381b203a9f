"""One behaviour of TF Serving: what is asked, and what it answers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conformance_cases.server import World


@dataclass(frozen=True)
class Case:
    """A behaviour.

    Attributes:
        feature: The group that it belongs to.
        name: What it is.
        ask: Asks for it.
        wanted: What TF Serving answers: (code, text that is part of it), (code, JSON), or a value.
        differs: Why this server answers otherwise; empty where it does not.
    """

    feature: str
    name: str
    ask: Callable[[World], object]
    wanted: object
    differs: str = ""


@dataclass(frozen=True)
class Contains:
    """Stands for any text with this part, whatever its case."""

    text: str


def matches(got: Any, wanted: Any) -> bool:
    """Says whether an answer is the wanted one; NaN is NaN, and 1 is not True."""
    if isinstance(wanted, Contains):
        shown = got.decode("utf-8", "replace") if isinstance(got, bytes) else got
        shown = shown if isinstance(shown, str) else json.dumps(shown, default=str)
        return wanted.text.lower() in shown.lower()
    if isinstance(wanted, dict):
        return (
            isinstance(got, dict)
            and got.keys() == wanted.keys()
            and all(matches(got[key], value) for key, value in wanted.items())
        )
    if isinstance(wanted, list | tuple):
        return (
            isinstance(got, list | tuple)
            and len(got) == len(wanted)
            and all(map(matches, got, wanted))
        )
    if isinstance(wanted, float) and isinstance(got, float) and math.isnan(wanted):
        return math.isnan(got)
    return isinstance(got, bool) == isinstance(wanted, bool) and bool(got == wanted)


def refused(code: int | str, text: str = "") -> tuple[object, object]:
    """Returns the answer that has this code and a message with this text."""
    return (code, Contains(text))
