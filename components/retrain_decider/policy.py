"""When do measured savings pay for a training? Pure: one measurement after the other in, yes or no.

The ski-rental rule: what a champion loses against a retrained model adds up from window to window,
and when the sum reaches what a training costs, it is time to train. Were the savings known exactly,
this would cost at most twice the best schedule in hindsight (Karlin et al. 1988, "Competitive
snoopy caching"); where a saving grows evenly with the age of the model it is the best schedule. The
window that was served since the labels ended is taken to have lost as much as the last.

Savings are measured with noise, so only those that stand out of it count: a window's own, or the
sum of all windows under this champion, for a small saving that lasts. How far is the question that
decides between false alarms and late ones, and drift answers it: it seldom comes in one piece, and
one retraining seldom learns a new concept whole. So the first saving must stand out far; after it,
for some windows and also under the next champion, less is enough.

A saving in a window where the champion does clearly better than on its own held-out rows counts for
nothing: such a window is of the kind that the champion knows best, and to be sharpened for it is to
be blunted for the kind that comes next. Where concepts come and go this is what keeps a model that
knows all of them from being retrained into one that knows the last.
"""

import math
from dataclasses import dataclass

from components.errors import ConfigError
from components.retrain_decider.avoidable_loss import AvoidableLoss


@dataclass(frozen=True, kw_only=True)
class PolicySettings:
    """What a training costs and how savings are believed.

    Attributes:
        training_cost: Of one training, in units of one window's loss.
        alarm_z: Standard errors by which a saving must stand out when all was quiet.
        alert_z: Standard errors by which it must stand out while on alert.
        alert_windows: Labelled windows that an alert lasts after a saving beyond `alarm_z`.
        promise_z: Standard errors by which a champion must do better than it promised for its
            savings not to count.
        late_windows: Windows served since the label window ended: their labels are to come.
    """

    training_cost: float = 0.02
    alarm_z: float = 3.0
    alert_z: float = 1.0
    alert_windows: int = 4
    promise_z: float = 3.0
    late_windows: int = 1

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if not self.training_cost > 0:
            raise ConfigError(
                f"training_cost must be positive, got {self.training_cost}. To retrain whenever a "
                "saving is certain, make it very small."
            )
        if not 0 <= self.alert_z <= self.alarm_z:
            raise ConfigError(
                f"Expected 0 <= alert_z <= alarm_z, got {self.alert_z} and {self.alarm_z}."
            )
        for name in ("alert_windows", "late_windows"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must not be negative, got {getattr(self, name)}.")


@dataclass(frozen=True, kw_only=True)
class SavingState:
    """What is believed about the champion after some windows; savings in windows' losses.

    Attributes:
        accumulated: Savings that stand out of the noise, up to the label window.
        latest: The last window's saving where there is one to believe in, else 0.
        singly: Sum of the windows that stood out each by itself.
        together: Sum of all windows.
        variance: Of `together`.
        alert: Labelled windows that the alert still lasts.
        label_window: The last window that was counted; empty before the first.
    """

    accumulated: float = 0.0
    latest: float = 0.0
    singly: float = 0.0
    together: float = 0.0
    variance: float = 0.0
    alert: int = 0
    label_window: str = ""

    def under_new_champion(self) -> "SavingState":
        """Returns what carries over to the next champion: the alert, not the sums."""
        return SavingState(alert=self.alert, label_window=self.label_window)

    def lost(self, settings: PolicySettings) -> float:
        """Returns what is accumulated, with the windows whose labels are to come."""
        return self.accumulated + settings.late_windows * self.latest


def observe(
    state: SavingState, avoidable: AvoidableLoss, label_window: str, settings: PolicySettings
) -> SavingState:
    """Returns the state after one more measurement."""
    threshold = settings.alert_z if state.alert > 0 else settings.alarm_z
    saving, counts = avoidable.relative, not better_than_promised(avoidable, settings)
    alone = avoidable.z > threshold
    singly = state.singly + (saving if counts and alone else 0.0)
    together = state.together + (saving if counts else 0.0)
    variance = state.variance + (avoidable.relative_standard_error**2 if counts else 0.0)
    pooled_z = together / math.sqrt(variance) if variance > 0 else 0.0
    accumulated = max(singly, together if pooled_z > threshold else 0.0)
    alarmed = avoidable.z > settings.alarm_z or (counts and pooled_z > settings.alarm_z)
    return SavingState(
        accumulated=accumulated,
        latest=saving if counts and saving > 0 and accumulated > 0 else 0.0,
        singly=singly,
        together=together,
        variance=variance,
        alert=settings.alert_windows if alarmed else max(state.alert - 1, 0),
        label_window=label_window,
    )


def better_than_promised(avoidable: AvoidableLoss, settings: PolicySettings) -> bool:
    """Says whether the champion does clearly better than on its own held-out rows."""
    return avoidable.better_than_promised_z > settings.promise_z


def pays(state: SavingState, settings: PolicySettings) -> bool:
    """Says whether the savings pay for a training, the latest among them."""
    return state.latest > 0 and state.lost(settings) >= settings.training_cost
