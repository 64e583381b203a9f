"""The demo's heat map of drift: each feature in each window."""

from collections.abc import Mapping, Sequence

from tfx_loop.pipelines.pages.content import short_name
from tfx_loop.presentation.heat_map import HeatCell, HeatColumn, heat_map
from tfx_loop.presentation.svg import empty_plot


def drift_map(windows: Sequence[str], drift: Mapping[str, Mapping[str, HeatCell]]) -> str:
    """Returns a heat map of the corrected PSI; drifted cells are framed, faults say so."""
    columns = [
        HeatColumn(name=window, short=short_name(window), cells=drift.get(window, {}))
        for window in windows
    ]
    drawn = heat_map(columns, "Drift by feature and window")
    return drawn or empty_plot("drift", "No drift was measured.")
