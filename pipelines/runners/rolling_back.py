"""Versions that serve again because a decision asks for it, through the machinery of roll-backs."""

from collections.abc import Callable

from tfx_loop.contracts.retrain_decision import DecisionAction
from tfx_loop.core.errors import DataError
from tfx_loop.deployment.live_rollout import LiveRollout, read_deployments
from tfx_loop.pipelines.control.decisions import RecordedDecision
from tfx_loop.pipelines.control.ledger import Store
from tfx_loop.pipelines.control.rollouts import record_rollouts


def roll_back_of(base_path: str, store: Store) -> Callable[[RecordedDecision], int]:
    """Returns what `Controller` calls for a decision that asks for another version.

    A roll-back takes the judged version out of service for the one before it; a reinstatement
    retires it for the version that the decision names. Both may be called again, after a kill or
    for a window that is stepped twice: they act while the judged version is stable, and record in
    ML Metadata what the deployment record says happened.
    """

    def roll_back(decision: RecordedDecision) -> int:
        record = read_deployments(base_path)
        stable = record.stable
        if stable is not None and stable.version == decision.model_version:
            rollout = LiveRollout(base_path=base_path, by="loop")
            reason = f"decision {decision.artifact_id}: {decision.reason}"
            if decision.asks_for is not DecisionAction.ROLL_BACK:
                record = rollout.reinstate(decision.reinstate, reason)
            elif stable.replaced is not None:
                record = rollout.roll_back(stable.replaced, reason)
            else:
                raise DataError(
                    f"Expected a version before {stable.version} of {record.model_name!r} to roll "
                    f"back to, found none: {decision.explanation} Set on_model_fault to 'retrain' "
                    "or 'alarm'."
                )
        record_rollouts(store, record, base_path)
        return record.stable_version or 0

    return roll_back
