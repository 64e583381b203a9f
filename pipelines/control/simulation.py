"""Recorded windows replayed under another policy: when it would have trained, and what that costs.

What a decision measured is what a retraining would have saved in its window, beside the version
that served: how stale that version was. Staleness adds up over versions (a version that a policy
does not train leaves its predecessor in service, with what it was stale by), so the level of a
window is what was measured in it, and what was measured where versions were trained before. Under a
policy a window loses its level above that of the policy's last training. That is an estimate: a
model that was never trained has no measured loss.
"""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tfx_loop.contracts.retrain_decision import DecisionRecord
from tfx_loop.core import type_names
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.decisions import decision_record, window_order
from tfx_loop.pipelines.control.ledger import Store

RECORDED = "recorded"
POLICIES = (RECORDED, "always", "never", "every:N", "drift", "cost=X")
# RetrainDecider's own, where a record of earlier releases does not say it.
_USUAL_COST = 0.02

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RecordedWindow:
    """What a policy may look at in a window.

    Attributes:
        window: Its name.
        level: How stale the first version would be in it, in units of one window's loss.
        saving: What a retraining would have saved in it, where that was believed; else 0.
        drifted: Whether a feature drifted.
        trained: Whether a version came of it.
    """

    window: str
    level: float
    saving: float
    drifted: bool
    trained: bool


@dataclass(frozen=True, kw_only=True)
class SimulatedPolicy:
    """What a policy would have done.

    Attributes:
        policy: Its text.
        trained_after: The windows after which it would have trained.
        lost: Loss above that of a model retrained in each window, in windows' losses.
        training_cost: Of one training, in the same units.
    """

    policy: str
    trained_after: tuple[str, ...]
    lost: float
    training_cost: float

    @property
    def total(self) -> float:
        """What was lost, and what its trainings cost."""
        return self.lost + self.training_cost * len(self.trained_after)


# Says whether a policy trains after a window: its place, the window, and savings since it trained.
Rule = Callable[[int, RecordedWindow, float], bool]


def recorded_windows(store: Store, model_name: str) -> tuple[list[RecordedWindow], float]:
    """Returns the windows of a model in order, and what a training cost when they were decided.

    Raises:
        DataError: No decision about the model can be read.
    """
    newest: dict[str, DecisionRecord] = {}
    unreadable: list[DataError] = []
    for artifact in ledger.artifacts_of_type(store, type_names.RETRAIN_DECISION):
        if ledger.properties(artifact).get("model_name") != model_name:
            continue
        try:
            record = decision_record(artifact)
        except DataError as error:
            # What became of the file of one window must not take the others with it.
            unreadable.append(error)
            continue
        newest[record.window] = record
    if unreadable:
        _LOG.warning("decisions_left_out=%d first=%s", len(unreadable), unreadable[0])
    if not newest:
        raise DataError(
            f"Expected decisions about {model_name!r} with their files, found none. Let the loop "
            "step through some windows first."
        )
    pushed = _pushed_after(store, model_name)
    windows, debt = [], 0.0
    for name in sorted(newest, key=window_order):
        evidence = newest[name].evidence
        measured = evidence.avoidable_loss
        stale = measured.relative if measured is not None else 0.0
        windows.append(
            RecordedWindow(
                window=name,
                level=debt + stale,
                saving=evidence.saving.latest if measured is not None else 0.0,
                drifted=bool(evidence.drifted),
                trained=name in pushed,
            )
        )
        # Staleness is measured beside the version that serves: from a push on it begins at 0, and
        # what was measured before has to be added to compare windows.
        debt += stale if name in pushed else 0.0
    last = newest[max(newest, key=window_order)]
    return windows, float(last.settings.get("training_cost", _USUAL_COST))


def simulate(
    policy: str, windows: Sequence[RecordedWindow], training_cost: float
) -> SimulatedPolicy:
    """Returns what a policy would have done.

    Args:
        policy: `recorded`, `always`, `never`, `every:3`, `drift`, or `cost=0.04`: trains when the
            savings that add up reach this cost.
        windows: In order.
        training_cost: What a training costs, in units of one window's loss.

    Raises:
        ConfigError: There is no such policy.
    """
    rule = _rule(policy)
    trained, lost, since = [], 0.0, 0.0
    level = windows[0].level if windows else 0.0
    # The first version was trained before the first window, and is as fresh as can be there.
    level = min(level, 0.0)
    for place, window in enumerate(windows):
        # No model is fresher than when it was trained: what lies below that level is noise.
        above = max(window.level - level, 0.0)
        lost += above
        # What was measured beside the version on record; the policy's own may be fresher.
        seen = replace(window, saving=min(window.saving, above))
        since += seen.saving
        if rule(place, seen, since):
            trained.append(window.window)
            level, since = window.level, 0.0
    return SimulatedPolicy(
        policy=policy, trained_after=tuple(trained), lost=lost, training_cost=training_cost
    )


def _rule(policy: str) -> Rule:
    plain: dict[str, Rule] = {
        RECORDED: lambda _, window, __: window.trained,
        "always": lambda *_: True,
        "never": lambda *_: False,
        "drift": lambda _, window, __: window.drifted,
    }
    if policy in plain:
        return plain[policy]
    if match := re.fullmatch(r"every:([1-9]\d{0,5})", policy):
        number = int(match[1])
        return lambda place, _, __: (place + 1) % number == 0
    if match := re.fullmatch(r"cost=(\d+(?:\.\d+)?)", policy):
        cost = float(match[1])
        # As RetrainDecider: savings of the past alone start nothing.
        return lambda _, window, since: window.saving > 0 and since >= cost
    raise ConfigError(f"Expected a policy among {', '.join(POLICIES)}, received {policy!r}.")


def _pushed_after(store: Store, model_name: str) -> set[str]:
    said = map(ledger.properties, store.get_executions_by_type(ledger.RETRAINING))
    return {
        str(one["window"])
        for one in said
        if one["model_name"] == model_name and int(one["pushed_version"])
    }
