"""Notes on columns beside their test: roles, new columns, cells that did not fit."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow.compute as pc

from tfx_loop.contracts.drift_report import FeatureDrift
from tfx_loop.core.errors import did_you_mean
from tfx_loop.core.redaction import OPEN, Redaction
from tfx_loop.data.tables.table_file import TableFile
from tfx_loop.monitoring.drift.all_features import NEW_COLUMN
from tfx_loop.monitoring.drift.data_faults.faults import (
    ABSENT_FEATURE,
    ALL_MISSING,
    CONSTANT_VALUE,
    TYPE_CHANGED,
)
from tfx_loop.monitoring.drift.data_faults.schema import BREACH
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.file_comparison.cells import EXAMPLES, CellTally
from tfx_loop.monitoring.file_comparison.counting import CountedRows
from tfx_loop.monitoring.file_comparison.plan import ComparisonPlan
from tfx_loop.monitoring.file_comparison.roles import (
    EMPTY,
    IDENTIFIER,
    ROW_NUMBERS,
    TIME,
    WEIGHT,
    is_row_number,
)
from tfx_loop.monitoring.file_comparison.untested_faults import faults_of_untested
from tfx_loop.monitoring.profile.columns import FeatureType, is_number
from tfx_loop.monitoring.profile.reference import FrozenProfile
from tfx_loop.monitoring.profile.window_profile import WindowProfile

# Role of the column that comes later than the others.
LABEL = "label"
# What a fault is where every cell that does not fit is a number with a decimal comma.
DECIMAL_COMMAS = "all of them are numbers with a decimal comma (--decimal ,)"


# What is said of the faults of columns that are not tested.
_LOST = {
    ABSENT_FEATURE: "",
    ALL_MISSING: "no value in the current file",
    CONSTANT_VALUE: "one value in all rows of the current file, another in nearly each before",
    TYPE_CHANGED: "dates or times in the reference, texts that are none in the current file",
}


def awaited_label(
    label: str, profile: FrozenProfile, now: WindowProfile, settings: DriftSettings
) -> FeatureDrift | None:
    """Returns an entry for a label whose values have not all come yet; None where they have."""
    for feature in profile.features:
        if feature.column != label:
            continue
        counts, trained = now.total(feature.name).counts, feature.counts
        rise = counts.missing / max(counts.rows, 1) - trained.missing / max(trained.rows, 1)
        # A label with as few gaps as no feature may have on top is there, and tested as one.
        if rise > settings.fault_settings.missing_rise / 4:
            there = f"{counts.present:,} of {counts.rows:,} rows have one yet"
            return FeatureDrift(feature=label, type=LABEL, note=there)
    return None


def with_note(
    feature: FeatureDrift,
    reference: FrozenProfile,
    types: Mapping[str, Any],
    tallies: Mapping[str, CellTally],
    new: Collection[str] = (),
    redaction: Redaction = OPEN,
) -> FeatureDrift:
    """Returns the feature with what a file's schema and cells say of it.

    Args:
        feature: As it was judged.
        reference: The profile of the reference.
        types: pyarrow type of each column of the current file.
        tallies: Its cells that did not fit, by column.
        new: Its columns that the reference does not have: one of them may be a feature renamed.
        redaction: Which cells may be quoted.
    """
    if feature.type == BREACH or feature.slice:
        return feature
    column = next((p.column for p in reference.features if p.name == feature.feature), "")
    column = column or feature.feature
    if feature.fault == ABSENT_FEATURE:
        return replace(
            feature,
            note=f"no such column in the current file{_renamed(column, feature, types, new)}",
        )
    tally = tallies.get(column, CellTally())
    told = [feature.note]
    if feature.fault == TYPE_CHANGED and feature.type != TIME:
        received = types[column]
        told = [f"{feature.type} in the reference, {received} in the current file"]
    if tally.unfit:
        # What was counted as unfit, told with its cells below.
        told[0] = "" if re.match(r"[\d,]+ values? (is|are) not ", told[0]) else told[0]
        quoted = _such_as(redaction.examples(column, tally.examples, EXAMPLES))
        first = f", first in row {tally.first_unfit:,}" if tally.first_unfit else ""
        told.append(f"{_cells(tally.unfit, 'does not fit', 'do not fit')}{quoted}{first}")
        if not quoted and not redaction.hides(column):
            told.append("--min-count 1 quotes them")
        if feature.fault == TYPE_CHANGED and tally.commas == tally.unfit:
            told.append(DECIMAL_COMMAS)
    if tally.fractions:
        quoted = _such_as(redaction.examples(column, tally.fractional, EXAMPLES))
        fractional = _cells(tally.fractions, "is no whole number", "are no whole numbers")
        told.append(f"{fractional} and counted as rounded{quoted}")
    if tally.origin:
        told.append(f"counted from {tally.origin:,}")
    if tally.missing:
        told.append(f"{tally.missing:,} read as missing{_such_as(tally.markers)}")
    return replace(feature, note="; ".join(filter(None, told)))


def _renamed(
    column: str, feature: FeatureDrift, types: Mapping[str, Any], new: Collection[str]
) -> str:
    """Which new column an absent one may be: one of a like name, or the only one of its kind."""
    if alike := did_you_mean(column, new):
        return f".{alike}"
    # By kind as well: a new text is no renamed number.
    numeric = feature.type in (FeatureType.NUMERIC.value, FeatureType.INTEGER.value)
    others = [name for name in new if is_number(types[name]) == numeric]
    return f". Is it {others[0]!r}, which is new?" if len(others) == 1 else ""


def _cells(count: int, one: str, several: str) -> str:
    return f"1 cell {one}" if count == 1 else f"{count:,} cells {several}"


def _such_as(cells: Sequence[str]) -> str:
    return f", such as {', '.join(repr(cell) for cell in cells)}" if cells else ""


def not_in_plan(
    plan: ComparisonPlan,
    current: TableFile,
    settings: DriftSettings,
    before: CountedRows,
    now: CountedRows,
) -> list[FeatureDrift]:
    """Returns what there is to say of columns that are not compared.

    Args:
        plan: What is compared.
        current: The current file.
        settings: Which columns are ignored.
        before: What was counted of the reference.
        now: What was counted of the current file.
    """
    planned = {profile.column for profile in plan.reference.features}
    untested = {entry.column: entry for entry in plan.untested}
    found = []
    for field in current.schema:
        name = field.name
        if name in settings.ignore_features or name in planned:
            continue
        if name not in untested and is_row_number(name, field.type):
            found.append(FeatureDrift(feature=name, type=IDENTIFIER, note=ROW_NUMBERS))
        elif name not in untested:
            found.append(FeatureDrift(feature=name, type=str(field.type), note=NEW_COLUMN))
    there = _values_in(current, [name for name, entry in untested.items() if entry.role == EMPTY])
    roles = settings.roles
    faults = faults_of_untested(current, plan.untested, (roles.label,), settings.min_rows)
    for name, entry in untested.items():
        if fault := faults.get(name):
            found.append(
                FeatureDrift(feature=name, type=entry.role, fault=fault, note=_LOST[fault])
            )
            continue
        more = f", {there[name]:,} in the current file" if there.get(name) else ""
        if entry.role == WEIGHT:
            more = f": {now.rows:,} rows as {now.counts.rows:,} of equal weight"
            more += f", {before.rows:,} of the reference as {before.counts.rows:,}"
        found.append(FeatureDrift(feature=name, type=entry.role, note=entry.note + more))
    return found


def _values_in(table: TableFile, columns: Sequence[str]) -> dict[str, int]:
    """Returns how many rows have a value in each of the columns that the table has."""
    names = [name for name in columns if name in table.schema.names]
    found = dict.fromkeys(names, 0)
    for batch in table.batches(names) if names else ():
        for name, column in zip(names, batch.columns, strict=True):
            missing = column.is_null(nan_is_null=True)
            found[name] += len(column) - (pc.sum(missing).as_py() or 0)
    return found
