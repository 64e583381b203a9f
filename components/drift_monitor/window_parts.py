"""What does a report say of a window beside its features? Made from the window's own rows."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from components.drift_monitor.estimation import estimated_quality, widened
from components.drift_monitor.past import as_past, carried
from components.drift_monitor.report import DriftReport, FeatureDrift
from components.drift_monitor.report_parts import Parts, RealisedQuality, Shape
from components.drift_monitor.settings import DriftSettings
from components.drift_monitor.shapes import shape_of
from components.errors import DataError
from components.profile.aspects import aspect_of
from components.profile.columns import fits
from components.profile.counts import ColumnCounts, count
from components.profile.reference import FeatureProfile, ReferenceProfile

MOST_SHAPES = 24


def with_parts(
    report: DriftReport,
    reference: ReferenceProfile,
    columns: Mapping[str, Any],
    settings: DriftSettings,
    previous: DriftReport | None = None,
    realised: RealisedQuality | None = None,
) -> DriftReport:
    """Returns the report with its pictures, its quality and the windows before it.

    Args:
        report: Of the window, with ranked features.
        reference: What the window was compared with.
        columns: The window's rows by feature and `output.<name>`.
        settings: What the report was made with.
        previous: The report of the window before.
        realised: Quality of an earlier window whose labels have come.
    """
    score = reference.score if settings.score_output else None
    estimated = estimated_quality(
        score,
        reference.score_positives,
        _counted(score, columns.get(settings.score_output)) if score else None,
        settings.score_threshold,
    )
    before = previous.parts.past if previous else ()
    if estimated:
        met = carried(before, as_past(report), realised)
        same = [w for w in met[:-1] if w.model_version == report.model_version]
        estimated = widened(estimated, same)
    shapes = _shapes(report.features, reference, columns, settings)
    parts = Parts(shapes=shapes, estimated=estimated, realised=realised)
    whole = replace(report, parts=parts)
    past = carried(before, as_past(whole), realised)
    return replace(whole, parts=replace(parts, past=past))


def _shapes(
    features: Sequence[FeatureDrift],
    reference: ReferenceProfile,
    columns: Mapping[str, Any],
    settings: DriftSettings,
) -> tuple[Shape, ...]:
    known = {profile.name: profile for profile in reference.features}
    if reference.score and settings.score_output:
        known[settings.score_output] = replace(reference.score, name=settings.score_output)
    shapes = []
    weights = {name: max(value, 0.0) for name, value in reference.importances.items()}
    total = sum(weights.values())
    for feature in features[:MOST_SHAPES]:
        profile = known.get(feature.feature)
        counts = _counted(profile, columns.get(profile.column)) if profile else None
        if profile and counts:
            shape = shape_of(profile, counts)
            if total and profile.column in weights:
                shape = replace(shape, importance=round(weights[profile.column] / total, 4))
            shapes.append(shape)
    return tuple(shapes)


def _counted(profile: FeatureProfile, column: Any) -> ColumnCounts | None:
    if column is None:
        return None
    try:
        values = aspect_of(column, profile.aspect)
    except DataError:
        return None
    return count(values, profile.type, profile.bins) if fits(values, profile.type) else None
