"""What moved between two files? No pipeline, no model: one file is the reference of the other."""

from dataclasses import replace
from typing import Any

import pyarrow as pa

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.data.tables.table_file import TableFile, open_table
from tfx_loop.monitoring.drift.data_faults.duplicates import duplicate_flood
from tfx_loop.monitoring.drift.data_faults.faults import (
    ABSENT_FEATURE,
    NOT_IN_REFERENCE,
    TYPE_CHANGED,
)
from tfx_loop.monitoring.drift.data_faults.schema import check_schema, read_schema
from tfx_loop.monitoring.drift.drift import Rows, judged, verdict_of
from tfx_loop.monitoring.drift.export import Comparison
from tfx_loop.monitoring.drift.measuring import measure, watched
from tfx_loop.monitoring.drift.report import DriftReport, FeatureDrift
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.drift.statistics.multivariate import MOST_ROWS, compared_together
from tfx_loop.monitoring.file_comparison.file_rows import file_layout, read_rows
from tfx_loop.monitoring.file_comparison.plan import SLICE, Plan, make_plan
from tfx_loop.monitoring.file_comparison.roles import EMPTY, is_index
from tfx_loop.monitoring.profile.profiler import Profiler
from tfx_loop.monitoring.profile.reference import ReferenceProfile
from tfx_loop.monitoring.profile.window_profile import WindowProfile


def compare_paths(
    reference: str, current: str, settings: DriftSettings, schema: str = "", **options: Any
) -> Comparison:
    """Opens two files, and TFDV's schema where one is named, and compares; see compare_files."""
    promised = read_schema(schema) if schema else None
    files = open_table(reference), open_table(current)
    try:
        return compare_files(*files, settings, schema=promised, **options)
    except pa.ArrowException as error:
        raise DataError(
            f"Expected columns that can be compared in {current}, received: {error}. "
            "Leave the column out with ignore_features."
        ) from error


def compare_files(
    reference: TableFile,
    current: TableFile,
    settings: DriftSettings,
    *,
    by: str = "",
    schema: Any = None,
    multivariate: bool = False,
    seed: int = 0,
) -> Comparison:
    """Compares a file with a reference file, column by column.

    Args:
        reference: What is usual. It is read twice.
        current: What came since. It is read once.
        settings: When a feature has drifted or is broken.
        by: Column whose values slice the rows; empty for none.
        schema: TFDV's Schema message that the current file has to keep to; None for none.
        multivariate: Test all features together, too (multivariate.py).
        seed: Of the sample that bins are frozen on.

    Raises:
        ConfigError: A setting names a column that is not there.
        DataError: A file is damaged, or the reference has no rows.
    """
    known = {*reference.schema.names, *current.schema.names}
    if unknown := sorted(set(settings.ignore_features) - known):
        raise ConfigError(f"Expected columns to ignore, received {unknown}. There are none such.")
    plan = make_plan(reference, settings.ignore_features, by, seed)
    before = _counted(reference, plan, plan.reference)
    trained = _settled(plan.reference, before)
    now = _counted(current, plan, trained)
    rows = Rows(before.rows, now.rows)
    enough = min(rows.reference, rows.current) >= settings.min_rows
    # Columns to ignore may be there to slice by: they are no features of the plan already.
    watching = replace(settings, ignore_features=())
    usual = replace(before, reference=trained.digest()) if plan.slices else None
    measured = measure(trained, now, watching, usual=usual, sparse=False)
    features = [_told(feature, trained, current, by) for feature in measured]
    features = [f for f in features if not (f.slice and _column(f.feature, trained) == by)]
    if rows.current:
        features += _not_in_plan(plan, current, settings)
    samples = before.sample.answered(), now.sample.answered()
    if multivariate and enough:
        whole = {f.feature for f in features if f.p_value is not None and not f.fault}
        profiles = [p for p in watched(trained, watching) if p.name in whole]
        features += compared_together(profiles, *samples, seed)
    if schema is not None:
        features += check_schema(current, schema, settings.ignore_features)
    features += duplicate_flood(before.contents, now.contents, settings, features)
    ranked = judged(features if rows.current else [], settings)
    verdict, reason, explanation = verdict_of(ranked, rows, settings)
    found = DriftReport(
        verdict=verdict,
        reason=reason,
        explanation=_of_files(explanation),
        window=current.path,
        model_name="",
        model_version=0,
        model_versions={},
        reference_rows=rows.reference,
        current_rows=rows.current,
        features=ranked,
        settings=settings.to_json(),
    )
    return Comparison(found, trained, now, settings)


def _counted(table: TableFile, plan: Plan, reference: ReferenceProfile) -> WindowProfile:
    return Profiler(reference, file_layout(MOST_ROWS)).profile_all(read_rows(table, plan))


def _settled(frozen: ReferenceProfile, counted: WindowProfile) -> ReferenceProfile:
    """Returns the profile with the counts of all rows in place of the sample's."""
    features = [replace(f, counts=counted.total(f.name).counts) for f in frozen.features]
    return replace(frozen, rows_total=counted.rows, features=tuple(features))


def _told(
    feature: FeatureDrift, reference: ReferenceProfile, current: TableFile, by: str
) -> FeatureDrift:
    """Returns the feature in the words of files."""
    name = _column(feature.feature, reference)
    feature = replace(feature, slice=feature.slice.removeprefix(f"{SLICE}="))
    if feature.fault == ABSENT_FEATURE:
        return replace(feature, note="no such column in the current file")
    if feature.fault == TYPE_CHANGED:
        received = current.schema.field(name).type
        note = f"{feature.type} in the reference, {received} in the current file"
        return replace(feature, note=note)
    return feature


def _of_files(explanation: str) -> str:
    words = {"the window": "the current file", "The window": "The current file"}
    words["ignore_features"] = "--ignore"
    for ours, theirs in words.items():
        explanation = explanation.replace(ours, theirs)
    return explanation


def _column(feature: str, reference: ReferenceProfile) -> str:
    return next((p.column for p in reference.features if p.name == feature), feature)


def _not_in_plan(plan: Plan, current: TableFile, settings: DriftSettings) -> list[FeatureDrift]:
    planned = {profile.column for profile in plan.reference.features}
    untested = {entry.column: entry for entry in plan.untested}
    found = []
    for name in current.schema.names:
        if is_index(name) or name in settings.ignore_features or name in planned:
            continue
        empty = name in untested and untested[name].role == EMPTY
        if name not in untested or (empty and str(current.schema.field(name).type) != "null"):
            kind = str(current.schema.field(name).type)
            note = "not in the reference, or without a value there"
            found.append(FeatureDrift(feature=name, type=kind, fault=NOT_IN_REFERENCE, note=note))
    for name, entry in untested.items():
        if not any(feature.feature == name for feature in found):
            found.append(FeatureDrift(feature=name, type=entry.role, note=entry.note))
    return found
