"""A counted window of the prediction log, and which of the log's columns are compared."""

from collections.abc import Mapping
from dataclasses import dataclass

from tfx_loop.core.errors import DataError
from tfx_loop.data.prediction_log.record import FEATURE_PREFIX
from tfx_loop.monitoring.profile.column_roles import ColumnRoles
from tfx_loop.monitoring.profile.layout import Layout
from tfx_loop.monitoring.profile.window_profile import WindowProfile

EVENT_TIME = "event_time_ms"
REQUIRED = ("request_id", "instance_index", "model_version", "status", EVENT_TIME)


@dataclass(frozen=True)
class CountedWindow:
    """A window of the prediction log as counts on the bins of its model's reference.

    Attributes:
        window: Its id, such as `2013-04`.
        model_name: The model that answered.
        profile: Counts and sampled rows.
        start_ms: Begin of the window, milliseconds UTC; 0 where nobody knows.
        end_ms: End of the window, exclusive.
    """

    window: str
    model_name: str
    profile: WindowProfile
    start_ms: int = 0
    end_ms: int = 0

    @property
    def rows(self) -> int:
        """Rows answered with status ok."""
        return self.profile.rows

    @property
    def failed_rows(self) -> int:
        """Rows answered with an error."""
        return self.profile.failed_rows

    @property
    def model_versions(self) -> Mapping[int, int]:
        """Rows answered with status ok by each version."""
        found: dict[int, int] = {}
        for key, cell in sorted(self.profile.cells.items()):
            if not key.slice:
                found[key.model_version] = found.get(key.model_version, 0) + cell.rows
        return found


def log_layout(score_output: str, sample_rows: int, roles: ColumnRoles | None = None) -> Layout:
    """Returns where a prediction log has what is counted.

    Args:
        score_output: Column with the model's score; empty for none.
        sample_rows: Rows to keep whole.
        roles: Which rows belong together, and whether they depend on those before; the log has
            the time of each, whatever column training had it in.
    """
    return Layout(
        feature_prefix=FEATURE_PREFIX,
        score=score_output,
        sample_rows=sample_rows,
        group=roles.group if roles else "",
        in_order=bool(roles and roles.time),
    )


def check_columns(names: list[str], uri: str) -> None:
    """Checks that a table has the columns of a prediction log.

    Raises:
        DataError: One is not there.
    """
    if lacking := [name for name in REQUIRED if name not in names]:
        raise DataError(
            f"Expected the prediction record's columns in {uri}, received none called {lacking}. "
            "Make the log with PredictionLogGen."
        )
