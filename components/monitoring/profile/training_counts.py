"""Counts of the training rows day by day and slice by slice, on the profile's bins.

The profile says how often values were there in all; these counts say how far one day lies from
another without any drift, and what is the baseline of a slice.
"""

from dataclasses import replace
from typing import Any

from tfx_loop.monitoring.profile.layout import Layout
from tfx_loop.monitoring.profile.profiler import MOST_ROWS, Profiler
from tfx_loop.monitoring.profile.reference import FrozenProfile
from tfx_loop.monitoring.profile.window_profile import Cell, WindowProfile, regrouped

COUNTS_FILE = "training_counts.packed"

# Days times slices that are kept apart; beyond that a slice is counted over all days.
MOST_CELLS = 2_000


def training_counts(table: Any, profile: FrozenProfile, windows: str = "day") -> WindowProfile:
    """Returns the counts of training rows by day, and of each slice by day.

    Where days and slices are many, a slice is counted over all days.

    Args:
        table: The profiled rows with flat columns, as a pyarrow table.
        profile: What `build` made of them.
        windows: `day` or `hour`, in UTC, by the column `event_time_ms`; "" for all rows together.
    """
    layout = Layout(
        identity=(),
        model_version="",
        sampling_rate="",
        status="",
        ignored=(),
        window=windows if "event_time_ms" in table.column_names else "",
        sample_rows=0,
    )
    counted = Profiler(profile, layout).profile_all(table.to_batches(max_chunksize=MOST_ROWS))
    if len(counted.cells) > MOST_CELLS:
        counted = regrouped(counted, lambda key: replace(key, window="") if key.slice else key)
    return replace(counted, cells={key: _bare(cell) for key, cell in counted.cells.items()})


def _bare(cell: Cell) -> Cell:
    """Without what no comparison of counts needs: distinct and unseen values."""
    return Cell(
        cell.rows,
        {name: replace(f, registers=b"", unseen=()) for name, f in cell.features.items()},
    )
