"""Metrics under the names of TF Serving, as Prometheus reads them.

Names and labels are those that its dashboards and alerts ask for; a status is the name of gRPC's
code, over REST too.
"""

import bisect
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

DEFAULT_PATH = "/monitoring/prometheus/metrics"
CONTENT_TYPE = "text/plain"
# Microseconds: TF Serving's Buckets::Exponential(10, 1.8, 33).
_LATENCY_BOUNDS = tuple(10 * 1.8**power for power in range(33))
# Examples in a request: its Buckets::Exponential(1, 2, 15).
_COUNT_BOUNDS = tuple(float(2**power) for power in range(15))

REQUEST_COUNT = ":tensorflow:serving:request_count"
REQUEST_LATENCY = ":tensorflow:serving:request_latency"
RUNTIME_LATENCY = ":tensorflow:serving:runtime_latency"
EXAMPLE_COUNTS = ":tensorflow:serving:request_example_counts"
EXAMPLE_TOTAL = ":tensorflow:serving:request_example_count_total"
REQUEST_LOGS = ":tensorflow:serving:request_log_count"
WARMUP_LATENCY = ":tensorflow:serving:model_warmup_latency"
LOAD_ATTEMPTS = ":tensorflow:cc:saved_model:load_attempt_count"
LOAD_LATENCY = ":tensorflow:cc:saved_model:load_latency"
GRAPH_RUNS = ":tensorflow:core:graph_runs"
GRAPH_RUN_TIME = ":tensorflow:core:graph_run_time_usecs"
# TF Serving has no queue of its own to show; an autoscaler asks for its length.
WAITING = ":tfx_loop:serving:waiting_predictions"

_COUNTERS = (
    REQUEST_COUNT, EXAMPLE_TOTAL, REQUEST_LOGS, LOAD_ATTEMPTS, LOAD_LATENCY, GRAPH_RUNS,
    GRAPH_RUN_TIME,
)  # fmt: skip
_HISTOGRAMS = {
    REQUEST_LATENCY: _LATENCY_BOUNDS,
    RUNTIME_LATENCY: _LATENCY_BOUNDS,
    WARMUP_LATENCY: _LATENCY_BOUNDS,
    EXAMPLE_COUNTS: _COUNT_BOUNDS,
}
# Names come from requests: those of models that are not served are counted as one.
UNKNOWN_MODEL = "(unknown)"
_MAX_SERIES = 1000

Labels = tuple[tuple[str, str], ...]


@dataclass
class _Histogram:
    counts: list[int]
    total: float = 0.0


class ServingMetrics:
    """Counters, histograms and gauges of one server; written by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gauges: dict[str, Callable[[], float]] = {}
        self._counters: dict[str, dict[Labels, float]] = {name: {} for name in _COUNTERS}
        self._histograms: dict[str, dict[Labels, _Histogram]] = {name: {} for name in _HISTOGRAMS}

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Adds to a counter."""
        key = tuple(labels.items())
        with self._lock:
            series = self._counters[name]
            if key in series or len(series) < _MAX_SERIES:
                series[key] = series.get(key, 0) + amount

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Adds a value to a histogram, in microseconds where it is a latency."""
        key = tuple(labels.items())
        bounds = _HISTOGRAMS[name]
        with self._lock:
            series = self._histograms[name]
            found = series.get(key)
            if found is None:
                if len(series) >= _MAX_SERIES:
                    return
                found = series[key] = _Histogram([0] * (len(bounds) + 1))
            found.counts[bisect.bisect_right(bounds, value)] += 1
            found.total += value

    def watch(self, name: str, read: Callable[[], float]) -> None:
        """Shows as a gauge what `read` returns whenever metrics are asked for."""
        self._gauges[name] = read

    def request(
        self, model_name: str, status: str, *, api: str, entrypoint: str, seconds: float
    ) -> None:
        """Counts an answered request."""
        self.count(REQUEST_COUNT, model_name=model_name, status=status)
        self.observe(
            REQUEST_LATENCY, seconds * 1e6, model_name=model_name, API=api, entrypoint=entrypoint
        )

    def ran(self, model_name: str, *, api: str, runtime: str, seconds: float, rows: int) -> None:
        """Counts a run of a model."""
        self.observe(
            RUNTIME_LATENCY, seconds * 1e6, model_name=model_name, API=api, runtime=runtime
        )
        self.observe(EXAMPLE_COUNTS, rows, model=model_name)
        self.count(EXAMPLE_TOTAL, rows, model=model_name)
        self.count(GRAPH_RUNS)
        self.count(GRAPH_RUN_TIME, seconds * 1e6)

    def warmed_up(self, model_path: str, seconds: float) -> None:
        """Counts a version's warm-up."""
        self.observe(WARMUP_LATENCY, seconds * 1e6, model_path=model_path, status="OK")

    def loaded(self, model_path: str, status: str, seconds: float) -> None:
        """Counts an attempt to load a version."""
        self.count(LOAD_ATTEMPTS, model_path=model_path, status=status)
        self.count(LOAD_LATENCY, seconds * 1e6, model_path=model_path)

    def text(self) -> bytes:
        """Returns all of them in Prometheus's text format, version 0.0.4."""
        lines: list[str] = []
        for name, read in self._gauges.items():
            lines += [f"# TYPE {name} gauge", f"{name} {read():.6g}"]
        with self._lock:
            for name, counters in sorted(self._counters.items()):
                lines.append(f"# TYPE {name} counter")
                lines += [f"{name}{_labels(key)} {value:.0f}" for key, value in counters.items()]
            for name, histograms in sorted(self._histograms.items()):
                lines.append(f"# TYPE {name} histogram")
                for key, histogram in histograms.items():
                    lines += _histogram_lines(name, key, histogram)
        return ("\n".join(lines) + "\n").encode()


def _histogram_lines(name: str, key: Labels, histogram: _Histogram) -> list[str]:
    lines, below = [], 0
    for bound, count in zip((*_HISTOGRAMS[name], None), histogram.counts, strict=True):
        below += count
        le = "+Inf" if bound is None else f"{bound:.6g}"
        lines.append(f"{name}_bucket{_labels((*key, ('le', le)))} {below}")
    lines.append(f"{name}_sum{_labels(key)} {histogram.total:.6g}")
    lines.append(f"{name}_count{_labels(key)} {below}")
    return lines


def _labels(labels: Labels | Mapping[str, str]) -> str:
    pairs = labels.items() if isinstance(labels, Mapping) else labels
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
