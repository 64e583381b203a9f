"""The settings of a comparison as a TOML file, read and written.

A person corrects there what was guessed of the columns, once: the file stands beside the data, in
the same repository as the job that monitors them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

import numpy as np

from tfx_loop.core.errors import ConfigError, DataError, did_you_mean
from tfx_loop.core.json_codec import from_json
from tfx_loop.core.redaction import OPEN, Redaction
from tfx_loop.core.toml_file import read_toml
from tfx_loop.monitoring.drift.settings import ColumnThresholds, DriftSettings, FaultSettings
from tfx_loop.monitoring.file_comparison.options import ComparisonOptions
from tfx_loop.monitoring.file_comparison.plan import ComparisonPlan
from tfx_loop.monitoring.file_comparison.roles import GROUP, IDENTIFIER, TIME
from tfx_loop.monitoring.profile.bins import CategoryBins
from tfx_loop.monitoring.profile.column_roles import ColumnRoles
from tfx_loop.monitoring.profile.columns import FeatureType
from tfx_loop.monitoring.profile.reference import FeatureProfile

T = TypeVar("T")
IGNORE = "ignore"
# What a column is called in the file, and which field of ColumnRoles holds it.
_ROLES = {
    **{
        name: name
        for name in ("label", "time", "group", "weight", "categorical", "numeric", "text")
    },
    "id": "ids",
}
_TYPES = {
    FeatureType.NUMERIC: "numeric",
    FeatureType.INTEGER: "numeric",
    FeatureType.CATEGORICAL: "categorical",
    FeatureType.TEXT: "text",
}


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What a file says of a comparison.

    Attributes:
        settings: When a feature has drifted or is broken, and what columns are.
        options: How files are read and cut.
    """

    settings: DriftSettings = field(default_factory=DriftSettings)
    options: ComparisonOptions = field(default_factory=ComparisonOptions)


# Settings in the order of the file, and what is said of each.
_EXPLAINED = {
    "q": "rate of false alarms",
    "psi_floor": "PSI below which a difference does not matter",
    "missing_rise": "rise of the share of missing values that is a fault",
    "min_rows": "rows it takes to judge",
    "missing_values": "texts that stand for missing values, beside ?, None and the like",
    "decimal": 'mark of numbers that are written as text, "." or ","; "" tells it from them',
    "by": 'column whose values are compared one by one, too; "" for none',
    "every": 'chunks to judge one by one, "day", "week" or rows such as "5000"; "" for none',
    "windows_needed": "chunks in which a feature must differ to have drifted",
    "windows_looked_at": "out of so many chunks, the last ones",
    "multivariate": "test all numbers together, too (seconds)",
    "seed": "draws the samples",
}


def read_configuration(path: str) -> Configuration:
    """Returns what a file says; what it does not say keeps its default.

    Raises:
        DataError: The file is not there, or is no TOML.
        ConfigError: A key is unknown, a value has another type, or cannot work.
    """
    content = read_toml(path, "`loop monitor --write-config FILE` writes such a file.")
    columns = content.pop("columns", {})
    if not isinstance(columns, dict):
        raise ConfigError(f"Expected a table of columns in {path}, received {columns!r}.")
    known = [*_EXPLAINED, "columns"]
    for name in content:
        if name not in known:
            raise ConfigError(
                f"Expected {', '.join(known)} in {path}, received {name!r}."
                f"{did_you_mean(name, known)}"
            )
    roles, ignored, thresholds = _columns(columns, path)
    settings = replace(
        _given(DriftSettings, content, path),
        roles=roles,
        ignore_features=ignored,
        thresholds=thresholds,
        fault_settings=_given(FaultSettings, content, path),
    )
    return Configuration(settings=settings, options=_given(ComparisonOptions, content, path))


def overridden(
    base: Configuration,
    given: Mapping[str, Any],
    roles: ColumnRoles,
    ignore: Sequence[str] = (),
    thresholds: Mapping[str, ColumnThresholds] | None = None,
) -> Configuration:
    """Returns a configuration in which what somebody gave goes before what a file says.

    Args:
        base: What the file says.
        given: Fields of the settings and the options by name; None for those not given.
        roles: Of columns; a column that is named here has this role alone.
        ignore: Columns that are not compared, beside those of the file.
        thresholds: By column, in place of the file's.
    """
    named = {column for _, column in roles.pairs()}
    kept = [column for column in base.settings.ignore_features if column not in named]

    def chosen(kind: Any) -> dict[str, Any]:
        names = [part.name for part in fields(kind) if given.get(part.name) is not None]
        return {name: given[name] for name in names}

    settings = replace(
        base.settings,
        roles=base.settings.roles.overridden(roles),
        ignore_features=tuple(dict.fromkeys([*kept, *ignore])),
        thresholds={**base.settings.thresholds, **(thresholds or {})},
        **chosen(DriftSettings),
    )
    options = replace(base.options, **chosen(ComparisonOptions))
    return Configuration(settings=settings, options=options)


def _given(kind: type[T], content: Mapping[str, Any], path: str) -> T:
    """Returns a dataclass with those of its values that the file has."""
    names = {part.name for part in fields(kind)}  # type: ignore[arg-type]
    chosen = {name: value for name, value in content.items() if name in names}
    try:
        found: T = from_json(kind, chosen, path)
    except DataError as error:
        raise ConfigError(str(error)) from error
    return found


def _columns(
    content: Mapping[str, Any], path: str
) -> tuple[ColumnRoles, tuple[str, ...], dict[str, ColumnThresholds]]:
    named: dict[str, list[str]] = {}
    thresholds = {}
    for column, said in content.items():
        if not isinstance(said, dict):
            said = {"role": said}
        role = said.get("role", "")
        if role and role not in (*_ROLES, IGNORE):
            allowed = ", ".join((*_ROLES, IGNORE))
            raise ConfigError(
                f"Expected a role out of {allowed} for column {column!r} in {path}, received "
                f"{role!r}.{did_you_mean(str(role), (*_ROLES, IGNORE))}"
            )
        if role:
            named.setdefault(role, []).append(column)
        if numbers := {name: value for name, value in said.items() if name != "role"}:
            where = f"column {column!r} of {path}"
            try:
                thresholds[column] = from_json(ColumnThresholds, numbers, where, strict=True)
            except DataError as error:
                raise ConfigError(str(error)) from error
    ignored = tuple(named.pop(IGNORE, ()))
    return _roles_of(named, path), ignored, thresholds


def _roles_of(named: Mapping[str, Sequence[str]], path: str) -> ColumnRoles:
    values: dict[str, Any] = {}
    for role, columns in named.items():
        name = _ROLES[role]
        # Roles that many columns may have are tuples there, others a single name.
        if isinstance(getattr(ColumnRoles(), name), tuple):
            values[name] = tuple(columns)
        elif len(columns) > 1:
            raise ConfigError(f"Expected one column as {role} in {path}, received {columns}.")
        else:
            values[name] = columns[0]
    return ColumnRoles(**values)


def to_toml(
    plan: ComparisonPlan, configuration: Configuration, title: str, redaction: Redaction = OPEN
) -> str:
    """Returns a file that makes the same comparison, each line explained.

    Args:
        plan: What the columns of the reference were taken for.
        configuration: What the comparison was made with.
        title: Name of the reference.
        redaction: Which values the comments may show.
    """
    settings, options = configuration.settings, configuration.options
    values = {
        **{name: getattr(settings, name, None) for name in _EXPLAINED},
        **{f.name: getattr(options, f.name) for f in fields(options) if f.name in _EXPLAINED},
        # Of the faults' settings this alone is asked of people.
        "missing_rise": settings.fault_settings.missing_rise,
    }
    lines = [f"{name} = {_value(values[name])}  # {said}" for name, said in _EXPLAINED.items()]
    columns = [*_features(plan, settings, redaction), *_untested(plan, settings)]
    columns += [(name, IGNORE, "not compared") for name in settings.ignore_features]
    return "\n".join(
        [
            f"# Made by `loop monitor --write-config` from {title}.",
            "# Correct what is wrong, and give the file to `loop monitor --config`.",
            "",
            *lines,
            "",
            f"# Roles: {', '.join((*_ROLES, IGNORE))}.",
            "# A column without a role is what it reads as.",
            "# A column may have its own psi_floor, q and missing_rise:",
            '# price = { role = "numeric", psi_floor = 0.05, missing_rise = 0.1 }',
            "[columns]",
            *(_line(*column, settings) for column in columns),
            "",
        ]
    )


def _features(
    plan: ComparisonPlan, settings: DriftSettings, redaction: Redaction
) -> list[tuple[str, str, str]]:
    found: dict[str, tuple[str, str, str]] = {}
    for feature in plan.reference.features:
        kind = feature.kind or feature.type
        counts = feature.counts
        said = (
            f"{kind.value}, {_seen(feature, redaction)}{counts.missing / counts.rows:.1%} missing"
        )
        if feature.column == settings.roles.label:
            said = f"{said}; comes later than the rest"
        role = "label" if feature.column == settings.roles.label else _TYPES.get(kind, "")
        # A column of several features (length and words of a text) stands there once, by its first.
        found.setdefault(feature.column, (feature.column, role, said))
    return list(found.values())


def _seen(feature: FeatureProfile, redaction: Redaction) -> str:
    """What the reference's values are, by which a person tells whether the guess is right."""
    counts, bins = feature.counts, feature.bins
    if counts.minimum is not None and not redaction.hides(feature.column):
        return f"{counts.minimum:g} to {counts.maximum:g}, "
    if isinstance(bins, CategoryBins) and bins.categories and not feature.aspect:
        most = int(np.argmax(counts.bins[:-1]))
        more = " and more" if counts.bins[-1] else ""
        often = ""
        if redaction.names(int(counts.bins[most])) and not redaction.hides(feature.column):
            named = json.dumps(bins.categories[most], ensure_ascii=False)
            often = f", most often {named}"
        return f"{len(bins.categories)} values{more}{often}, "
    return ""


def _untested(plan: ComparisonPlan, settings: DriftSettings) -> list[tuple[str, str, str]]:
    roles = {IDENTIFIER: "id", GROUP: "group", "weight": "weight"}
    found = []
    for entry in plan.untested:
        role = roles.get(entry.role, "")
        if entry.role == TIME and entry.column == plan.time_column:
            # Whoever names it says that rows depend on those before: that is not for a guess.
            role = "time" if entry.column == settings.roles.time else ""
            note = f"time, orders the rows: {entry.note}"
        else:
            note = f"{entry.role}, not tested: {entry.note}"
        found.append((entry.column, role, note))
    return found


def _line(column: str, role: str, said: str, settings: DriftSettings) -> str:
    own = settings.thresholds.get(column, ColumnThresholds())
    given = {"role": role, **vars(own)}
    pairs = ", ".join(f"{name} = {_value(value)}" for name, value in given.items() if value)
    # TOML's bare keys; any other name is quoted.
    plain = column.isascii() and column.replace("_", "").replace("-", "").isalnum()
    name = column if plain else _value(column)
    return f"{name} = {{ {pairs} }}  # {said}" if pairs else f"{name} = {{}}  # {said}"


def _value(value: Any) -> str:
    """JSON's texts, numbers, truth values and arrays are TOML's."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
