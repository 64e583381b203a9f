"""Settings of QualityMonitor."""

from dataclasses import dataclass

from tfx_loop.core.settings import NodeSettings
from tfx_loop.monitoring.quality_monitor.sequential import SequentialSettings


@dataclass(frozen=True, kw_only=True)
class QualityMonitorSettings(NodeSettings):
    """Which window is judged by which metrics, and when a rise of the errors is an alarm.

    Attributes:
        eval_config: `tfma.EvalConfig` (or its JSON) with one model spec that names `label_key` and
            `prediction_key`, the output that is judged.
        window: Name of the window that is judged, such as "2013-03".
        start_ms: Begin of that window, milliseconds UTC.
        end_ms: End of that window, exclusive.
        tolerated_rise: What the mean squared error may rise above what held-out rows showed before
            it counts.
        rows_between_false_alarms: Least mean number of rows to a false alarm of the test.
    """

    eval_config: str
    window: str
    start_ms: int
    end_ms: int
    tolerated_rise: float = 0.0
    rows_between_false_alarms: float = 1_000_000.0

    def __post_init__(self) -> None:
        # What errors are expected is in the model's profile; the limits are checked before.
        SequentialSettings(
            promised=0.5,
            promised_rows=1,
            tolerated_rise=self.tolerated_rise,
            rows_between_false_alarms=self.rows_between_false_alarms,
        )
