"""Settings of DriftMonitor: those of the comparison, and which window is compared."""

from dataclasses import dataclass

from tfx_loop.core.redaction import RedactionSettings
from tfx_loop.core.settings import NodeSettings
from tfx_loop.monitoring.drift.season_floors import with_training_floors
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.drift.statistics.multivariate import MOST_ROWS
from tfx_loop.monitoring.drift.window import log_layout
from tfx_loop.monitoring.profile.layout import Layout
from tfx_loop.monitoring.profile.profile_files import StoredReference

# Runs of one value and arrival times show in a thousand rows; tests of all features want more.
_SAMPLE_ROWS = 1_000


@dataclass(frozen=True, kw_only=True)
class DriftMonitorSettings(DriftSettings, RedactionSettings, NodeSettings):
    """Which window is compared with the reference, and when a feature has drifted.

    Attributes:
        window: Name that the log must have; empty takes the log's own.
        model_name: Model that the log must be of; empty takes the log's own.
        score_output: Log column to compare with the reference's score, if that has one; empty for
            none.
        calibrate: Take as a feature's floor how far windows of the training rows as long as this
            one lie from all others; `season_floors` goes before it.
        parse_fn: Import path of a function that makes the profiled features of the log's, as
            ReferenceProfiler's does of the examples'; it gets bytes as they were sent.
        multivariate: Test all features together, on the training sample; takes seconds.
    """

    window: str = ""
    model_name: str = ""
    score_output: str = "output.probability"
    calibrate: bool = True
    parse_fn: str = ""
    multivariate: bool = False

    def __post_init__(self) -> None:
        DriftSettings.__post_init__(self)
        RedactionSettings.__post_init__(self)

    def layout(self) -> Layout:
        """Returns where the log has what is counted."""
        rows = MOST_ROWS if self.multivariate else _SAMPLE_ROWS
        return log_layout(self.score_output, rows, self.roles)

    def comparison(self, reference: StoredReference, length_ms: int) -> DriftSettings:
        """Returns when a feature has drifted in a window of this length."""
        settings = self.part(DriftSettings)
        if not self.calibrate:
            return settings
        return with_training_floors(settings, reference.profile, reference.counts, length_ms)
