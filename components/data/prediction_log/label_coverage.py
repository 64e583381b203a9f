"""Coverage of a window's predictions by labels, by age: how late labels are, measured.

The age of a label is the time from its prediction's event to the label. A share at an age counts
all rows of the window, and is known only once the youngest of them has that age.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.core.durations import MS_PER_DAY, MS_PER_HOUR
from tfx_loop.data.prediction_log.labels import LabelRows, join_labels

# From an hour to three months: labels of clicks come in minutes, of loans in months.
AGES_MS = (
    MS_PER_HOUR,
    6 * MS_PER_HOUR,
    *(days * MS_PER_DAY for days in (1, 2, 3, 7, 14, 30, 60, 90)),
)


@dataclass(frozen=True, kw_only=True)
class CoverageAtAge:
    """Which share of a window's rows had a label at an age.

    Attributes:
        age_ms: Since the event of each row, milliseconds.
        share: From 0 to 1.
    """

    age_ms: int
    share: float


@dataclass(frozen=True, kw_only=True)
class LabelCoverage:
    """How far the labels of a window have come.

    Attributes:
        rows: Rows of the window.
        labelled: How many of them have a label.
        corrected: How many of those have a later label that says something else.
        by_age: Shares at ages that all rows have reached.
    """

    rows: int
    labelled: int = 0
    corrected: int = 0
    by_age: tuple[CoverageAtAge, ...] = ()

    @property
    def share(self) -> float:
        """Share of the rows that have a label; 0 without rows."""
        return self.labelled / self.rows if self.rows else 0.0


def label_coverage(rows: pa.Table, labels: LabelRows, end_ms: int, now_ms: int) -> LabelCoverage:
    """Returns how far the labels of a window have come.

    Args:
        rows: Prediction records of the window.
        labels: What `read_labels` returned.
        end_ms: End of the window, exclusive.
        now_ms: The time asked about: later labels have not arrived.
    """
    labelled, counts = join_labels(rows, labels, now_ms)
    first = labelled.column("label_time_ms").to_numpy()
    ages = first - labelled.column("event_time_ms").to_numpy()
    # Younger rows would count as unlabelled at an age that they have not reached.
    reached = [age for age in AGES_MS if end_ms + age <= now_ms]
    return LabelCoverage(
        rows=len(rows),
        labelled=len(labelled),
        corrected=counts.conflicting,
        by_age=tuple(
            CoverageAtAge(age_ms=age, share=float(np.count_nonzero(ages <= age)) / len(rows))
            for age in (reached if len(rows) else ())
        ),
    )


def nth_event_ms(rows: pa.Table, number: int) -> int | None:
    """Returns the time of the event of a number from 1 on; None where there are not as many."""
    if len(rows) < number:
        return None
    times = pc.sort_indices(rows.column("event_time_ms"))
    return int(rows.column("event_time_ms")[times[number - 1].as_py()].as_py())
