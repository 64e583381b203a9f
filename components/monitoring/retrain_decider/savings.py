"""Rule by which measured savings pay for a training. Pure.

The ski-rental rule: what a champion loses against a retrained model adds up from window to window,
and when the sum reaches what a training costs, it is time to train. Were the savings known exactly,
this would cost at most twice the best schedule in hindsight (Karlin et al. 1988, "Competitive
snoopy caching"); where a saving grows evenly with the age of the model it is the best schedule. The
window that was served since the labels ended is taken to have lost as much as the last.

Savings are measured with noise, and a second measurement tells which to believe: the champion's
loss, against what it was on rows held out of its own training. Where it has clearly risen, any
saving counts. Where it has not, a saving must stand out far by itself. And where the champion does
clearly better than expected, none counts: such a window is of the kind that it knows best, and a
model that is fitted closer to it does worse on the kind that comes next.
"""

from dataclasses import replace

from tfx_loop.contracts.measured_loss import SavingState
from tfx_loop.monitoring.retrain_decider.avoidable_loss import AvoidableLoss
from tfx_loop.monitoring.retrain_decider.settings import PolicySettings


def accumulated_loss(state: SavingState, settings: PolicySettings) -> float:
    """Returns what is accumulated, with the windows whose labels are to come."""
    return state.accumulated + settings.late_windows * state.latest


def is_believed(avoidable: AvoidableLoss, settings: PolicySettings) -> bool:
    """Says whether a saving is believed."""
    # Two signs together: where the loss has surely risen, a saving above 0 is enough; without that
    # the saving has to be sure of itself.
    if avoidable.risen_z > settings.risen_z:
        return avoidable.mean > 0
    return avoidable.z > settings.certain_z and not better_than_expected(avoidable, settings)


def better_than_expected(avoidable: AvoidableLoss, settings: PolicySettings) -> bool:
    """Says whether the champion does clearly better than on its own held-out rows."""
    return avoidable.risen_z < -settings.better_z


def observe(
    state: SavingState, avoidable: AvoidableLoss, label_window: str, settings: PolicySettings
) -> SavingState:
    """Returns the state after one more measurement."""
    saving = avoidable.relative if is_believed(avoidable, settings) else 0.0
    return replace(
        state,
        accumulated=state.accumulated + saving,
        latest=saving,
        label_window=label_window,
    )


def pays(state: SavingState, settings: PolicySettings) -> bool:
    """Says whether the savings pay for a training, the latest among them."""
    # Savings of the past alone start nothing: where the world went back, a retraining would save
    # nothing now.
    return state.latest > 0 and accumulated_loss(state, settings) >= settings.training_cost
