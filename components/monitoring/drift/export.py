"""A comparison as JSON, as a page and as gauges."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tfx_loop.contracts.drift_report import DRIFT_REPORT, DriftResult
from tfx_loop.core.redaction import OPEN, Redaction
from tfx_loop.monitoring.drift.history import MOST_WINDOWS, past_window
from tfx_loop.monitoring.drift.page import render
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.drift.shapes import shapes_of
from tfx_loop.monitoring.drift.telemetry import gauges, prometheus_text
from tfx_loop.monitoring.profile.column_roles import ColumnRoles
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
        redaction: Which values it may show.
        chunks: The current rows cut into windows, each judged by itself; empty where they are not.
    """

    report: DriftResult
    reference: FrozenProfile
    current: WindowProfile
    settings: DriftSettings
    redaction: Redaction = OPEN
    chunks: tuple[DriftResult, ...] = ()


def page_of(comparison: Comparison, title: str = "") -> str:
    """Returns the comparison as one self-contained HTML page; the title is a line above it."""
    found = comparison.report
    settings = replace(comparison.settings, ignore_features=(), roles=ColumnRoles())
    shapes = shapes_of(
        found.features, comparison.reference, comparison.current, settings, comparison.redaction
    )
    shown = replace(found, shapes=shapes)
    if comparison.chunks:
        past = tuple(past_window(chunk) for chunk in comparison.chunks[-MOST_WINDOWS:])
        # Beside its chunks the whole is one more column of the picture.
        shown = replace(shown, past=past[1 - MOST_WINDOWS :], window="all rows")
    return render(shown, title=title or found.window)


def prometheus_of(comparison: Comparison) -> str:
    """Returns the comparison's numbers as gauges in Prometheus' text format."""
    return prometheus_text(gauges(comparison.report))


def to_json(comparison: Comparison) -> dict[str, object]:
    """Returns what `loop monitor --json` prints: features of all rows, and slices apart."""
    content = _content(comparison.report)
    if comparison.chunks:
        content["chunks"] = [_content(chunk) for chunk in comparison.chunks]
        for chunk in content["chunks"]:
            chunk.pop("settings")
        content["trend"] = _trend(comparison.chunks)
    return content


def _content(report: DriftResult) -> dict[str, Any]:
    content = DRIFT_REPORT.content(report)
    features = content.pop("features")
    for name in _OF_MODELS:
        content.pop(name)
    content["rows"].pop("failed")
    content["features"] = [entry for entry in features if not entry["slice"]]
    content["slices"] = [entry for entry in features if entry["slice"]]
    return content


def _trend(chunks: Sequence[DriftResult]) -> dict[str, Any]:
    """The corrected PSI of each feature over the chunks, None where it was not measured."""
    by_chunk = [{f.feature: f for f in chunk.features if not f.slice} for chunk in chunks]
    names = dict.fromkeys(name for found in by_chunk for name in found)
    return {
        "windows": [chunk.window for chunk in chunks],
        "verdicts": [chunk.verdict.value for chunk in chunks],
        "rows": [chunk.rows.current for chunk in chunks],
        "psi": {
            name: [found[name].psi_corrected if name in found else None for found in by_chunk]
            for name in names
        },
    }
