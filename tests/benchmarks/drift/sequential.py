"""Delay of sequential tests for a rise of the errors, at their false alarms.

Run as `python -m tests.benchmarks.drift.sequential`. Streams of squared errors of probabilities, or
of rights and wrongs; nothing changes in half of them, in the others the mean rises at row 10,000.
Beside ours: ADWIN and Page-Hinkley of River at their defaults (alarms for a rise alone count), and
ADWIN at a tenth and a hundredth of its default confidence.
"""

import argparse
import time
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
from river import drift

from tests.benchmarks.drift.sections import table, write_section
from tfx_loop.monitoring.quality_monitor.sequential import (
    SequentialSettings,
    SequentialState,
    follow,
)

CHANGE_AT = 10_000
ROWS = 30_000
PROMISED = 0.15
PROMISED_ROWS = 20_000
RISES = (0.0, 0.01, 0.02, 0.05, 0.1)

_SECTION = """## Errors that rise, seen one by one

Streams of 30,000 errors whose mean of 0.15 rises at row 10,000 by so much: in how many the rise was
seen, and after how many rows (median). A false alarm is one before the rise, or without one.

{table}
"""

Errors = npt.NDArray[np.float64]
Detector = Callable[[Errors], int | None]


def main() -> None:
    """Measures false alarms, rises seen and delays of each detector; writes RESULTS.md."""
    parser = argparse.ArgumentParser(prog="bench-sequential", description=__doc__)
    parser.add_argument("--streams", type=int, default=20, help="streams a rise")
    options = parser.parse_args()
    rows = []
    for kind, draw in (("squared", _squared), ("0 or 1", _wrong)):
        for name, detector in DETECTORS.items():
            rows.append([kind, name, *_cells(detector, draw, options.streams)])
            print(*rows[-1], sep="  ", flush=True)
    heads = ["errors", "detector", "false alarms", *(f"+{rise}" for rise in RISES[1:]), "rows/s"]
    write_section("sequential", _SECTION.format(table=table(heads, rows)))


def _cells(detector: Detector, draw: Callable[..., Errors], streams: int) -> list[str]:
    cells, began, seen_rows = [], time.perf_counter(), 0
    early = 0
    for rise in RISES:
        delays = []
        for seed in range(streams):
            errors = np.concatenate(
                [
                    draw(CHANGE_AT, PROMISED, seed),
                    draw(ROWS - CHANGE_AT, PROMISED + rise, seed + 500),
                ]
            )
            alarm = detector(errors)
            seen_rows += len(errors) if alarm is None else alarm
            if alarm is not None and (alarm <= CHANGE_AT or not rise):
                early += 1
            elif alarm is not None:
                delays.append(alarm - CHANGE_AT)
        if rise:
            delay = f"{np.median(delays):,.0f}" if delays else "-"
            cells.append(f"{len(delays)} of {streams}, {delay}")
    speed = seen_rows / (time.perf_counter() - began)
    return [f"{early} of {streams * len(RISES)}", *cells, f"{speed:,.0f}"]


def _squared(rows: int, mean: float, seed: int) -> Errors:
    rng = np.random.default_rng([seed + 1_000, rows])
    return rng.beta(2 * mean, 2 * (1 - mean), rows)


def _wrong(rows: int, mean: float, seed: int) -> Errors:
    rng = np.random.default_rng([seed + 1_000, rows])
    return (rng.random(rows) < mean).astype(float)


def _ours(errors: Errors) -> int | None:
    settings = SequentialSettings(promised=PROMISED, promised_rows=PROMISED_ROWS)
    return follow(errors, settings, SequentialState()).alarm_at_row


def _adwin(delta: float) -> Detector:
    def detect(errors: Errors) -> int | None:
        detector = drift.ADWIN(delta=delta)
        for row, error in enumerate(errors, start=1):
            before = detector.estimation
            detector.update(error)
            if detector.drift_detected and detector.estimation > before:
                return row
        return None

    return detect


def _page_hinkley(errors: Errors) -> int | None:
    detector = drift.PageHinkley(mode="up")
    return _first(detector, errors)


def _first(detector: object, errors: Iterable[float]) -> int | None:
    for row, error in enumerate(errors, start=1):
        detector.update(error)  # type: ignore[attr-defined]
        if detector.drift_detected:  # type: ignore[attr-defined]
            return row
    return None


DETECTORS: dict[str, Detector] = {
    "ours, 1,000,000 rows": _ours,
    "ADWIN, 0.002": _adwin(0.002),
    "ADWIN, 0.0002": _adwin(0.0002),
    "ADWIN, 0.00002": _adwin(0.00002),
    "Page-Hinkley": _page_hinkley,
}

if __name__ == "__main__":
    main()
