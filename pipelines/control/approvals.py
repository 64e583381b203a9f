"""A person's yes to a decision, as a fact in ML Metadata; the loop carries it out.

Whoever approves need not run pipelines: the yes is recorded, and the next step of the loop that
looks after the model launches what it asks for, if the other gates let it.
"""

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.pipelines.control import decisions
from tfx_loop.pipelines.control.claims import ClaimBook, claim_name
from tfx_loop.pipelines.control.decisions import RecordedDecision
from tfx_loop.pipelines.control.ledger import Store
from tfx_loop.pipelines.control.retries import training_retries
from tfx_loop.pipelines.control.settings import LoopSettings


def approvable(store: Store, model_name: str, decision_id: int) -> RecordedDecision:
    """Returns the decision of an id, where there is something to say yes to.

    Raises:
        DataError: No such decision, one that asks for nothing, or one about another model.
    """
    decision = decisions.decision_by_id(store, decision_id)
    if not (decision.asks_for.retrains or decision.asks_for.moves):
        raise DataError(
            "Expected a decision that asks for a retraining or for another version, received "
            f"{decision.verdict} "
            f"({decision.reason}) of window {decision.window}. There is nothing to approve."
        )
    if decision.model_name != model_name:
        raise DataError(
            f"Expected a decision about {model_name!r}, received one about "
            f"{decision.model_name!r}. Approve it with that model's settings."
        )
    return decision


def claim_name_of(store: Store, decision: RecordedDecision, policy_version: str) -> str:
    """Returns the name of the claim that a decision may become."""
    return claim_name(
        decision.model_name,
        decision.model_version,
        decision.window,
        policy_version,
        retries=training_retries(store, decision.model_name, decision.window),
    )


def approve(
    store: Store,
    model_name: str,
    decision_id: int,
    by: str,
    now_ms: int,
    policy_version: str = LoopSettings.policy_version,
) -> RecordedDecision:
    """Records a person's yes; returns what was approved. A second yes changes nothing.

    Raises:
        ConfigError: Nobody says yes.
        DataError: As `approvable`.
    """
    if not by.strip():
        raise ConfigError("Expected who approves, received nobody. Give --by.")
    decision = approvable(store, model_name, decision_id)
    name = claim_name_of(store, decision, policy_version)
    ClaimBook(store, model_name).record_approval(decision, name, by, now_ms)
    return decision
