"""Gauges of a drift report for monitoring systems: Prometheus and OpenTelemetry.

The same gauges for both: Prometheus reads a text file (node_exporter's textfile collector, or any
scrape of it), OpenTelemetry gets them through its metrics API. Names follow Prometheus' rules: a
prefix, base units, no unit in a label. Labels hold names of features and slices alone, and at most
`MOST_FEATURES` of each: a report on thousands of columns does not flood the database.

Sources: https://prometheus.io/docs/practices/naming/ and
https://opentelemetry.io/docs/specs/otel/metrics/api/#gauge.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tfx_loop.contracts.drift_report import (
    DriftResult,
    DriftVerdict,
    FeatureDrift,
    moved_features,
    tested_features,
)

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

PROMETHEUS_FILE = "drift_report.prom"
PREFIX = "tfx_loop_drift_"
SCOPE = "tfx_loop.drift_monitor"
# Some 2,000 series a report with nine gauges a feature: what one scrape of Prometheus bears; longer
# labels are cut, as each is held in its index. Chosen, not measured.
MOST_FEATURES = 200
_LONGEST_LABEL = 120

# Attribute of a feature, its gauge and what that says.
_EFFECTS = (
    ("psi", "psi", "Population stability index against the reference, in nats."),
    ("psi_corrected", "psi_corrected", "PSI less its mean without drift, in nats."),
    ("psi_bound", "psi_bound", "Largest PSI that the rows allow with 99 % confidence, in nats."),
    ("ks", "ks", "Largest distance of the cumulative shares."),
    ("js", "js", "Jensen-Shannon divergence, in nats."),
    ("p_value", "p_value", "Chance of a difference as large without drift."),
    ("q_value", "q_value", "The p-value after Benjamini-Hochberg."),
    ("missing_share", "missing_ratio", "Share of the window's rows without a value."),
)


@dataclass(frozen=True)
class Gauge:
    """One number at one moment.

    Attributes:
        name: With its unit, as Prometheus wants it.
        help: What it is, in a sentence.
        unit: As OpenTelemetry wants it (UCUM): `1`, `{row}`, `h`.
        labels: What tells it from its siblings.
        value: The number.
    """

    name: str
    help: str
    unit: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


def gauges(report: DriftResult) -> tuple[Gauge, ...]:
    """Returns the report's numbers; features in order of rank, all gauges of a name on end."""
    whose = {"model": _label(report.model_name), "version": str(report.model_version)}
    found = (
        Gauge(PREFIX + name, said, unit, float(value), {**whose, **labels})
        for name, said, unit, value, labels in (
            *_of_window(report),
            *_of_features(report.features),
            *_of_quality(report),
        )
        if value is not None
    )
    # Names that differ only beyond the longest label would be one series with two values.
    first: dict[tuple[str, ...], Gauge] = {}
    for gauge in found:
        first.setdefault((gauge.name, *gauge.labels.values()), gauge)
    return tuple(first.values())


_Row = tuple[str, str, str, float | None, dict[str, str]]


def _of_window(report: DriftResult) -> Iterator[_Row]:
    for verdict in DriftVerdict:
        is_it = float(report.verdict is verdict)
        yield "verdict", "1 for the window's verdict.", "1", is_it, {"verdict": verdict.value}
    rows = {
        "reference": report.rows.reference,
        "current": report.rows.current,
        "failed": report.rows.failed,
    }
    for side, count in rows.items():
        yield (
            "rows",
            "Rows compared, and rows answered with an error.",
            "{row}",
            count,
            {"side": side},
        )
    of = "Features that "
    whole = [f for f in report.features if not f.slice]
    counts = {
        "measured_features": ("were tested.", len(tested_features(report.features))),
        "drifted_features": ("drifted.", len(moved_features(report.features))),
        "faulty_features": ("are broken.", sum(f.fault is not None for f in whole)),
        "held_features": (
            "moved without an alarm.",
            sum(f.held_by is not None and not f.drifted for f in whole),
        ),
    }
    for name, (said, count) in counts.items():
        yield name, of + said, "{feature}", count, {}


def _of_features(features: Sequence[FeatureDrift]) -> Iterator[_Row]:
    whole = [f for f in features if not f.slice][:MOST_FEATURES]
    slices = [f for f in features if f.slice][:MOST_FEATURES]
    for attribute, name, said in _EFFECTS:
        for feature in (*whole, *slices):
            yield name, said, "1", getattr(feature, attribute), _labels(feature)
    for feature in (*whole, *slices):
        yield "drifted", "1 where the feature drifted.", "1", feature.drifted, _labels(feature)
    for feature in whole:
        if feature.fault:
            labels = {**_labels(feature), "fault": _label(feature.fault)}
            yield "fault", "1 for each broken feature.", "1", 1.0, labels


def _of_quality(report: DriftResult) -> Iterator[_Row]:
    estimated, realised = report.estimated, report.realised
    metrics = estimated.metrics if estimated else {}
    for bound in ("value", "low", "high", "reference"):
        name = "estimated_quality" if bound == "value" else f"estimated_quality_{bound}"
        said = _ESTIMATED[bound]
        for metric, found in metrics.items():
            yield name, said, "1", getattr(found, bound), {"metric": metric}
    if realised is None:
        return
    for metric, value in realised.metrics.items():
        said = "Metric of the newest window with labels."
        yield "realised_quality", said, "1", value, {"metric": metric}
    said = "Rows judged by their labels."
    yield "labelled_rows", said, "{row}", realised.labelled_rows, {}
    yield "label_coverage_ratio", "Share of rows with a label.", "1", realised.coverage, {}
    for share, hours in realised.delay_hours.items():
        said = "Label time less event time."
        yield "label_delay_seconds", said, "s", hours * 3600, {"quantile": _quantile(share)}
    said = "Evidence for a rise of the errors, 1 for none."
    yield "error_rise_evidence", said, "1", realised.evidence, {}
    if realised.evidence is not None:
        alarm = float(realised.alarm_at_row is not None)
        yield "error_rise_alarm", "1 once the errors rose for sure.", "1", alarm, {}


_ESTIMATED = {
    "value": "Metric of the window, estimated from its scores.",
    "low": "2.5th percentile of where labels would put the metric.",
    "high": "97.5th percentile of where labels would put the metric.",
    "reference": "Metric of the rows held out from training.",
}


def prometheus_text(found: Iterable[Gauge]) -> str:
    """Returns the gauges in Prometheus' text format."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import GaugeMetricFamily

    families: dict[str, Any] = {}
    for gauge in found:
        if gauge.name not in families:
            family = GaugeMetricFamily(gauge.name, gauge.help, labels=tuple(gauge.labels))
            families[gauge.name] = family
        families[gauge.name].add_metric(tuple(gauge.labels.values()), gauge.value)

    class _Collector:
        def collect(self) -> Iterable[Any]:
            return families.values()

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector())  # type: ignore[arg-type]
    return str(generate_latest(registry).decode())


def record(found: Iterable[Gauge], meter_provider: "MeterProvider | None" = None) -> None:
    """Sets the gauges through OpenTelemetry.

    Args:
        found: What `gauges` returned.
        meter_provider: Where they go; the global provider unless given, which drops everything
            until an application configures one.
    """
    from opentelemetry import metrics

    meter = metrics.get_meter(SCOPE, meter_provider=meter_provider)
    made: dict[str, Any] = {}
    for gauge in found:
        # Dots, as OpenTelemetry's names have them.
        name = gauge.name.replace(PREFIX, "tfx_loop.drift.", 1)
        if name not in made:
            made[name] = meter.create_gauge(name, unit=gauge.unit, description=gauge.help)
        made[name].set(gauge.value, dict(gauge.labels))


def _labels(feature: FeatureDrift) -> dict[str, str]:
    return {"feature": _label(feature.feature), "slice": _label(feature.slice)}


def _label(value: str) -> str:
    return value if len(value) <= _LONGEST_LABEL else value[: _LONGEST_LABEL - 1] + "…"


def _quantile(name: str) -> str:
    """Returns `0.5` for `p50`; the largest is `1`."""
    return f"{int(name[1:]) / 100:g}" if name[1:].isdigit() else "1"
