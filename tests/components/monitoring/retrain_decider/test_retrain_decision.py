"""The gates come in order, savings add up, and the record tells it all again."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.contracts import retrain_decision as d
from tfx_loop.contracts.measured_loss import SavingState
from tfx_loop.contracts.retrain_decision import (
    RETRAIN_DECISION,
    RetrainVerdict,
)
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.monitoring.retrain_decider.avoidable_loss import AvoidableLoss, MeasureSettings
from tfx_loop.monitoring.retrain_decider.decision import carried_state, decide
from tfx_loop.monitoring.retrain_decider.hold_gates import Evidence
from tfx_loop.monitoring.retrain_decider.savings import observe, pays
from tfx_loop.monitoring.retrain_decider.settings import DecisionSettings, PolicySettings
from tfx_loop.monitoring.retrain_decider.surrogate import SurrogateSettings


def loss(
    relative: float, z: float, *, champion: float = 0.5, promised: float = 0.5
) -> AvoidableLoss:
    """A saving of so much of a window's loss, standing out by `z`."""
    mean = relative * champion
    return AvoidableLoss(
        mean=mean,
        standard_error=abs(mean / z) if z else 1.0,
        champion_loss=champion,
        champion_loss_error=0.01,
        expected_loss=promised,
        expected_loss_error=0.01,
        rows=1000,
    )


GOOD = Evidence(
    model_name="flights",
    model_version=3,
    window="2013-05",
    label_window="2013-04",
    rows=5000,
    labelled_rows=4800,
)


def settings_of(**policy: float) -> DecisionSettings:
    return DecisionSettings(**policy)


def decided(evidence: Evidence, measured: AvoidableLoss, previous=None, **policy: float):
    return decide(evidence, lambda serving: measured, previous, settings_of(**policy))


def test_retrain_when_the_saving_pays() -> None:
    decision = decided(GOOD, loss(0.05, 8.0), training_cost=0.02)
    assert (decision.verdict, decision.reason) == (RetrainVerdict.RETRAIN, d.RETRAINING_PAYS)
    assert "5.0%" in decision.explanation
    assert "2.0%" in decision.explanation
    assert decision.explanation.endswith(".")


def test_hold_when_nothing_stands_out() -> None:
    decision = decided(GOOD, loss(0.05, 3.5))
    assert (decision.verdict, decision.reason) == (RetrainVerdict.HOLD, d.NO_AVOIDABLE_LOSS)
    assert decision.evidence.saving.accumulated == 0.0


def test_drift_alone_never_retrains() -> None:
    decision = decided(replace(GOOD, drifted=("dewp", "temp")), loss(0.0, 0.0))
    assert decision.verdict is RetrainVerdict.HOLD


def test_gates_come_in_their_order() -> None:
    everything_wrong = replace(
        GOOD, faults=("dewp: stuck",), rows=1, labelled_rows=1, one_class=True
    )
    order = []
    for mended in ({}, {"faults": ()}, {"rows": 900}, {"labelled_rows": 900}):
        everything_wrong = replace(everything_wrong, **mended)
        order.append(decided(everything_wrong, loss(0.5, 9.0)).reason)
    assert order == [d.DATA_FAULT, d.TOO_FEW_ROWS, d.TOO_FEW_LABELS, d.LABELS_OF_ONE_CLASS]


def test_a_gate_that_holds_measures_nothing_and_forgets_nothing() -> None:
    def measure(serving) -> AvoidableLoss:
        raise AssertionError("measured in vain")

    before = SavingState(accumulated=0.013, latest=0.013, label_window="2013-03", model_version=3)
    decision = decide(replace(GOOD, rows=3), measure, before, DecisionSettings())
    assert decision.evidence.avoidable_loss is None
    assert decision.evidence.saving == before


def test_savings_add_up_until_they_pay() -> None:
    state, verdicts = None, []
    for month in ("03", "04", "05"):
        evidence = replace(GOOD, label_window=f"2013-{month}")
        decision = decided(evidence, loss(0.02, 5.0), state, training_cost=0.08)
        state = decision.evidence.saving
        verdicts.append((decision.verdict, decision.reason))
    assert verdicts[:2] == [(RetrainVerdict.HOLD, d.SAVING_BELOW_COST)] * 2
    assert verdicts[2] == (RetrainVerdict.RETRAIN, d.RETRAINING_PAYS)
    assert state is not None
    assert state.accumulated == pytest.approx(0.06)


def test_a_window_counts_once_however_often_it_is_decided() -> None:
    first = decided(GOOD, loss(0.02, 5.0), training_cost=0.05)
    again = decided(GOOD, loss(0.02, 5.0), first.evidence.saving, training_cost=0.05)
    assert again.evidence.saving == first.evidence.saving
    assert again.verdict is first.verdict


def test_new_champion_resets_the_sum() -> None:
    last = decided(GOOD, loss(0.05, 8.0))
    assert carried_state(last, "flights", 3) == last.evidence.saving
    assert carried_state(last, "flights", 4) == SavingState()


def test_state_of_another_model_is_refused() -> None:
    with pytest.raises(DataError, match="about model 'taxi'"):
        carried_state(decided(GOOD, loss(0.05, 8.0)), "taxi", 3)


def test_the_window_whose_labels_are_to_come_is_counted() -> None:
    assert decided(GOOD, loss(0.02, 5.0), training_cost=0.04).verdict is RetrainVerdict.RETRAIN
    assert decided(GOOD, loss(0.02, 5.0), training_cost=0.041).verdict is RetrainVerdict.HOLD
    early = decided(GOOD, loss(0.02, 5.0), training_cost=0.03, late_windows=0)
    assert early.verdict is RetrainVerdict.HOLD


def test_any_saving_counts_where_the_loss_has_risen() -> None:
    small = loss(0.05, 0.5, champion=0.5, promised=0.46)
    assert small.risen_z > 2
    assert decided(GOOD, small).verdict is RetrainVerdict.RETRAIN
    assert decided(GOOD, replace(small, expected_loss=0.49)).verdict is RetrainVerdict.HOLD


def test_a_rise_is_measured_by_both_errors() -> None:
    measured = loss(0.05, 0.5, champion=0.6, promised=0.5)
    noisy = replace(measured, champion_loss_error=0.03, expected_loss_error=0.04)
    assert noisy.risen_z == pytest.approx(0.1 / 0.05)
    certain = replace(measured, champion_loss_error=0.0, expected_loss_error=0.0)
    assert certain.risen_z == 0


def test_a_risen_loss_without_a_saving_is_no_reason() -> None:
    decision = decided(GOOD, loss(-0.01, 1.0, champion=0.9, promised=0.2))
    assert (decision.verdict, decision.reason) == (RetrainVerdict.HOLD, d.NO_AVOIDABLE_LOSS)


def test_hold_when_the_champion_is_better_than_promised() -> None:
    decision = decided(GOOD, loss(0.3, 9.0, champion=0.2, promised=0.5))
    assert (decision.verdict, decision.reason) == (RetrainVerdict.HOLD, d.BETTER_THAN_PROMISED)
    risen = loss(0.3, 9.0, champion=0.5, promised=0.2)
    assert decided(GOOD, risen).verdict is RetrainVerdict.RETRAIN


@given(
    st.lists(st.tuples(st.floats(-0.2, 0.2), st.floats(0.1, 12.0)), min_size=1, max_size=12),
    st.floats(0.001, 0.2),
)
def test_never_retrains_before_the_sum_reaches_the_cost(measured, cost) -> None:
    policy = PolicySettings(training_cost=cost)
    state, significant = SavingState(), 0.0
    for number, (relative, z) in enumerate(measured):
        state = observe(state, loss(relative, z), str(number), policy)
        significant += max(relative, 0.0)
        assert 0.0 <= state.accumulated <= significant + 1e-12
        if pays(state, policy):
            assert state.accumulated + relative >= cost
            assert relative > 0


@given(
    st.floats(-1, 1),
    st.floats(0.1, 20),
    st.sampled_from([(), ("dewp: stuck",)]),
    st.integers(0, 500),
)
def test_json_round_trip(relative, z, faults, rows) -> None:
    evidence = replace(GOOD, faults=faults, rows=rows, quality={"auc": 0.71}, drifted=("dewp",))
    decision = decided(evidence, loss(relative, z))
    text = json.dumps(RETRAIN_DECISION.content(decision), allow_nan=False)
    assert RETRAIN_DECISION.value(json.loads(text)) == decision


def test_record_has_the_fields_of_the_contract() -> None:
    content = RETRAIN_DECISION.content(decided(GOOD, loss(0.05, 8.0)))
    assert content["verdict"] == "RETRAIN"
    assert content["policy_version"] == "avoidable-loss/5"
    assert set(content["evidence"]["avoidable_loss"]) >= {
        *("mean", "standard_error", "z", "relative", "rows")
    }
    assert content["evidence"]["accumulated"] == pytest.approx(0.05)
    assert content["settings"]["training_cost"] == 0.02


@pytest.mark.parametrize("spoil", [{"schema_version": 2}, {"evidence": {}}, {"verdict": "MAYBE"}])
def test_record_of_another_kind_is_refused(spoil) -> None:
    content = RETRAIN_DECISION.content(decided(GOOD, loss(0.05, 8.0)))
    with pytest.raises(DataError):
        RETRAIN_DECISION.value(content | spoil)


def test_settings_lie_flat_in_the_record() -> None:
    surrogate = SurrogateSettings(iterations=20)
    measure = MeasureSettings(blocks=16, seed=7, surrogate=surrogate)
    settings = DecisionSettings(training_cost=0.04, min_rows=50, measure=measure)
    flat = decide(GOOD, lambda serving: loss(0.05, 8.0), None, settings).settings
    assert flat["training_cost"] == 0.04
    assert (flat["blocks"], flat["iterations"], flat["min_rows"]) == (16, 20, 50)
    assert flat["seed"] == 7  # The measurement's; the surrogate has one of its own.


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"training_cost": 0}, "must be positive"),
        ({"certain_z": -1.0}, "must not be negative"),
        ({"min_labelled_rows": 10}, "at least 64"),
    ],
)
def test_settings_that_cannot_work(given, message) -> None:
    with pytest.raises(ConfigError, match=message):
        DecisionSettings(**given)


def test_window_without_traffic_and_version_wipes_no_savings() -> None:
    first = decided(GOOD, loss(0.02, 5.0), training_cost=9.0)
    silent = replace(GOOD, model_version=0, rows=0, label_window="2013-05")
    held = decided(silent, loss(0.0, 0.0), carried_state(first, "flights", 0))
    assert held.reason == d.TOO_FEW_ROWS
    later = carried_state(held, "flights", 3)
    assert later.accumulated == pytest.approx(0.02)
    assert carried_state(held, "flights", 4).accumulated == 0.0


def test_saving_that_is_not_believed_tells_the_number_seen_and_the_number_asked_for() -> None:
    told = decided(GOOD, loss(0.05, 3.5)).explanation
    assert "That is 3.5 standard errors, and 4 are asked for" in told
