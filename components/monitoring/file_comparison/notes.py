"""What a report says of columns beside their test: roles, new columns, cells that did not fit."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow.compute as pc

from tfx_loop.contracts.drift_report import FeatureDrift
from tfx_loop.data.tables.table_file import TableFile
from tfx_loop.monitoring.drift.data_faults.faults import ABSENT_FEATURE, TYPE_CHANGED
from tfx_loop.monitoring.drift.data_faults.schema import BREACH
from tfx_loop.monitoring.drift.measurement import NEW_COLUMN
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.file_comparison.cells import CellTally
from tfx_loop.monitoring.file_comparison.plan import ComparisonPlan
from tfx_loop.monitoring.file_comparison.roles import (
    EMPTY,
    IDENTIFIER,
    ROW_NUMBERS,
    is_row_number,
)
from tfx_loop.monitoring.profile.reference import FrozenProfile
from tfx_loop.monitoring.profile.window_profile import WindowProfile

# Role of the column that comes later than the others.
LABEL = "label"
# What a fault is where every cell that does not fit is a number with a decimal comma.
DECIMAL_COMMAS = "all of them are numbers with a decimal comma (--decimal ,)"


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
    current: TableFile,
    tallies: Mapping[str, CellTally],
) -> FeatureDrift:
    """Returns the feature with what a file's schema and cells say of it."""
    if feature.type == BREACH or feature.slice:
        return feature
    if feature.fault == ABSENT_FEATURE:
        return replace(feature, note="no such column in the current file")
    column = next((p.column for p in reference.features if p.name == feature.feature), "")
    column = column or feature.feature
    tally = tallies.get(column, CellTally())
    told = [feature.note]
    if feature.fault == TYPE_CHANGED:
        received = current.schema.field(column).type
        told = [f"{feature.type} in the reference, {received} in the current file"]
    if tally.unfit:
        told[0] = "" if "values are not" in told[0] else told[0]
        told.append(f"{tally.unfit:,} cells do not fit, such as {_listed(tally.examples)}")
        if feature.fault == TYPE_CHANGED and tally.commas == tally.unfit:
            told.append(DECIMAL_COMMAS)
    if tally.fractions:
        shown = _listed(tally.fractional)
        told.append(
            f"{tally.fractions:,} are no whole numbers and count as rounded, such as {shown}"
        )
    if tally.missing:
        told.append(f"{tally.missing:,} read as missing, such as {_listed(tally.markers)}")
    return replace(feature, note="; ".join(filter(None, told)))


def _listed(cells: Sequence[str]) -> str:
    return ", ".join(repr(cell) for cell in cells)


def not_in_plan(
    plan: ComparisonPlan, current: TableFile, settings: DriftSettings
) -> list[FeatureDrift]:
    """Returns what there is to say of columns that are not compared."""
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
    for name, entry in untested.items():
        more = f", {there[name]:,} in the current file" if there.get(name) else ""
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
