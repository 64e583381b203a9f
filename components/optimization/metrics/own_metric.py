"""A metric of the user's own: a function of labels and answers, with intervals by a jackknife.

Of a function nothing is known but its values, so its influence is taken from what it gives when
rows are left out (delete-a-group jackknife; Efron and Tibshirani 1993, chapter 11). Macro-F1,
top-k accuracy or a cost in euros thus get the paired intervals that the named metrics have.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from tfx_loop.core.errors import ConfigError, DataError, first_line
from tfx_loop.optimization.metrics.metrics import Array, Metric, MetricValue, Outputs
from tfx_loop.optimization.metrics.scoring import PredictionKind, Scoring, pick

Function: TypeAlias = Callable[[Array, Array], float]

# Each group is a call of the function for each model and variant: with more the interval hardly
# gains, and a function that takes a millisecond would hold up the search.
_GROUPS = 200
# Rows that get another row's answer, to see what one row can cost.
_SWAPS = 64


@dataclass(frozen=True, kw_only=True)
class OwnMetric(Metric):
    """A metric that a function computes.

    Attributes:
        function: Takes labels (rows, …) and the model's answers to these rows (rows, …); returns
            one number.
    """

    function: Function

    def measure(self, labels: Array, outputs: Outputs) -> MetricValue:
        """Returns value and influence; see `Metric.measure`.

        Raises:
            DataError: No rows.
            ConfigError: The function raises, or returns no number.
        """
        rows = len(labels)
        if rows == 0:
            raise DataError(f"Expected rows to measure {self.name} on, received none.")
        value = self._value(labels, outputs, np.ones(rows, dtype=bool))
        groups = min(rows, _GROUPS)
        if groups < 2 or not np.isfinite(value):
            return MetricValue(value=value, influence=np.zeros(rows))
        # Dealt out in turns: the same groups for parent and child, whose difference is paired.
        group = np.arange(rows) % groups
        without = np.array([self._value(labels, outputs, group != each) for each in range(groups)])
        if not np.isfinite(without).all():
            return MetricValue(value=float("nan"), influence=np.zeros(rows))
        shifts = (groups - 1) * (value - without)
        shifts -= shifts.mean()
        # Rows of a group share its shift. Their number is made up for, so that the standard error
        # of the mean over rows is the jackknife's over groups.
        return MetricValue(value=value, influence=shifts[group] * np.sqrt(rows / groups))

    def cells(self, labels: Array, outputs: Outputs) -> None:
        """Returns None: what a function decides nobody knows."""
        return

    @property
    def is_log_loss(self) -> bool:
        """False: no bound of its own."""
        return False

    @property
    def is_share(self) -> bool:
        """False: its range is not known."""
        return False

    @property
    def is_accuracy(self) -> bool:
        """False: no count of rows."""
        return False

    def largest_row_cost(self, labels: Array, outputs: Outputs) -> float:
        """Returns the most that the metric lost when one row got the answer of another.

        A variant that changed nothing on these rows may still change such a row among others:
        beside the jackknife, which sees no change then, this says how much that can cost.
        """
        answers = np.asarray(pick(outputs, self.scoring.output))
        everything = np.ones(len(answers), dtype=bool)
        value, sign = self._value(labels, outputs, everything), 1 if self.higher_is_better else -1
        random, largest = np.random.default_rng(0), 0.0
        for _ in range(_SWAPS):
            row, other = random.integers(0, len(answers), 2)
            swapped = answers.copy()
            swapped[row] = answers[other]
            lost = sign * (value - self._value(labels, swapped, everything))
            largest = max(largest, lost) if np.isfinite(lost) else largest
        return largest

    def _value(self, labels: Array, outputs: Outputs, taken: Array) -> float:
        given = np.asarray(pick(outputs, self.scoring.output))[taken]
        try:
            return float(self.function(labels[taken], given))
        except Exception as error:  # Whatever the user's code raises.
            raise ConfigError(
                f"Expected one number from {self.name}, received {type(error).__name__}: "
                f"{first_line(error)} It is called with labels of shape {labels[taken].shape} and "
                "the model's answers to these rows."
            ) from error


def own_metric(
    function: Function, name: str, *, higher_is_better: bool = True, output: str | None = None
) -> OwnMetric:
    """Returns the metric of a function.

    Args:
        function: As `OwnMetric.function`.
        name: What people call it.
        higher_is_better: False for losses and costs.
        output: The output that it is given; None for the only one.
    """
    scoring = Scoring(kind=PredictionKind.NUMBER, output=output)
    return OwnMetric(
        name=name, higher_is_better=higher_is_better, scoring=scoring, function=function
    )
