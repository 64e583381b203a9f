"""How do frozen dataclasses become JSON, and JSON the same dataclasses again?

Only what reports are made of: dataclasses, string enums, tuples, mappings with string keys,
optional values and scalars.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any

import numpy as np

from tfx_loop.core.errors import DataError, did_you_mean


def to_json(value: Any) -> Any:
    """Returns `value` as JSON values; a number that is not finite becomes None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [to_json(item) for item in value]
    if isinstance(value, np.generic):
        return to_json(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"Expected a JSON value or a dataclass, received {type(value).__name__}.")


def from_json(kind: Any, content: Any, where: str, *, strict: bool = False) -> Any:
    """Returns the value of type `kind` that `content` stands for.

    Args:
        kind: A dataclass, or a type that one of its fields is declared with.
        content: JSON values.
        where: Names the place, for errors.
        strict: Refuse keys that a dataclass does not know; else they are left out (a newer writer).

    Raises:
        DataError: A field is missing, is unknown or has another type.
    """
    origin = typing.get_origin(kind)
    if kind is Any:
        return content
    if origin in (typing.Union, types.UnionType):
        return _optional(kind, content, where, strict)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, content, where, strict)
    if origin is tuple:
        return _tuple(typing.get_args(kind), content, where, strict)
    if origin is not None:
        item = typing.get_args(kind)[1]
        parts = _checked(content, dict, where)
        return {
            key: from_json(item, part, f"{where}, {key}", strict=strict)
            for key, part in parts.items()
        }
    if issubclass(kind, Enum):
        return _enum(kind, content, where)
    if kind is float:
        return float(_checked(content, (int, float), where))
    return _checked(content, kind, where)


def _optional(kind: Any, content: Any, where: str, strict: bool) -> Any:
    if content is None:
        return None
    (inner,) = [option for option in typing.get_args(kind) if option is not type(None)]
    return from_json(inner, content, where, strict=strict)


def _tuple(items: tuple[Any, ...], content: Any, where: str, strict: bool) -> tuple[Any, ...]:
    parts = _checked(content, list, where)
    if items[1:] == (...,):
        items = (items[0],) * len(parts)
    if len(items) != len(parts):
        raise DataError(f"Expected {len(items)} values in {where}, received {content!r}.")
    return tuple(
        from_json(item, part, where, strict=strict) for item, part in zip(items, parts, strict=True)
    )


def _dataclass(kind: Any, content: Any, where: str, strict: bool) -> Any:
    _checked(content, dict, where)
    hints = typing.get_type_hints(kind)
    known = [part.name for part in dataclasses.fields(kind)]
    if strict and (unknown := [name for name in content if name not in known]):
        raise DataError(
            f"Expected {', '.join(known)} in {where}, received {unknown[0]!r}."
            f"{did_you_mean(unknown[0], known)}"
        )
    values = {}
    for part in dataclasses.fields(kind):
        if part.name in content:
            values[part.name] = from_json(
                hints[part.name], content[part.name], f"{where}, {part.name}", strict=strict
            )
        elif part.default is dataclasses.MISSING and part.default_factory is dataclasses.MISSING:
            raise DataError(
                f"Expected the field {part.name!r} in {where}, received {', '.join(content)}. "
                "Write the report again."
            )
    return kind(**values)


def _enum(kind: Any, content: Any, where: str) -> Any:
    try:
        return kind(content)
    except ValueError as error:
        known = ", ".join(item.value for item in kind)
        raise DataError(f"Expected one of {known} in {where}, received {content!r}.") from error


def _checked(content: Any, kind: Any, where: str) -> Any:
    wrong_bool = isinstance(content, bool) and kind is not bool
    if not isinstance(content, kind) or wrong_bool:
        names = kind.__name__ if isinstance(kind, type) else "number"
        raise DataError(f"Expected {names} in {where}, received {content!r}.")
    return content
