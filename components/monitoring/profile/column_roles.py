"""Roles and types of columns, where their names and values do not tell them.

Named once by the user, in flags, in a file or in the settings of a node, and understood alike by
ReferenceProfiler, DriftMonitor, `loop monitor` and `tfx_loop.monitor`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields

from tfx_loop.core.errors import ConfigError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class ColumnRoles:
    """What columns are; a column that is named nowhere is what it reads as.

    Attributes:
        label: What a model learns: it comes later than the rest, and is no fault while it lacks.
        time: Orders the rows, which then may depend on those before, and cuts them into windows;
            not tested.
        group: Says which rows belong together, as those of one customer, and depend on each other;
            not tested.
        weight: How many rows of the world a row stands for; not tested.
        ids: Name rows; not tested.
        categorical: Categories, though they are written as numbers.
        numeric: Numbers, though they read as times, keys or codes.
        text: Prose, compared by its length and its words.
    """

    label: str = ""
    time: str = ""
    group: str = ""
    weight: str = ""
    ids: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    text: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known: dict[str, str] = {}
        for role, column in self.pairs():
            other = known.setdefault(column, role)
            # A label may have a type as well: it is tested like a feature once it has come.
            if other != role and other != "label":
                raise ConfigError(
                    f"Expected one role for column {column!r}, received {other} and {role}."
                )

    def pairs(self) -> list[tuple[str, str]]:
        """Returns each role with a column that has it."""
        found = []
        for field in fields(self):
            value = getattr(self, field.name)
            named = (value,) if isinstance(value, str) else value
            found += [(field.name, column) for column in named if column]
        return found

    @property
    def untested(self) -> frozenset[str]:
        """Columns that say whose row it is, when, and what it counts: no features."""
        return frozenset({self.time, self.group, self.weight, *self.ids} - {""})

    @property
    def features(self) -> frozenset[str]:
        """Columns that are features whatever they read as."""
        return frozenset({*self.categorical, *self.numeric, *self.text})

    def overridden(self, later: "ColumnRoles") -> "ColumnRoles":
        """Returns these roles where `later` does not name another column, or another role."""
        named = {column for _, column in later.pairs()}
        values: dict[str, str | tuple[str, ...]] = {}
        for field in fields(self):
            own, other = getattr(self, field.name), getattr(later, field.name)
            if isinstance(own, str):
                values[field.name] = other or ("" if own in named else own)
            else:
                kept = tuple(column for column in own if column not in named)
                values[field.name] = (*kept, *other)
        return ColumnRoles(**values)  # type: ignore[arg-type]

    def check(self, columns: Iterable[str]) -> None:
        """Raises ConfigError where a role names none of the columns."""
        known = list(columns)
        for role, column in self.pairs():
            if column not in known:
                raise ConfigError(
                    f"Expected a column of the reference as {role}, received {column!r}."
                    f"{did_you_mean(column, known) or f' It has {known}.'}"
                )
