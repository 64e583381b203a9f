"""Cost of a retraining policy on one stream. Pure: a loss matrix in, a replay out.

Time runs like this. Window `w` is served by the champion. When it ends, the labels of window
`w - 1` have arrived, and the policy decides; a new champion has seen labels up to `w - 1` and
serves from `w + 1`. The total cost of a policy is

    sum over served windows of the champion's mean loss / unit  +  training_cost * trainings

where the unit is the mean loss of a window of the model left alone, so that `training_cost` is in
units of one window's loss. A policy may also let a version serve again that served before, for
`REINSTATEMENT_COST`. Every policy pays for the first windows served in the same way.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class PolicyChoice(NamedTuple):
    """One moment at which a policy may train.

    Attributes:
        number: Counts the moments from 1.
        champion: Newest window that the champion was trained on.
        label_window: Newest window whose labels have arrived.
        served_window: The window that just ended, without labels yet.
    """

    number: int
    champion: int
    label_window: int
    served_window: int


Rule = Callable[[PolicyChoice], bool]
# Champion, all that ever served, the newest labelled window: the one to serve again, or None.
ReinstatementRule = Callable[[int, tuple[int, ...], int], int | None]
# A small file is written, and somebody may look at it.
REINSTATEMENT_COST = 0.001


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What came of a policy.

    Attributes:
        loss: Sum over served windows of the mean loss, in units.
        trainings: How many.
        trained_after: Label windows of the trainings.
        reinstated_after: Label windows of the reinstatements.
    """

    loss: float
    trained_after: tuple[int, ...]
    reinstated_after: tuple[int, ...] = ()

    @property
    def trainings(self) -> int:
        """How many trainings there were."""
        return len(self.trained_after)

    def total(self, training_cost: float) -> float:
        """Loss and trainings in one number."""
        reinstatements = REINSTATEMENT_COST * len(self.reinstated_after)
        return self.loss + training_cost * self.trainings + reinstatements


def replay(
    mean_loss: np.ndarray,
    initial_windows: int,
    rule: Rule,
    reinstate: ReinstatementRule = lambda champion, served, label_window: None,
) -> Replay:
    """Runs a policy through a stream.

    Args:
        mean_loss: float64 [trained through window, served window].
        initial_windows: Windows that the first champion is trained on.
        rule: Says at each choice whether to train.
        reinstate: Says before that whether a version that served before is to serve again.
    """
    count = mean_loss.shape[1]
    champion, trained_after, loss = initial_windows - 1, [], 0.0
    number, served, reinstated_after = 0, [champion], []
    for window in range(initial_windows, count):
        loss += mean_loss[champion, window]
        if initial_windows < window < count - 1:
            number += 1
            if (found := reinstate(champion, tuple(served), window - 1)) is not None:
                champion = found
                reinstated_after.append(window - 1)
            if rule(PolicyChoice(number, champion, window - 1, window)):
                champion = window - 1
                trained_after.append(champion)
                served.append(champion)
    return Replay(
        loss=loss / unit_loss(mean_loss, initial_windows),
        trained_after=tuple(trained_after),
        reinstated_after=tuple(reinstated_after),
    )


def best_in_hindsight(mean_loss: np.ndarray, initial_windows: int, training_cost: float) -> Replay:
    """Returns the cheapest of all schedules, by dynamic programming backwards over windows."""
    count = mean_loss.shape[1]
    price = training_cost * unit_loss(mean_loss, initial_windows)
    # ahead[champion]: cost from `window` on, if `champion` serves it; trains[window, champion].
    ahead = np.zeros(count)
    trains = np.zeros((count, count), dtype=bool)
    for window in range(count - 1, initial_windows - 1, -1):
        keep = ahead.copy()
        if initial_windows < window < count - 1:
            switch = price + ahead[window - 1]
            trains[window] = switch < keep
            keep = np.minimum(keep, switch)
        ahead = np.nan_to_num(mean_loss[:, window], nan=np.inf) + keep
    return replay(
        mean_loss,
        initial_windows,
        lambda choice: bool(trains[choice.served_window, choice.champion]),
    )


def unit_loss(mean_loss: np.ndarray, initial_windows: int) -> float:
    """Returns the mean loss of a window of the model left alone."""
    return float(mean_loss[initial_windows - 1, initial_windows:].mean())


def never(choice: PolicyChoice) -> bool:
    """Leaves the model alone."""
    return False


def always(choice: PolicyChoice) -> bool:
    """Trains after every window."""
    return True


def every(period: int) -> Rule:
    """Trains after every `period`-th window."""
    return lambda choice: choice.number % period == 0


def loss_rule(
    mean: np.ndarray,
    deviation: np.ndarray,
    rows: np.ndarray,
    held_out: np.ndarray,
    held_out_error: np.ndarray,
    threshold: float,
) -> Rule:
    """Trains when the champion's loss rises significantly above that of its held-out rows."""

    def rule(choice: PolicyChoice) -> bool:
        champion, window = choice.champion, choice.label_window
        variance = deviation[champion, window] ** 2 / rows[window] + held_out_error[champion] ** 2
        risen = mean[champion, window] - held_out[champion]
        return bool(risen > threshold * np.sqrt(variance))

    return rule


def drift_rule(stability: np.ndarray, threshold: float) -> Rule:
    """Trains when a feature's PSI between training rows and the newest window is too high.

    Args:
        stability: Highest PSI of all features, float64 [trained through window, window].
        threshold: PSI from which a feature counts as drifted.
    """
    return lambda choice: bool(stability[choice.champion, choice.served_window] >= threshold)


def schedules(initial_windows: int, count: int) -> Iterator[tuple[bool, ...]]:
    """Yields every schedule there is: for tests, two to the number of choices."""
    choices = max(0, count - 2 - initial_windows)
    for bits in range(2**choices):
        yield tuple(bool(bits >> position & 1) for position in range(choices))
