"""State of the sequential test after one more window: read, continued, written.

The state of the stream lies beside quality.json, as `sequential.json`. It goes on with the next
window as long as the same model (the same reference profile) answers; of another model other
errors are expected, and it starts anew.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tfx_loop.contracts.quality_report import ErrorTest
from tfx_loop.contracts.task import BINARY, ModelTask, TaskKind
from tfx_loop.core.errors import DataError
from tfx_loop.core.json_file import JsonFile
from tfx_loop.models.task_losses import bounded_errors, may_judge
from tfx_loop.monitoring.profile.bins import NumericBins
from tfx_loop.monitoring.profile.reference import FrozenProfile
from tfx_loop.monitoring.profile.score_calibration import squared_error
from tfx_loop.monitoring.quality_monitor.judged_rows import LabelledRows
from tfx_loop.monitoring.quality_monitor.sequential import (
    SequentialSettings,
    SequentialState,
    follow,
)
from tfx_loop.monitoring.quality_monitor.settings import QualityMonitorSettings

# A model without any error on held-out rows would make the first one an alarm.
_LEAST_EXPECTED, _MOST_EXPECTED = 1e-6, 0.99


@dataclass(frozen=True, kw_only=True)
class ErrorStream:
    """The errors of a model in [0, 1], as far as labels have come (`bounded_errors`).

    Attributes:
        reference_digest: Digest of the reference profile whose held-out rows say what is expected.
        settings: What is expected, and how seldom an alarm may be false.
        state: Where the test stands.
        until_ms: Rows before this event time have been followed; later labels of them are not.
        mean_error: Mean squared error of the rows of the newest window; None for no rows.
    """

    reference_digest: str
    settings: SequentialSettings
    state: SequentialState
    until_ms: int = 0
    mean_error: float | None = None

    def summary(self) -> ErrorTest:
        """Returns what quality.json says of it."""
        return ErrorTest(
            promised_error=self.settings.promised,
            mean_error=self.mean_error,
            rows=self.state.rows,
            evidence=self.state.evidence,
            alarm_at_row=self.state.alarm_at_row,
            rows_since_quiet=self.state.rows_since_quiet,
        )


SEQUENTIAL_STATE = JsonFile(
    name="sequential.json",
    kind=ErrorStream,
    title="the state of a sequential test",
    remedy="Run QualityMonitor without previous_evaluation to start anew.",
)


def start_stream(
    profile: FrozenProfile, tolerated_rise: float, rows_between_false_alarms: float
) -> ErrorStream | None:
    """Returns the stream of a model before its first row; None without held-out scores.

    Args:
        profile: With what held-out rows promised: the loss, or scores and their ones.
        tolerated_rise: What the mean squared error may rise without anybody caring.
        rows_between_false_alarms: Least mean number of rows to an alarm where nothing rose.
    """
    expected = _promised(profile)
    if expected is None:
        return None
    error, rows = expected
    settings = SequentialSettings(
        # Above the bound nothing could be a rise; a model that is that bad has other alarms.
        promised=min(max(error, _LEAST_EXPECTED), _MOST_EXPECTED),
        promised_rows=rows,
        tolerated_rise=tolerated_rise,
        rows_between_false_alarms=rows_between_false_alarms,
    )
    digest = profile.digest()
    return ErrorStream(reference_digest=digest, settings=settings, state=SequentialState())


def _promised(profile: FrozenProfile) -> tuple[float, int] | None:
    """Returns the mean error of held-out rows, and how many these were; None without labels."""
    if profile.promised:
        return profile.promised.bounded, profile.promised.rows
    score, ones = profile.score, profile.score_positives
    if score is None or not ones or not isinstance(score.bins, NumericBins):
        return None
    rows = score.counts.bins
    return squared_error(rows, ones, score.bins.edges), sum(rows)


def resume_stream(stream: ErrorStream, previous: ErrorStream | None) -> ErrorStream:
    """Returns the stream where the window before left it, if the same model answered then."""
    if previous is None or previous.reference_digest != stream.reference_digest:
        return stream
    return replace(stream, state=previous.state, until_ms=previous.until_ms)


def follow_rows(
    stream: ErrorStream,
    scores: npt.NDArray[np.float64],
    labels: npt.NDArray[np.float64],
    event_times_ms: npt.NDArray[np.int64],
    end_ms: int,
    task: ModelTask = BINARY,
    cap: float = 1.0,
) -> ErrorStream:
    """Returns the stream after a window's rows, in order of event time.

    Args:
        stream: Where it stood.
        scores: What was answered, in the task's shape.
        labels: Encoded labels, 0 or 1 of a binary task.
        event_times_ms: Of the rows; those that were followed before are left out.
        end_ms: End of the window, exclusive.
        task: What the model answers.
        cap: Loss of a number that counts as 1.

    Raises:
        DataError: A score is no probability or a label neither 0 nor 1, though the task has such.
    """
    classes = task.kind is not TaskKind.BINARY or np.isin(labels, (0.0, 1.0)).all()
    if not (classes and may_judge(scores, task)):
        raise DataError(
            "Expected probabilities and labels of 0 and 1 to follow the errors of, received "
            "others. Leave out the reference profile to judge by TFMA alone."
        )
    # A window that is run again, or overlaps the one before, must not bet on the same rows twice.
    new = event_times_ms >= stream.until_ms
    # The test holds for errors in the order in which they happened, not as labels arrived.
    order = np.argsort(event_times_ms[new], kind="stable")
    errors = bounded_errors(labels[new][order], scores[new][order], task, cap)
    return replace(
        stream,
        state=follow(errors, stream.settings, stream.state),
        until_ms=max(stream.until_ms, end_ms),
        mean_error=float(errors.mean()) if len(errors) else None,
    )


def follow_window(
    profile: FrozenProfile,
    previous: ErrorStream | None,
    rows: LabelledRows,
    settings: QualityMonitorSettings,
    task: ModelTask,
) -> ErrorStream | None:
    """Returns the stream of a model after a window; None where nothing says what is expected.

    That is so where its profile has no held-out scores, and where a row has several of them, as
    those of classes: the profile has their largest alone.

    Args:
        profile: Of the model that answered.
        previous: The stream after the window before, of whatever model; None for none.
        rows: The window's labelled rows.
        settings: Which window it is, and when a rise of the errors is an alarm.
        task: What the model answers.

    Raises:
        DataError: A score is no probability or a label neither 0 nor 1, though the task has such.
    """
    stream = start_stream(profile, settings.tolerated_rise, settings.rows_between_false_alarms)
    if stream is None or rows.scores is None:
        return None
    stream = resume_stream(stream, previous)
    cap = profile.promised.cap if profile.promised else 1.0
    times = rows.event_times_ms
    return follow_rows(stream, rows.scores, rows.labels, times, settings.end_ms, task, cap)
