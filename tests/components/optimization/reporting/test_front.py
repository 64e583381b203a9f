"""The front holds what no other variant beats, whether it keeps to the budget or not."""

from tfx_loop.contracts.optimization_report import Interval, Rung, RungStatus, Size
from tfx_loop.optimization.reporting.front import front_of


def rung(name, size, drop, latency=None):
    return Rung(
        name=name,
        mode=name,
        status=RungStatus.KEPT,
        reason="kept",
        size=None if size is None else Size(raw_bytes=size, zipped_bytes=size),
        drop=None if drop is None else Interval(value=drop),
        latency_ms=latency,
    )


def test_larger_and_worse_is_not_on_it():
    found = front_of(
        [
            rung("float", 400, 0.0),
            rung("float16", 200, 0.0),
            rung("int8", 100, 0.02),
            rung("int16x8", 210, 0.01),
            rung("failed", None, None),
        ]
    )
    assert found == ("int8", "float16")


def test_what_is_faster_is_on_it_though_it_is_larger():
    slow, fast = rung("slow", 100, 0.0, 2.0), rung("fast", 200, 0.0, 1.0)
    assert front_of([slow, fast]) == ("slow", "fast")
    assert front_of([slow, rung("untimed", 200, 0.0)]) == ("slow",)


def test_equal_ones_are_both_on_it():
    assert front_of([rung("a", 100, 0.1), rung("b", 100, 0.1)]) == ("a", "b")
