"""Gauges as CloudWatch's metrics, so that alarms and deployment guardrails see them. Pure.

An alarm names every dimension of its metric. The version is therefore left out: alarms outlive a
push, and a guardrail's alarm has to be there before the version that it guards against.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from tfx_loop.core.errors import ConfigError
from tfx_loop.monitoring.drift.telemetry import Gauge

# Of one call of PutMetricData, and of one metric.
MOST_METRICS, MOST_DIMENSIONS = 1_000, 30
_LONGEST_DIMENSION = 255
_LEFT_OUT = "version"
_UNITS = {"s": "Seconds", "{row}": "Count", "{feature}": "Count"}
# Values outside are refused: 8.515920e-109 to 1.174271e+108, and zero.
_LEAST, _MOST = 8.515920e-109, 1.174271e108


def metric_data(
    found: Iterable[Gauge], at: datetime, dimensions: Mapping[str, str] | None = None
) -> Iterator[list[dict[str, Any]]]:
    """Yields members of PutMetricData's MetricData, as many as one call takes.

    Args:
        found: Gauges; of those that differ in the version alone the last one counts.
        at: When they hold; CloudWatch takes the two weeks before now.
        dimensions: Further ones of every metric, such as EndpointName.

    Raises:
        ConfigError: A metric has more dimensions than CloudWatch takes.
    """
    series: dict[tuple[str, tuple[tuple[str, str], ...]], dict[str, Any]] = {}
    for gauge in found:
        value = _value(gauge.value)
        if value is None:
            continue
        named = _dimensions({**gauge.labels, **(dimensions or {})})
        series[gauge.name, named] = {
            "MetricName": gauge.name,
            "Dimensions": [{"Name": name, "Value": text} for name, text in named],
            "Timestamp": at,
            "Value": value,
            "Unit": _UNITS.get(gauge.unit, "None"),
        }
    metrics = iter(series.values())
    while batch := list(islice(metrics, MOST_METRICS)):
        yield batch


def _dimensions(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    kept = [
        (name, _ascii(text)) for name, text in labels.items() if text.strip() and name != _LEFT_OUT
    ]
    if len(kept) > MOST_DIMENSIONS:
        raise ConfigError(
            f"Expected at most {MOST_DIMENSIONS} dimensions of a metric, received {len(kept)}. "
            "Give fewer."
        )
    return tuple(kept)


def _ascii(text: str) -> str:
    """Returns a dimension's value: CloudWatch takes ASCII alone, and no control characters."""
    shown = text.encode("ascii", "backslashreplace").decode()
    return "".join(sign if sign.isprintable() else "?" for sign in shown)[:_LONGEST_DIMENSION]


def _value(value: float) -> float | None:
    """Returns a number that CloudWatch takes; None for one that is none."""
    if math.isnan(value):
        return None
    size = abs(value)
    return 0.0 if size < _LEAST else math.copysign(min(size, _MOST), value)
