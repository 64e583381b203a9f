"""A comparison as JSON, as a page and as gauges."""

from dataclasses import dataclass, replace

from tfx_loop.contracts.drift_report import DRIFT_REPORT, DriftResult
from tfx_loop.monitoring.drift.page import render
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.drift.shapes import shapes_of
from tfx_loop.monitoring.drift.telemetry import gauges, prometheus_text
from tfx_loop.monitoring.profile.reference import FrozenProfile
from tfx_loop.monitoring.profile.window_profile import WindowProfile

# What a report says of a model and its windows, and two files do not have.
_OF_MODELS = (
    *("model_name", "model_version", "model_versions", "reference_digest", "history"),
    *("shapes", "estimated", "realised", "past", "longest_gap_share", "start_ms", "end_ms"),
)


@dataclass(frozen=True)
class Comparison:
    """A report, and what it rests on.

    Attributes:
        report: Features of all rows and of slices.
        reference: The profile of the baseline.
        current: What came since, counted on its bins.
        settings: When a feature has drifted or is broken.
    """

    report: DriftResult
    reference: FrozenProfile
    current: WindowProfile
    settings: DriftSettings


def page_of(comparison: Comparison, title: str = "") -> str:
    """Returns the comparison as one self-contained HTML page; the title is a line above it."""
    found = comparison.report
    settings = replace(comparison.settings, ignore_features=())
    shapes = shapes_of(found.features, comparison.reference, comparison.current, settings)
    return render(replace(found, shapes=shapes), title=title or found.window)


def prometheus_of(comparison: Comparison) -> str:
    """Returns the comparison's numbers as gauges in Prometheus' text format."""
    return prometheus_text(gauges(comparison.report))


def to_json(comparison: Comparison) -> dict[str, object]:
    """Returns what `loop monitor --json` prints: features of all rows, and slices apart."""
    content = DRIFT_REPORT.content(comparison.report)
    features = content.pop("features")
    for name in _OF_MODELS:
        content.pop(name)
    content["rows"].pop("failed")
    content["features"] = [entry for entry in features if not entry["slice"]]
    content["slices"] = [entry for entry in features if entry["slice"]]
    return dict(content)
