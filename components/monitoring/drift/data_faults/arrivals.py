"""Arrival of a window's rows: a source may fall silent, or come late.

A window that ends in silence looks like fewer rows of the same kind: no histogram shows it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfx_loop.core.errors import ConfigError
from tfx_loop.monitoring.drift.data_faults.faults import LATE_SOURCE, SILENT_SOURCE
from tfx_loop.monitoring.drift.settings import ArrivalSettings

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Arrivals:
    """How rows arrived.

    Attributes:
        fault: SILENT_SOURCE, LATE_SOURCE or None.
        note: The same in words.
        longest_gap_share: Longest time without a row, as a share of the window.
        late_share: Share of the rows with an event time before the window.
    """

    fault: str | None
    note: str
    longest_gap_share: float
    late_share: float


def judge_arrivals(
    event_times_ms: IntArray,
    start_ms: int,
    end_ms: int,
    settings: ArrivalSettings,
    *,
    rows: int | None = None,
    baseline_rows: float | None = None,
    baseline_gap_share: float | None = None,
) -> Arrivals:
    """Returns how the rows of a window [start_ms, end_ms) arrived.

    Args:
        event_times_ms: When rows happened, milliseconds, in any order: all of them or a sample.
        start_ms: Begin of the window.
        end_ms: End of the window, exclusive.
        settings: What is too quiet and too late.
        rows: How many rows there are; as many as event times where not given.
        baseline_rows: Mean rows of earlier windows; None where there are none.
        baseline_gap_share: Longest share of an earlier window without a row, such as a night; None
            where there is none, and no gap is called silence.
    """
    if end_ms <= start_ms:
        raise ConfigError(f"A window must end after it begins, got {start_ms} to {end_ms}.")
    inside = np.sort(event_times_ms[(event_times_ms >= start_ms) & (event_times_ms < end_ms)])
    late = float(np.mean(event_times_ms < start_ms)) if len(event_times_ms) else 0.0
    # With the window's ends: a source that fell silent at noon leaves its gap at the end.
    borders = np.concatenate([[start_ms], inside, [end_ms]])
    gap = float(np.diff(borders).max()) / (end_ms - start_ms)
    # Without a pattern, the longest of k + 1 gaps is about (ln k + 5) / k of the window at most.
    by_chance = (np.log(max(len(inside), 1)) + 5) / max(len(inside), 1)
    allowed = 1.0
    if baseline_gap_share is not None:
        # Half as long again as before: nights in winter, and a window that begins within one.
        allowed = max(settings.silent_share, 1.5 * baseline_gap_share, min(by_chance, 1.0))
    fault, note = None, ""
    rows = len(event_times_ms) if rows is None else rows
    # Asked before the gap: of five rows the longest gap is long by chance.
    if baseline_rows and rows < settings.fewest_share * baseline_rows:
        fault, note = SILENT_SOURCE, f"{rows:,} rows where {baseline_rows:,.0f} are usual"
    elif gap > allowed:
        fault, note = SILENT_SOURCE, f"no row in {gap:.0%} of the window on end"
    elif late > settings.late_share:
        fault, note = LATE_SOURCE, f"{late:.0%} of the rows happened before the window began"
    return Arrivals(fault, note, gap, late)
