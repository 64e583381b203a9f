"""Sequential test for a rise of a served model's errors, wherever windows begin or end.

An e-detector on the stream of errors. It bets, row by row, that errors have become larger than
what held-out rows let one expect; a bet that wins multiplies. While the mean error, given
what came before, is no larger than expected, the mean time to a false alarm is at least
`rows_between_false_alarms`: whatever the distribution of the errors, however often one looks. The
state is a few numbers, so a stream is continued from window to window.

Source: J. Shin, A. Ramdas, A. Rinaldo, "E-detectors: a nonparametric framework for sequential
change detection", New England Journal of Statistics in Data Science (2023); the bets are those of
I. Waudby-Smith, A. Ramdas, "Estimating means of bounded random variables by betting", JRSS B
(2023). Measured beside ADWIN in tests/benchmarks/drift/RESULTS.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfx_loop.core.errors import ConfigError, DataError

Array = npt.NDArray[np.float64]

# Shares of the largest bet that keeps every factor positive: small ones find small rises.
_BETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
# Rows at a time: with a column a bet, 3 MB.
_CHUNK_ROWS = 65_536


@dataclass(frozen=True, kw_only=True)
class SequentialSettings:
    """When a rise of the errors is an alarm.

    Attributes:
        promised: Mean error on rows held out from training, in (0, 1).
        promised_rows: How many rows that was measured on.
        tolerated_rise: What the mean may rise above the expected without anybody caring.
        rows_between_false_alarms: Least mean number of rows to an alarm where nothing rose.
    """

    promised: float
    promised_rows: int
    tolerated_rise: float = 0.0
    # The threshold of the evidence, too: an e-detector that alarms at N runs N rows at least on the
    # mean before a false alarm (Shin et al. 2023).
    rows_between_false_alarms: float = 1_000_000

    def __post_init__(self) -> None:
        if not 0 < self.promised < 1:
            raise ConfigError(
                f"promised must be a mean error between 0 and 1, got {self.promised}. "
                "Use squared errors of probabilities, or 0 and 1 for right and wrong."
            )
        if self.promised_rows < 1 or self.tolerated_rise < 0:
            raise ConfigError(
                "promised_rows must be at least 1 and tolerated_rise not below 0, got "
                f"{self.promised_rows} and {self.tolerated_rise}."
            )
        if self.rows_between_false_alarms < 100:
            raise ConfigError(
                "rows_between_false_alarms must be at least 100, got "
                f"{self.rows_between_false_alarms}."
            )

    @property
    def bound(self) -> float:
        """The largest mean error that is no rise.

        The expected mean, two of its standard errors (with the largest variance that such a mean
        allows) and what is tolerated.
        """
        # Errors lie in [0, 1], so p (1 - p) is the most that their variance can be.
        error = math.sqrt(self.promised * (1 - self.promised) / self.promised_rows)
        # Two standard errors: the promise was measured on held-out rows, and is itself known no
        # better; below 1, or no error could exceed it.
        return min(0.999, self.promised + 2 * error + self.tolerated_rise)


@dataclass(frozen=True)
class SequentialState:
    """Where the detector stands.

    Attributes:
        log_evidence: Logarithm of each bet's evidence, at least 0 as every row is a possible start.
        rows: Rows seen.
        rows_since_quiet: Rows since the evidence was last at its lowest: about where a rise began.
        alarm_at_row: Row at which the alarm was raised, counted from 1; None before.
    """

    log_evidence: tuple[float, ...] = (0.0,) * len(_BETS)
    rows: int = 0
    rows_since_quiet: int = 0
    alarm_at_row: int | None = None

    @property
    def evidence(self) -> float:
        """Mean evidence over the bets: 1 where nothing speaks for a rise."""
        # exp(709) is the largest that a double holds.
        return float(np.mean(np.exp(np.minimum(self.log_evidence, 700.0))))


def follow(
    errors: Sequence[float] | Array, settings: SequentialSettings, state: SequentialState
) -> SequentialState:
    """Returns the state after more rows; an alarm stays until somebody starts a new state.

    Args:
        errors: Errors in [0, 1] in the order of time, such as squared errors of probabilities.
        settings: What is expected, and how seldom an alarm may be false.
        state: Where the stream stood before.

    Raises:
        DataError: An error is outside [0, 1] or not a number.
    """
    values = np.asarray(errors, float)
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise DataError(
            f"Expected errors from 0 to 1, received {values.min()} to {values.max()}. "
            "Use squared errors of probabilities, or 0 and 1 for right and wrong."
        )
    for start in range(0, len(values), _CHUNK_ROWS):
        state = _follow_chunk(values[start : start + _CHUNK_ROWS], settings, state)
    return state


def _follow_chunk(
    values: Array, settings: SequentialSettings, state: SequentialState
) -> SequentialState:
    bound = settings.bound
    # The largest bet is 1 / bound, where an error of 0 makes the factor 0: half of it at most is
    # taken.
    bets = np.asarray(_BETS) / bound
    # A factor has mean at most 1 while the mean error is at most the bound.
    # The factor of a row is 1 + bet (error - bound): a test by betting (Waudby-Smith and Ramdas
    # 2024).
    steps = np.log1p(np.outer(values - bound, bets))
    sums = np.cumsum(steps, axis=0) + np.asarray(state.log_evidence)
    # max(evidence, 1) times the factor, row by row: a reflected walk, without a loop.
    lowest = np.minimum.accumulate(np.vstack([np.zeros(len(bets)), sums]), axis=0)
    walk = sums - np.minimum(lowest[:-1], 0.0)
    # The mean of e-detectors is one again, whatever the size of the rise that a bet is good at.
    evidence = np.mean(np.exp(np.minimum(walk, 700.0)), axis=1)
    alarm = state.alarm_at_row
    crossed = np.flatnonzero(evidence >= settings.rows_between_false_alarms)
    if alarm is None and len(crossed):
        alarm = state.rows + int(crossed[0]) + 1
    # Since evidence was last nothing: where the rise is likely to have begun.
    quiet = np.flatnonzero(evidence <= 1.0)
    since = len(values) - 1 - int(quiet[-1]) if len(quiet) else state.rows_since_quiet + len(values)
    return SequentialState(
        log_evidence=tuple(np.maximum(walk[-1], 0.0).tolist()),
        rows=state.rows + len(values),
        rows_since_quiet=since,
        alarm_at_row=alarm,
    )
