"""Settings of SkewMonitor: what may differ, and by which columns rows are found."""

from dataclasses import dataclass

from tfx_loop.core.settings import NodeSettings
from tfx_loop.monitoring.skew_monitor.skew import SkewSettings, parse_keys


@dataclass(frozen=True, kw_only=True)
class SkewMonitorSettings(SkewSettings, NodeSettings):
    """By which columns rows are found, and what may differ.

    Attributes:
        keys: Columns that name a row, as `TRAINING=SERVED` where the log calls it otherwise: one of
            its columns (`request_id`) or a feature.
    """

    keys: tuple[str, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_keys(self.keys)
