"""JSON of frozen dataclasses, and the dataclasses of JSON again.

Only what reports and settings are made of: dataclasses, string enums, tuples, mappings, optional
values and scalars. The keys of an object are the dataclass's fields, in their order; a class whose
JSON says more (a value derived from the others) or uses another name lists its keys itself:

    JSON_KEYS: ClassVar[Mapping[str, str]] = {"name": "name", "stable": "stable_version"}

maps each key to the attribute it holds. Attributes that are no fields are written and not read. A
field declared with `metadata=none_as(...)` has something else than null in place of None; one with
`metadata=default_left_out()` is written only where it holds something else than its default.
"""

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any

from tfx_loop.core.errors import DataError, did_you_mean

# An object of its own: any JSON value may be what a field really holds.
LEFT_OUT = object()
_NONE_AS = "none_as"
_DEFAULT_LEFT_OUT = "default_left_out"


def none_as(stand_in: Any) -> dict[str, Any]:
    """Returns metadata of a field whose None is written as `stand_in`; LEFT_OUT leaves the key out.

    For files whose first writer had no null there.
    """
    return {_NONE_AS: stand_in}


def default_left_out() -> dict[str, Any]:
    """Returns metadata of a field that is not written while it holds its default.

    For fields that came after a file's first release, so that what it wrote stays as it was.
    """
    return {_DEFAULT_LEFT_OUT: True}


_PLAIN = frozenset({str, int, bool, type(None)})
# What people call the types of JSON and TOML.
_WORDS: Mapping[Any, str] = {
    str: "text",
    int: "a whole number",
    (int, float): "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def to_json(value: Any) -> Any:
    """Returns `value` as JSON values; a number that is not finite becomes None."""
    # First what a profile has thousands of; an Enum of texts or numbers is none of these types.
    if type(value) in _PLAIN:
        return value
    if type(value) is float:
        return value if math.isfinite(value) else None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _object(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if hasattr(value, "tolist"):
        # NumPy's arrays and scalars; asked for by method, as lineage starts without NumPy.
        return to_json(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, (int, float, str)):
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
        return _union(typing.get_args(kind), content, where, strict)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, content, where, strict)
    if origin is tuple:
        return _tuple(typing.get_args(kind), content, where, strict)
    if origin is not None:
        return _mapping(typing.get_args(kind), content, where, strict)
    if issubclass(kind, Enum):
        return _enum(kind, content, where)
    if kind is float:
        return float(_checked(content, (int, float), where))
    return _checked(content, kind, where)


def _object(value: Any) -> dict[str, Any]:
    kind: Any = type(value)
    stand_ins, defaults, found = _stand_ins(kind), _defaults_left_out(kind), {}
    for key, name in json_keys(kind).items():
        held = getattr(value, name)
        if name in defaults and held == defaults[name]:
            continue
        content = stand_ins[name] if held is None and name in stand_ins else to_json(held)
        if content is not LEFT_OUT:
            found[key] = content
    return found


def _union(options: tuple[Any, ...], content: Any, where: str, strict: bool) -> Any:
    """An optional value, one of several scalars, or the dataclass whose keys are there."""
    if content is None and type(None) in options:
        return None
    others = [option for option in options if option is not type(None)]
    if len(others) == 1:
        return from_json(others[0], content, where, strict=strict)
    # Exactly: a bool is an int to isinstance, and would be read as 1.
    if type(content) in others:
        return content
    for option in others:
        required = _required(option)
        if required is not None and isinstance(content, dict) and required <= set(content):
            return from_json(option, content, where, strict=strict)
    names = " or ".join(option.__name__ for option in others)
    raise DataError(f"Expected {names} in {where}, received {content!r}.")


def _tuple(items: tuple[Any, ...], content: Any, where: str, strict: bool) -> tuple[Any, ...]:
    parts = _checked(content, list, where)
    if items[1:] == (...,):
        items = (items[0],) * len(parts)
    if len(items) != len(parts):
        raise DataError(f"Expected {len(items)} values in {where}, received {content!r}.")
    return tuple(
        from_json(item, part, where, strict=strict) for item, part in zip(items, parts, strict=True)
    )


def _mapping(kinds: tuple[Any, ...], content: Any, where: str, strict: bool) -> dict[Any, Any]:
    key_kind, item = kinds
    found = {}
    for key, part in _checked(content, dict, where).items():
        found[_key(key_kind, key, where)] = from_json(item, part, f"{where}, {key}", strict=strict)
    return found


def _key(kind: Any, key: str, where: str) -> Any:
    """JSON knows text as keys alone; whole numbers are written in digits."""
    if kind is not int:
        return key
    try:
        return int(key)
    except ValueError as error:
        raise DataError(f"Expected a whole number as key in {where}, received {key!r}.") from error


def _dataclass(kind: Any, content: Any, where: str, strict: bool) -> Any:
    _checked(content, dict, where)
    hints, keys = _hints(kind), {name: key for key, name in json_keys(kind).items()}
    if strict and (unknown := [key for key in content if key not in keys.values()]):
        raise DataError(
            f"Expected {', '.join(keys.values())} in {where}, received {unknown[0]!r}."
            f"{did_you_mean(unknown[0], keys.values())}"
        )
    values: dict[str, Any] = {}
    for part in dataclasses.fields(kind):
        key = keys[part.name]
        # LEFT_OUT equals nothing that a file holds: a field without a stand-in never matches.
        if key in content and content[key] == part.metadata.get(_NONE_AS, LEFT_OUT):
            values[part.name] = None
        elif key in content:
            values[part.name] = from_json(
                hints[part.name], content[key], f"{where}, {key}", strict=strict
            )
        elif part.default is dataclasses.MISSING and part.default_factory is dataclasses.MISSING:
            raise DataError(
                f"Expected the field {key!r} in {where}, received {', '.join(content)}."
            )
    return kind(**values)


@functools.cache
def json_keys(kind: Any) -> Mapping[str, str]:
    """Returns the attribute behind each JSON key, in the order in which they are written."""
    own: Mapping[str, str] | None = getattr(kind, "JSON_KEYS", None)
    return own or {part.name: part.name for part in dataclasses.fields(kind)}


@functools.cache
def written_keys(kind: Any) -> frozenset[str]:
    """Returns the keys that stand in each file: those that are not left out for None."""
    left_out = {name for name, content in _stand_ins(kind).items() if content is LEFT_OUT}
    return frozenset(key for key, name in json_keys(kind).items() if name not in left_out)


@functools.cache
def _required(kind: Any) -> frozenset[str] | None:
    """Returns the keys of fields without a default; None for what is no dataclass."""
    if not dataclasses.is_dataclass(kind):
        return None
    names = {
        part.name
        for part in dataclasses.fields(kind)
        if part.default is dataclasses.MISSING and part.default_factory is dataclasses.MISSING
    }
    keys: Mapping[str, str] = json_keys(typing.cast(Any, kind))
    return frozenset(key for key, name in keys.items() if name in names)


@functools.cache
def _stand_ins(kind: type[Any]) -> Mapping[str, Any]:
    """Returns what stands for None, by field."""
    fields = dataclasses.fields(kind)
    return {part.name: part.metadata[_NONE_AS] for part in fields if _NONE_AS in part.metadata}


@functools.cache
def _defaults_left_out(kind: type[Any]) -> Mapping[str, Any]:
    """Returns the defaults of the fields that are not written while they hold them."""
    return {
        part.name: (
            part.default if part.default_factory is dataclasses.MISSING else part.default_factory()
        )
        for part in dataclasses.fields(kind)
        if _DEFAULT_LEFT_OUT in part.metadata
    }


@functools.cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    # Resolved once a class: a report of 200 features would resolve them 200 times.
    return typing.get_type_hints(kind)


def _enum(kind: Any, content: Any, where: str) -> Any:
    try:
        return kind(content)
    except ValueError as error:
        known = ", ".join(item.value for item in kind)
        raise DataError(f"Expected one of {known} in {where}, received {content!r}.") from error


def _checked(content: Any, kind: Any, where: str) -> Any:
    # To isinstance True is a whole number, and would be read as 1.
    wrong_bool = isinstance(content, bool) and kind is not bool
    if not isinstance(content, kind) or wrong_bool:
        raise DataError(f"Expected {_WORDS.get(kind, kind)} in {where}, received {content!r}.")
    return content
