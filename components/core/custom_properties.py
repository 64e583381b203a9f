"""Custom properties of an artifact as a frozen dataclass: what its writer and its readers share.

Runners carry whole numbers, floats and text alone, so a truth value travels as 0 or 1, an enum as
its value, and None is left out. Vertex hands a 0 on as None and some runners drop it: what is
absent reads as the field's default, or else as the zero of its type.
"""

import dataclasses
import functools
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeAlias, TypeVar

Scalar: TypeAlias = int | float | str
T = TypeVar("T")
# Largest whole number that ML Metadata keeps as one on MySQL and PostgreSQL.
MOST_INT = 2**31 - 1


def to_properties(value: Any) -> dict[str, Scalar]:
    """Returns the properties that a dataclass stands for, in the order of its fields."""
    found: dict[str, Scalar] = {}
    for field in dataclasses.fields(value):
        held = getattr(value, field.name)
        if isinstance(held, Enum):
            held = held.value
        if held is not None:
            found[field.name] = int(held) if isinstance(held, bool) else held
    return found


def from_properties(kind: type[T], properties: Mapping[str, Any]) -> T:
    """Returns the dataclass that an artifact's properties stand for; others are left out."""
    values: dict[str, Any] = {}
    for name, (scalar, has_default) in _fields(kind).items():  # type: ignore[arg-type]
        held = properties.get(name)
        if held is not None:
            values[name] = scalar(held)
        elif not has_default:
            values[name] = scalar()
    return kind(**values)


# Stores hold thousands of artifacts of a type.
@functools.cache
def _fields(kind: type[Any]) -> dict[str, tuple[type[Any], bool]]:
    """Returns by field what it holds besides None, and whether it has a default."""
    hints = typing.get_type_hints(kind)
    return {
        field.name: (_scalar(hints[field.name]), field.default is not dataclasses.MISSING)
        for field in dataclasses.fields(kind)
    }


def _scalar(declared: Any) -> type[Any]:
    """Returns bool, int, float or str: what a field holds besides None."""
    options = [kind for kind in typing.get_args(declared) if kind is not type(None)]
    kind: type[Any] = options[0] if options else declared
    return kind
