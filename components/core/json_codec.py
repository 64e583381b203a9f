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

from tfx_loop.core.errors import DataError


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


def from_json(kind: Any, content: Any, where: str) -> Any:
    """Returns the value of type `kind` that `content` stands for.

    Args:
        kind: A dataclass, or a type that one of its fields is declared with.
        content: JSON values. Keys that `kind` does not know are left out (a newer writer).
        where: Names the place, for errors.

    Raises:
        DataError: A field is missing or has another type.
    """
    origin = typing.get_origin(kind)
    if kind is Any:
        return content
    if origin in (typing.Union, types.UnionType):
        return _optional(kind, content, where)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, content, where)
    if origin is tuple:
        item = typing.get_args(kind)[0]
        return tuple(from_json(item, part, where) for part in _checked(content, list, where))
    if origin is not None:
        item = typing.get_args(kind)[1]
        parts = _checked(content, dict, where)
        return {key: from_json(item, part, f"{where}, {key}") for key, part in parts.items()}
    if issubclass(kind, Enum):
        return _enum(kind, content, where)
    if kind is float:
        return float(_checked(content, (int, float), where))
    return _checked(content, kind, where)


def _optional(kind: Any, content: Any, where: str) -> Any:
    if content is None:
        return None
    (inner,) = [option for option in typing.get_args(kind) if option is not type(None)]
    return from_json(inner, content, where)


def _dataclass(kind: Any, content: Any, where: str) -> Any:
    _checked(content, dict, where)
    hints = typing.get_type_hints(kind)
    values = {}
    for part in dataclasses.fields(kind):
        if part.name in content:
            values[part.name] = from_json(
                hints[part.name], content[part.name], f"{where}, {part.name}"
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
