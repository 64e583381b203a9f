"""What moved between two files? No pipeline, no model: one file is the reference of the other."""

from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from components.drift_monitor import report
from components.drift_monitor.drift import Rows, judge_counts, judged, verdict_of
from components.drift_monitor.duplicates import duplicate_rise
from components.drift_monitor.faults import (
    ABSENT_FEATURE,
    DUPLICATE_FLOOD,
    NOT_IN_REFERENCE,
    TYPE_CHANGED,
    Seen,
)
from components.drift_monitor.multivariate import MOST_ROWS, as_numbers, compared_together
from components.drift_monitor.page import render
from components.drift_monitor.passes import Counted, count_table
from components.drift_monitor.plan import Plan, make_plan
from components.drift_monitor.report import DriftReport, FeatureDrift
from components.drift_monitor.roles import EMPTY, View, is_index
from components.drift_monitor.schema import check_schema, read_schema
from components.drift_monitor.settings import DriftSettings
from components.drift_monitor.shapes import shape_of
from components.drift_monitor.telemetry import gauges, prometheus_text
from components.drift_monitor.window_parts import MOST_SHAPES
from components.errors import ConfigError, DataError
from components.profile.columns import flat
from components.profile.reference import FeatureProfile
from components.tables.table_file import TableFile, open_table

WHOLE_ROWS = "(rows)"
# What a report says of a model and its windows, and two files do not have.
_OF_MODELS = (
    *("model_name", "model_version", "model_versions", "reference_digest", "history"),
    *("shapes", "estimated", "realised", "past"),
)


@dataclass(frozen=True)
class Comparison:
    """Both files, the plan and what was counted: what a report rests on.

    Attributes:
        report: Features of all rows and of slices.
        plan: Columns and bins.
        reference: Counts of the reference.
        current: Counts of the current file.
    """

    report: DriftReport
    plan: Plan
    reference: Counted
    current: Counted


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
    sample_rows = MOST_ROWS if multivariate else 0
    before = count_table(reference, plan, sample_rows, seed)
    now = count_table(current, plan, sample_rows, seed + 1)
    rows = Rows(before.rows, now.rows)
    enough = min(rows.reference, rows.current) >= settings.min_rows
    features = [_feature(view, "", plan, before, now, settings, enough) for view in plan.views]
    if plan.slices:
        features += _sliced(plan, before, now, settings)
    features += _not_in_plan(plan, current, settings) if now.rows else []
    if multivariate and enough:
        features += _together(plan, before, now, seed)
    if schema is not None:
        features += check_schema(current, schema)
    rise = duplicate_rise(before.distinct, now.distinct) if enough else 0.0
    if rise > settings.faults.duplicate_rise:
        features.append(_duplicates(rise))
    features = list(judged(features if now.rows else [], settings))
    verdict, reason, explanation = verdict_of(features, rows, settings)
    return Comparison(
        DriftReport(
            verdict=verdict,
            reason=reason,
            explanation=explanation.replace("the window", "the current file"),
            window=current.path,
            model_name="",
            model_version=0,
            model_versions={},
            reference_rows=rows.reference,
            current_rows=rows.current,
            features=tuple(features),
            settings=settings.to_json(),
        ),
        plan,
        before,
        now,
    )


def _feature(
    view: View,
    slice_name: str,
    plan: Plan,
    before: Counted,
    now: Counted,
    settings: DriftSettings,
    enough: bool,
) -> FeatureDrift:
    blank = FeatureDrift(feature=view.feature, type=view.type, slice=slice_name)
    if view.feature in now.absent:
        return replace(blank, fault=ABSENT_FEATURE, note="no such column in the current file")
    if view.feature in now.misfits:
        note = f"{view.type} in the reference, {now.misfits[view.feature]} in the current file"
        return replace(blank, fault=TYPE_CHANGED, note=note)
    counts = now.counts.get((slice_name, view.feature))
    trained = before.counts.get((slice_name, view.feature))
    if counts is None or trained is None:
        return replace(blank, note="no rows")
    profile = FeatureProfile(view.feature, view.kind, plan.bins[view.feature], trained)
    seen = Seen(profile, counts) if slice_name else Seen(profile, counts, now.traits[view.feature])
    feature = judge_counts(seen, settings, enough)
    if slice_name:
        feature = replace(feature, fault=None, note="")
    return replace(feature, type=view.type, slice=slice_name)


def _sliced(
    plan: Plan, before: Counted, now: Counted, settings: DriftSettings
) -> list[FeatureDrift]:
    """Slices with rows enough; a fault is told once, for all rows."""
    assert plan.slices is not None
    found = []
    for name in filter(None, plan.slices.names):
        for view in plan.views:
            counted = [side.counts.get((name, view.feature)) for side in (before, now)]
            if all(counts and counts.rows >= settings.min_rows for counts in counted):
                found.append(_feature(view, name, plan, before, now, settings, True))
    return found


def _not_in_plan(plan: Plan, current: TableFile, settings: DriftSettings) -> list[FeatureDrift]:
    planned = {view.column for view in plan.views}
    untested = {entry.column: entry for entry in plan.untested}
    found = []
    for name in current.schema.names:
        if is_index(name):
            continue
        empty = name in untested and untested[name].role == EMPTY
        if name in settings.ignore_features or name in planned:
            continue
        if name not in untested or (empty and str(current.schema.field(name).type) != "null"):
            kind = str(current.schema.field(name).type)
            note = "not in the reference, or without a value there"
            found.append(FeatureDrift(feature=name, type=kind, fault=NOT_IN_REFERENCE, note=note))
    for name, entry in untested.items():
        if not any(feature.feature == name for feature in found):
            found.append(FeatureDrift(feature=name, type=entry.role, note=entry.note))
    return found


def _together(plan: Plan, before: Counted, now: Counted, seed: int) -> list[FeatureDrift]:
    names: list[str] = []
    sides: tuple[list[Any], list[Any]] = ([], [])
    for view in plan.views:
        name = view.feature
        if not (name in before.samples and name in now.samples) or name in now.misfits:
            continue
        profile = FeatureProfile(name, view.kind, plan.bins[name], before.counts["", name])
        names.append(name)
        for columns, side in zip(sides, (before, now), strict=True):
            columns.append(as_numbers(flat(pa.chunked_array(side.samples[name])), profile))
    found = compared_together(names, *sides, seed)
    return [found] if found else []


def _duplicates(rise: float) -> FeatureDrift:
    return FeatureDrift(
        feature=WHOLE_ROWS,
        type="rows",
        fault=DUPLICATE_FLOOD,
        note=f"{rise:.0%} more of the rows repeat another row than in the reference",
    )


def page_of(comparison: Comparison, title: str = "") -> str:
    """Returns the comparison as one self-contained HTML page; the title is a line above it."""
    before, now, bins = comparison.reference, comparison.current, comparison.plan.bins
    kinds = {view.feature: view.kind for view in comparison.plan.views}
    shapes = []
    whole = [feature for feature in comparison.report.features if not feature.slice]
    for feature in whole[:MOST_SHAPES]:
        name = feature.feature
        counts = now.counts.get(("", name))
        if counts and name not in now.misfits:
            profile = FeatureProfile(name, kinds[name], bins[name], before.counts["", name])
            shapes.append(shape_of(profile, counts))
    parts = replace(comparison.report.parts, shapes=tuple(shapes))
    return render(replace(comparison.report, parts=parts), title=title or comparison.report.window)


def prometheus_of(comparison: Comparison) -> str:
    """Returns the comparison's numbers as gauges in Prometheus' text format."""
    return prometheus_text(gauges(comparison.report))


def to_json(comparison: Comparison) -> dict[str, object]:
    """Returns what `loop monitor --json` prints: features of all rows, and slices apart."""
    content = report.to_json(comparison.report)
    features = content.pop("features")
    for name in _OF_MODELS:
        content.pop(name)
    content["rows"].pop("failed")
    content["features"] = [entry for entry in features if not entry["slice"]]
    content["slices"] = [entry for entry in features if entry["slice"]]
    return dict(content)
