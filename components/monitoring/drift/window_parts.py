"""What does a report say of a window beside its features? Made from the window's own counts."""

from collections.abc import Sequence
from dataclasses import replace

from tfx_loop.monitoring.drift.history import as_past, carried
from tfx_loop.monitoring.drift.measuring import watched
from tfx_loop.monitoring.drift.quality.estimation import corrected_by_labels, estimated_quality
from tfx_loop.monitoring.drift.report import DriftReport, FeatureDrift
from tfx_loop.monitoring.drift.report_parts import Parts, RealisedQuality, Shape
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.drift.shapes import shape_of
from tfx_loop.monitoring.profile.reference import ReferenceProfile
from tfx_loop.monitoring.profile.window_profile import WindowProfile

MOST_SHAPES = 24


def with_parts(
    report: DriftReport,
    reference: ReferenceProfile,
    window: WindowProfile,
    settings: DriftSettings,
    previous: DriftReport | None = None,
    realised: RealisedQuality | None = None,
) -> DriftReport:
    """Returns the report with its pictures, its quality and the windows before it.

    Args:
        report: Of the window, with ranked features.
        reference: What the window was compared with.
        window: The window's counts.
        settings: What the report was made with.
        previous: The report of the window before.
        realised: Quality of an earlier window whose labels have come.
    """
    scored = reference.score and settings.score_output and window.has(settings.score_output)
    estimated = estimated_quality(
        reference.score if settings.score_output else None,
        reference.score_positives,
        window.total(settings.score_output).counts if scored else None,
        settings.score_threshold,
    )
    before = previous.parts.past if previous else ()
    if estimated:
        met = carried(before, as_past(report), realised)
        same = [w for w in met[:-1] if w.model_version == report.model_version]
        estimated = corrected_by_labels(estimated, same)
    parts = Parts(
        shapes=shapes_of(report.features, reference, window, settings),
        estimated=estimated,
        realised=realised,
    )
    whole = replace(report, parts=parts)
    past = carried(before, as_past(whole), realised)
    return replace(whole, parts=replace(parts, past=past))


def shapes_of(
    features: Sequence[FeatureDrift],
    reference: ReferenceProfile,
    window: WindowProfile,
    settings: DriftSettings,
) -> tuple[Shape, ...]:
    """Returns pictures of the highest ranked features that were counted."""
    known = {profile.name: profile for profile in watched(reference, settings)}
    weights = {name: max(value, 0.0) for name, value in reference.importances.items()}
    total = sum(weights.values())
    shapes = []
    for feature in [feature for feature in features if not feature.slice][:MOST_SHAPES]:
        profile = known.get(feature.feature)
        if not profile or not window.has(profile.name):
            continue
        counts = window.total(profile.name).counts
        if counts.absent < counts.rows:
            shape = shape_of(profile, counts)
            if total and profile.column in weights:
                shape = replace(shape, importance=round(weights[profile.column] / total, 4))
            shapes.append(shape)
    return tuple(shapes)
