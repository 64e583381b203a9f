"""Counters of all processes of a gateway, in memory that they share, and what Prometheus reads.

Each process writes its own row, so that an increment takes no lock; readers add the rows up.
The memory is anonymous, and shared by forking.
"""

import mmap
from collections.abc import Iterator, Mapping
from typing import Any

PROTOCOLS = ("rest", "grpc")
OK, CLIENT_ERROR, UPSTREAM_ERROR = "ok", "client_error", "upstream_error"
UNAVAILABLE, DEADLINE, REFUSED = "unavailable", "deadline", "refused"
OVERLOADED, TOO_LARGE, CANCELLED = "overloaded", "too_large", "cancelled"
OUTCOMES = (
    OK,
    CLIENT_ERROR,
    UPSTREAM_ERROR,
    UNAVAILABLE,
    DEADLINE,
    REFUSED,
    OVERLOADED,
    TOO_LARGE,
    CANCELLED,
)
STABLE, CANARY = "stable", "canary"
UNWRITABLE, FULL, LARGE, MEMORY = "unwritable", "full", "too_large", "memory"
# Upper bounds in seconds: from a fast model on this machine to a slow one far away.
_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
# A signed 64-bit number ("q").
_WORD = 8

# Name, kind, help, label, its values; each of these for every protocol where `_PER_PROTOCOL` says.
_METRICS = (
    ("requests", "counter", "Requests by what became of them.", "outcome", OUTCOMES),
    ("routed", "counter", "Requests by where they were sent.", "route", (STABLE, CANARY)),
    ("in_flight", "gauge", "Requests that wait for their answer.", "", ("",)),
    ("connections", "gauge", "Connections of clients.", "", ("",)),
    ("upstream_connections", "gauge", "Connections to upstreams.", "", ("",)),
    ("upstream_failures", "counter", "Connections to upstreams that failed.", "", ("",)),
    ("logged_calls", "counter", "Calls in the log.", "", ("",)),
    (
        "sampled_out_calls",
        "counter",
        "Calls that the sampling rate left out of the log.",
        "",
        ("",),
    ),
    (
        "unlogged_calls",
        "counter",
        "Answered calls that could not be logged.",
        "reason",
        (UNWRITABLE, FULL, LARGE, MEMORY),
    ),
)
_PLAIN = (
    ("log_bytes", "counter", "Bytes written to the log."),
    ("log_unwritable", "gauge", "Processes whose log cannot be written now."),
    (
        "captured_bytes",
        "gauge",
        "Bytes of calls that are kept for the log until they are answered.",
    ),
    ("processes", "gauge", "Processes that serve."),
)


def _layout() -> dict[tuple[str, ...], int]:
    keys: list[tuple[str, ...]] = [
        (name, protocol, value)
        for name, _, _, _, values in _METRICS
        for protocol in PROTOCOLS
        for value in values
    ]
    keys += [
        ("seconds", protocol, str(i)) for protocol in PROTOCOLS for i in range(len(_BUCKETS) + 2)
    ]
    keys += [(name,) for name, _, _ in _PLAIN]
    return {key: place for place, key in enumerate(keys)}


_PLACES = _layout()


def place(name: str, protocol: str, value: str = "") -> int:
    """Returns the index of a counter in a row."""
    return _PLACES[name, protocol, value]


def plain_place(name: str) -> int:
    """Returns the index of a counter that has no labels."""
    return _PLACES[(name,)]


def outcome_places(protocol: str) -> Mapping[str, int]:
    """Returns the indices of `requests` of a protocol, by outcome."""
    return {outcome: place("requests", protocol, outcome) for outcome in OUTCOMES}


class Counters:
    """Rows of counters; those of this process are `row`.

    Attributes:
        row: Whole numbers that this process adds to.
    """

    def __init__(self, processes: int) -> None:
        """Makes zeros for some processes; call before forking."""
        self._width = len(_PLACES)
        self._memory = mmap.mmap(-1, processes * self._width * _WORD)
        self._all = memoryview(self._memory).cast("q")
        self._processes = processes
        self.row = self._all[: self._width]

    def take_row(self, process: int) -> None:
        """Says which process this is. What a process before it had under way is no more."""
        start = process * self._width
        self.row = self._all[start : start + self._width]
        for name, kind, _, _, values in _METRICS:
            if kind == "gauge":
                for protocol in PROTOCOLS:
                    for value in values:
                        self.row[_PLACES[name, protocol, value]] = 0
        for name, kind, _ in _PLAIN:
            if kind == "gauge":
                self.row[_PLACES[(name,)]] = 0
        self.row[plain_place("processes")] = 1

    def leave_row(self, process: int) -> None:
        """Says that a process is gone."""
        mine = self.row
        self.take_row(process)
        self.row[plain_place("processes")] = 0
        self.row = mine

    def total(self, index: int) -> int:
        """Returns a counter over all processes."""
        return sum(self._all[index + i * self._width] for i in range(self._processes))

    def observe(self, seconds_place: int, seconds: float) -> None:
        """Counts a duration; `seconds_place` is that of its protocol's first bucket."""
        row, bucket = self.row, 0
        for bound in _BUCKETS:
            if seconds <= bound:
                break
            bucket += 1
        row[seconds_place + bucket] += 1
        # Microseconds, as a row holds whole numbers.
        row[seconds_place + len(_BUCKETS) + 1] += int(seconds * 1e6)

    def exposition(self, upstreams: Mapping[str, bool]) -> bytes:
        """Returns all metrics as Prometheus reads them.

        Args:
            upstreams: Whether each could be reached when it was asked last.
        """
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collector(self, upstreams))
        text: bytes = generate_latest(registry)
        return text


class _Collector:
    """The counters as prometheus_client takes them."""

    def __init__(self, counters: Counters, upstreams: Mapping[str, bool]) -> None:
        self._counters, self._upstreams = counters, upstreams

    def collect(self) -> Iterator[Any]:
        """Yields the metrics."""
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        families = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}
        total = self._counters.total
        for name, kind, told, label, values in _METRICS:
            labels = ["protocol", label] if label else ["protocol"]
            family = families[kind](f"loop_gateway_{name}", told, labels=labels)
            for protocol in PROTOCOLS:
                for value in values:
                    own = [protocol, value] if label else [protocol]
                    family.add_metric(own, total(place(name, protocol, value)))
            yield family
        for name, kind, told in _PLAIN:
            yield families[kind](f"loop_gateway_{name}", told, value=total(plain_place(name)))
        seconds = HistogramMetricFamily(
            "loop_gateway_request_seconds",
            "Time from a request's head to the end of its answer.",
            labels=["protocol"],
        )
        for protocol in PROTOCOLS:
            counts = [total(place("seconds", protocol, str(i))) for i in range(len(_BUCKETS) + 1)]
            sums = [sum(counts[: i + 1]) for i in range(len(counts))]
            bounds = [*map(str, _BUCKETS), "+Inf"]
            spent = total(place("seconds", protocol, str(len(_BUCKETS) + 1))) / 1e6
            seconds.add_metric([protocol], list(zip(bounds, sums, strict=True)), spent)
        yield seconds
        up = GaugeMetricFamily(
            "loop_gateway_upstream_up",
            "Whether an upstream could be reached when it was asked last.",
            labels=["upstream"],
        )
        for upstream, reached in self._upstreams.items():
            up.add_metric([upstream], int(reached))
        yield up
