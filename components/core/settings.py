"""Settings of nodes: typed, checked when made, and carried to executors as execution properties.

Execution properties survive every runner as whole numbers, floats and text alone. So a truth value
travels as 0 or 1, a string enum as its value, a list, a mapping or a nested group as JSON text, and
None by being left out. Whole numbers have 32 bits in ML Metadata on MySQL and PostgreSQL, so a
field that holds more (`metadata=wide()`), such as milliseconds since epoch, travels as text. A
pipeline's author may write each value in any of these ways, too. This module imports no TFX:
settings are read and tested in milliseconds.
"""

import dataclasses
import json
import types
import typing
from collections.abc import Collection, Mapping
from enum import Enum
from typing import Any, TypeVar

from tfx_loop.core.errors import ConfigError, DataError, did_you_mean
from tfx_loop.core.json_codec import from_json, to_json

S = TypeVar("S", bound="NodeSettings")
T = TypeVar("T")
_WIDE = "wide"


def wide() -> dict[str, Any]:
    """Returns metadata of a field whose whole numbers need more than 32 bits."""
    return {_WIDE: True}


class NodeSettings:
    """Base of a node's settings; each subclass is a frozen, keyword-only dataclass.

    Its fields are the node's parameters, described under `Attributes:`, and `__post_init__` checks
    them. A field holds text, a number, a truth value, a string enum, a tuple, a mapping, another
    frozen dataclass, or one of these or None. Settings of the domain that a node takes as they are
    come by inheritance; `part` gives them back.
    """

    @classmethod
    def of(cls: type[S], given: Mapping[str, Any], owner: str = "") -> S:
        """Returns the settings with these values, in any of the ways to write them.

        Args:
            given: Values by name; what is left out keeps its default.
            owner: What errors call the node.

        Raises:
            ConfigError: A name is unknown, a value has another type, or cannot work.
        """
        return cls(**typed_values(cls, given, owner or cls.__name__))

    @classmethod
    def from_properties(cls: type[S], properties: Mapping[str, Any]) -> S:
        """Returns the settings that `to_properties` wrote; what is no setting is left out.

        Raises:
            ConfigError: A value has another type, or cannot work.
        """
        given: dict[str, Any] = {}
        for name, kind in field_types(cls).items():
            value = properties.get(name)
            if value is not None or or_none(kind):
                given[name] = value
            elif name in properties:
                # Vertex hands a number that is 0 on as None.
                given[name] = property_type(kind)()
        return cls.of(given)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Lets types be checked before what `__post_init__` compares and measures."""
        super().__init_subclass__(**kwargs)
        own = cls.__dict__.get("__post_init__")
        if own is not None:

            def checked(self: Any) -> None:
                check_field_types(self)
                own(self)

            cls.__post_init__ = checked  # type: ignore[attr-defined]

    def to_properties(self) -> dict[str, int | float | str]:
        """Returns the settings as execution properties."""
        return encoded(type(self), vars(self))

    def part(self, kind: type[T]) -> T:
        """Returns those settings that make up a dataclass, as an instance of it."""
        names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
        return kind(**{name: getattr(self, name) for name in names})


def field_types(kind: type[Any]) -> dict[str, Any]:
    """Returns the type of each field of a dataclass, by name."""
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def defaults(kind: type[Any]) -> dict[str, Any]:
    """Returns the defaults of those fields that have one."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        if field.default_factory is not dataclasses.MISSING:
            found[field.name] = field.default_factory()
        elif field.default is not dataclasses.MISSING:
            found[field.name] = field.default
    return found


def typed_values(
    kind: type[Any], given: Mapping[str, Any], owner: str, later: Collection[str] = ()
) -> dict[str, Any]:
    """Returns the values of all fields as they are declared.

    Args:
        kind: A dataclass.
        given: Values by name.
        owner: What errors call the node.
        later: Names whose values are not known yet; they are left out.

    Raises:
        ConfigError: A name is unknown, a value lacks or has another type.
    """
    declared = field_types(kind)
    for name in given:
        if name not in declared:
            raise ConfigError(
                f"Expected settings of {owner} among {', '.join(declared)}, received {name!r}."
                f"{did_you_mean(name, declared)}"
            )
    values, kinds = defaults(kind), property_types(kind)
    for name, value in given.items():
        if kinds[name] is str and _declared(declared[name]) is int:
            value = _whole_number(value)
        values[name] = typed(declared[name], value, f"{name} of {owner}")
    if lacking := [name for name in declared if name not in values and name not in later]:
        raise ConfigError(f"Expected {', '.join(lacking)} of {owner}, received none. Give a value.")
    return {name: value for name, value in values.items() if name not in later}


def typed(kind: Any, value: Any, where: str) -> Any:
    """Returns a value as its field declares it.

    Raises:
        ConfigError: It has another type, or cannot work.
    """
    try:
        return from_json(kind, _content(kind, value), where, strict=True)
    except DataError as error:
        raise ConfigError(str(error)) from error


def check_field_types(settings: Any) -> None:
    """Checks that the fields of a dataclass hold what they are declared with.

    For classes that people write in Python, where a text in place of a number would end in a
    TypeError of whatever compares it first.

    Raises:
        ConfigError: A field holds another type.
    """
    owner = type(settings).__name__
    for name, kind in field_types(type(settings)).items():
        held, where = getattr(settings, name), f"{name} of {owner}"
        declared = _declared(kind)
        # What is not finite has no JSON; whoever declares limits refuses it.
        if declared is float and isinstance(held, float):
            continue
        if isinstance(held, str) and typing.get_origin(declared) is tuple:
            raise ConfigError(
                f"Expected {where} as a tuple, received the text {held!r}. Write ({held!r},)."
            )
        typed(kind, held, where)


def from_table(kind: type[T], table: Any, where: str) -> T:
    """Returns the dataclass that a table of a user's file stands for.

    Values are taken as they are written: text that reads as a number is none.

    Args:
        kind: A frozen dataclass, whose fields are the table's keys.
        table: What TOML or JSON has there.
        where: What errors call the table.

    Raises:
        ConfigError: It is no table, a key is unknown or lacks, or a value has another type or
            cannot work.
    """
    try:
        found: T = from_json(kind, table, where, strict=True)
    except DataError as error:
        raise ConfigError(str(error)) from error
    return found


def encoded(kind: type[Any], values: Mapping[str, Any]) -> dict[str, int | float | str]:
    """Returns values of fields as execution properties; None is left out."""
    found: dict[str, int | float | str] = {}
    for name, as_property in property_types(kind).items():
        value = to_json(values.get(name))
        if value is None:
            continue
        # Groups of settings, tuples and wide whole numbers travel as JSON text.
        as_text = as_property is str and not isinstance(value, str)
        found[name] = json.dumps(value) if as_text else as_property(value)
    return found


def property_types(kind: type[Any]) -> dict[str, type[Any]]:
    """Returns the type of the execution property that each field becomes: int, float or str."""
    is_wide = {field.name for field in dataclasses.fields(kind) if _WIDE in field.metadata}
    return {
        name: str if name in is_wide else property_type(declared)
        for name, declared in field_types(kind).items()
    }


def property_type(kind: Any) -> type[Any]:
    """Returns the type of the execution property that a value becomes: int, float or str."""
    declared = _declared(kind)
    if declared in (bool, int):
        return int
    return float if declared is float else str


def _content(kind: Any, value: Any) -> Any:
    """Returns a value as the JSON values of its field."""
    declared = _declared(kind)
    if declared is str and hasattr(value, "DESCRIPTOR"):
        from google.protobuf import json_format

        return json_format.MessageToJson(value, sort_keys=True)
    # MLMD has no truth values, so that those of properties come as 0 and 1.
    number = isinstance(value, (int, float))
    if declared is bool and number and value in (0, 1):
        return bool(value)
    # Other languages' JSON, and Vertex, have 5.0 for 5.
    if declared is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and not _is_text(declared) and property_type(declared) is str:
        try:
            return json.loads(value)
        except ValueError:
            # A group that people write as a word or two reads it itself.
            read = getattr(declared, "of_text", None)
            return to_json(read(value)) if read else value
    try:
        return to_json(value)
    except TypeError:
        return value


def _whole_number(value: Any) -> Any:
    """Returns a whole number that travelled as text; any other value as it is."""
    try:
        return int(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _is_text(declared: Any) -> bool:
    return declared is str or (isinstance(declared, type) and issubclass(declared, Enum))


def or_none(kind: Any) -> bool:
    return type(None) in typing.get_args(kind)


def _declared(kind: Any) -> Any:
    """Returns what a type is besides None."""
    if typing.get_origin(kind) not in (typing.Union, types.UnionType):
        return kind
    (declared,) = [option for option in typing.get_args(kind) if option is not type(None)]
    return declared
