"""Coverage and delay of a window's labels.

Quality measured on half of the rows is quality of that half: the slow labels may be the bad ones.
"""

import numpy as np
import numpy.typing as npt

from tfx_loop.contracts.quality_report import LabelArrivals
from tfx_loop.core.durations import MS_PER_HOUR

_PERCENTILES = {"p50": 50, "p90": 90, "p99": 99, "max": 100}


def label_arrivals(
    event_times_ms: npt.NDArray[np.int64],
    label_times_ms: npt.NDArray[np.int64] | None,
    rows: int | None = None,
) -> LabelArrivals:
    """Returns coverage and delay.

    Args:
        event_times_ms: Of the labelled rows, milliseconds UTC.
        label_times_ms: When each label came; None where the log does not say.
        rows: Answered rows of the window, with and without label.
    """
    delays: dict[str, float] = {}
    if label_times_ms is not None and len(event_times_ms):
        hours = (label_times_ms - event_times_ms) / MS_PER_HOUR
        found = np.percentile(hours, list(_PERCENTILES.values()))
        delays = {
            name: round(float(value), 4) for name, value in zip(_PERCENTILES, found, strict=True)
        }
    return LabelArrivals(labelled_rows=len(event_times_ms), rows=rows, delay_hours=delays)
