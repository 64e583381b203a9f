"""Settings of DriftMonitor: those of the comparison, and which window is compared."""

from dataclasses import dataclass

from tfx_loop.core.settings import NodeSettings
from tfx_loop.monitoring.drift.settings import DriftSettings


@dataclass(frozen=True, kw_only=True)
class DriftMonitorSettings(DriftSettings, NodeSettings):
    """Which window is compared with the reference, and when a feature has drifted.

    Attributes:
        window: Name that the log must have; empty takes the log's own.
        model_name: Model that the log must be of; empty takes the log's own.
        score_output: Log column to compare with the reference's score, if that has one; empty for
            none.
        calibrate: Take as a feature's floor how far windows of the training rows as long as this
            one lie from all others; `season_floors` goes before it.
        multivariate: Test all features together, on the training sample; takes seconds.
    """

    window: str = ""
    model_name: str = ""
    score_output: str = "output.probability"
    calibrate: bool = True
    multivariate: bool = False
