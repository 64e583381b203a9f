"""Counts of the training rows day by day and slice by slice, on the profile's bins.

The profile says how often values were there in all; these counts say how far one day lies from
another without any drift, and what is the baseline of a slice.
"""

from dataclasses import replace
from typing import Any

from tfx_loop.monitoring.profile.calendar_columns import order_of
from tfx_loop.monitoring.profile.column_roles import ColumnRoles
from tfx_loop.monitoring.profile.columns import flat
from tfx_loop.monitoring.profile.layout import Layout
from tfx_loop.monitoring.profile.profiler import MOST_ROWS, Profiler
from tfx_loop.monitoring.profile.reference import FrozenProfile
from tfx_loop.monitoring.profile.value_sample import FreshValues
from tfx_loop.monitoring.profile.window_profile import Cell, WindowProfile, regrouped

_TIME = "event_time_ms"
COUNTS_FILE = "training_counts.packed"

# Days times slices that are kept apart; beyond that a slice is counted over all days.
MOST_CELLS = 2_000


def training_counts(
    table: Any, profile: FrozenProfile, windows: str = "day", roles: ColumnRoles | None = None
) -> WindowProfile:
    """Returns the counts of training rows by day, and of each slice by day.

    Where days and slices are many, a slice is counted over all days.

    Args:
        table: The profiled rows with flat columns, as a pyarrow table.
        profile: What `build` made of them.
        windows: `day` or `hour`, in UTC, by the column `event_time_ms`; "" for all rows together.
        roles: Which rows belong together, and by what time they depend on those before.
    """
    roles = roles or ColumnRoles()
    time = _TIME if _TIME in table.column_names else roles.time
    if time != _TIME and time in table.column_names:
        place = table.column_names.index(time)
        table = table.set_column(place, time, order_of(flat(table.column(place))))
    layout = Layout(
        identity=(),
        model_version="",
        sampling_rate="",
        status="",
        ignored=(),
        event_time=time,
        group=roles.group,
        in_order=bool(roles.time),
        # Only the log's own time names windows that a log has as well.
        window=windows if time == _TIME else "",
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
        {
            name: replace(f, registers=b"", unseen=(), fresh=FreshValues())
            for name, f in cell.features.items()
        },
    )
