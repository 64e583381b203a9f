"""Policy of the prediction log: its sampling, and requests that cannot be logged."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from tfx_loop.core.errors import ConfigError, ServerUnavailable
from tfx_loop.data.prediction_log.losses import UnloggedRows

_LOG = logging.getLogger(__name__)


class Unwritable(str, Enum):
    """What becomes of a request whose rows cannot be written, on a full disk for example."""

    REFUSE = "refuse"
    SERVE = "serve"


@dataclass(frozen=True, kw_only=True)
class LogPolicy:
    """Which requests are logged, and what if one cannot be.

    Attributes:
        sampling_rate: The share of requests that is logged, above 0 to 1; by a hash of the key, so
            that a request and its repeats share their fate. Golden requests are always logged.
        unwritable: What becomes of a request whose rows cannot be written.
    """

    sampling_rate: float = 1.0
    unwritable: Unwritable = Unwritable.REFUSE

    def __post_init__(self) -> None:
        if not 0.0 < self.sampling_rate <= 1.0:
            raise ConfigError(
                f"Expected a sampling rate above 0 to 1, received {self.sampling_rate:g}."
            )


class LogFailures:
    """Says once that the log cannot be written, and what that cost when it can be again."""

    def __init__(self, policy: LogPolicy, note: Callable[[UnloggedRows], None]) -> None:
        """Knows of no failure.

        Args:
            policy: What becomes of requests.
            note: Leaves word in the log of rows that were answered without it; raises OSError.
        """
        self._policy, self._note = policy, note
        self._lock = threading.Lock()
        self._failing = False
        self._refused = 0
        self._unlogged: UnloggedRows | None = None

    def failed(self, error: OSError, rows: int, event_time_ms: int) -> None:
        """Counts rows that could not be written.

        Raises:
            ServerUnavailable: They are not answered, either.
        """
        serves = self._policy.unwritable is Unwritable.SERVE
        with self._lock:
            if not self._failing:
                _LOG.error(
                    "prediction_log state=unwritable policy=%s error=%s",
                    self._policy.unwritable.value,
                    error,
                )
            self._failing = True
            if serves:
                self._unlogged = UnloggedRows.joined(self._unlogged, rows, event_time_ms)
            else:
                self._refused += rows
        # Outside the lock: other requests fail at the same time, and each has its own answer.
        if not serves:
            raise ServerUnavailable(
                f"The prediction could not be logged, so it is not answered: {error}. "
                "Free the disk of the prediction log, or fix its permissions; then ask again."
            ) from error

    def written(self) -> None:
        """Ends a failure, if there was one: the log can be written again."""
        # Read without the lock: this is on the way of every request, and a late end does no harm.
        if not self._failing:
            return
        with self._lock:
            if not self._failing:
                return
            unlogged = self._unlogged
            try:
                if unlogged is not None:
                    self._note(unlogged)
            except OSError:
                return  # Not yet.
            self._failing, self._unlogged = False, None
            refused, self._refused = self._refused, 0
        _LOG.warning(
            "prediction_log state=written_again unlogged_rows=%d refused_rows=%d",
            unlogged.rows if unlogged else 0,
            refused,
        )
