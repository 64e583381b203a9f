"""A decision that asks for it lets the version before serve again, once."""

import pytest
from push_desk import Desk
from recorder import open_store

from tfx_loop.contracts.retrain_decision import DecisionAction
from tfx_loop.core.errors import DataError
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.decisions import RecordedDecision
from tfx_loop.pipelines.runners.rolling_back import roll_back_of


def asking(version: int, reinstate: int = 0) -> RecordedDecision:
    return RecordedDecision(
        artifact_id=7,
        uri="",
        verdict="REINSTATE" if reinstate else "MODEL_FAULT",
        asks_for=DecisionAction.REINSTATE if reinstate else DecisionAction.ROLL_BACK,
        reason="other_version_fits_better" if reinstate else "worse_than_stand_in",
        explanation="Model fault.",
        policy_version="avoidable-loss/3",
        model_name="flights",
        model_version=version,
        window="2013-05",
        reinstate=reinstate,
    )


def test_version_before_serves_again_once_and_it_is_recorded(tmp_path) -> None:
    desk, store = Desk(tmp_path), open_store(tmp_path / "metadata.sqlite")
    desk.push("first")
    desk.push("second", run_id="run-2")
    roll_back = roll_back_of(str(desk.base), store)
    roll_back(asking(2))
    assert desk.record.stable_version == 1
    revision = len(desk.record.history)
    # Stepped again, or killed in between: version 2 serves no more, and nothing is to be done.
    roll_back(asking(2))
    assert (desk.record.stable_version, len(desk.record.history)) == (1, revision)
    told = [ledger.properties(e) for e in store.get_executions_by_type(ledger.ROLLOUT)]
    assert any("decision 7: worse_than_stand_in" in str(one["detail"]) for one in told)


def test_first_version_has_none_to_go_back_to(tmp_path) -> None:
    desk, store = Desk(tmp_path), open_store(tmp_path / "metadata.sqlite")
    desk.push("first")
    with pytest.raises(DataError, match="Expected a version before 1"):
        roll_back_of(str(desk.base), store)(asking(1))
    assert desk.record.stable_version == 1


def test_reinstated_version_serves_and_the_one_before_may_come_back(tmp_path) -> None:
    desk, store = Desk(tmp_path), open_store(tmp_path / "metadata.sqlite")
    for number, content in enumerate(("first", "second", "third"), 1):
        desk.push(content, run_id=f"run-{number}")
    roll_back = roll_back_of(str(desk.base), store)
    assert roll_back(asking(3, reinstate=1)) == 1
    states = {number: state.value for number, state in desk.states.items()}
    assert states == {1: "stable", 2: "retired", 3: "retired"}
    assert roll_back(asking(3, reinstate=1)) == 1
    # The concept returns: what was retired by a decision serves again by another.
    assert roll_back(asking(1, reinstate=3)) == 3
    assert desk.record.stable_version == 3
    told = [ledger.properties(e) for e in store.get_executions_by_type(ledger.ROLLOUT)]
    details = [str(one["detail"]) for one in told]
    assert any("in place of version 3: decision 7: other_version_fits" in d for d in details)
