"""Every number in a decision's sentence is one of its record, rounded as the sentence rounds."""

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.contracts.measured_loss import SavingState, ServedLoss
from tfx_loop.contracts.quality_report import PromiseTest
from tfx_loop.contracts.retrain_decision import DecisionRecord
from tfx_loop.monitoring.retrain_decider.avoidable_loss import AvoidableLoss
from tfx_loop.monitoring.retrain_decider.decision import decide
from tfx_loop.monitoring.retrain_decider.hold_gates import Evidence
from tfx_loop.monitoring.retrain_decider.settings import DecisionSettings

EVIDENCE = Evidence(
    model_name="flights",
    model_version=7,
    window="2013-05",
    label_window="2013-04",
    rows=5000,
    labelled_rows=4800,
)
LOSS = st.floats(0.05, 1.5)


@st.composite
def measurements(draw: st.DrawFn) -> AvoidableLoss:
    champion = draw(LOSS)
    served = st.none() | st.builds(
        ServedLoss,
        mean=LOSS,
        standard_error=st.just(0.01),
        stand_in=st.just(champion),
        excess_error=st.just(0.01),
        constant=LOSS,
        promised=st.none() | LOSS,
        rows=st.integers(64, 4000),
    )
    return AvoidableLoss(
        mean=draw(st.floats(-0.2, 0.4)) * champion,
        standard_error=draw(st.floats(0.001, 0.05)),
        champion_loss=champion,
        champion_loss_error=0.01,
        expected_loss=draw(LOSS),
        expected_loss_error=0.01,
        rows=draw(st.integers(64, 4000)),
        served=draw(served),
    )


PROMISES = st.none() | st.builds(
    PromiseTest,
    model_version=st.just(7),
    rows=st.integers(200, 4000),
    promised=LOSS,
    live=LOSS,
    reference_promised=LOSS,
    reference_live=LOSS,
    constant=LOSS,
    error=st.floats(0.001, 0.1),
    wrong=st.booleans(),
)


def numbers_on_record(record: DecisionRecord) -> set[str]:
    """Returns what the record's numbers look like in a sentence."""
    measured, settings = record.evidence.avoidable_loss, record.settings
    assert measured is not None
    saving = record.evidence.saving
    total = saving.accumulated + settings["late_windows"] * saving.latest
    losses = [measured.champion_loss, measured.promised_loss]
    rows = [measured.rows]
    if measured.served is not None:
        served = measured.served
        losses += [served.mean, served.stand_in, served.constant, served.promised or 0.0]
        rows.append(served.rows)
    if promise := record.evidence.promise:
        losses += [promise.promised, promise.live]
        losses += [promise.reference_promised, promise.reference_live]
        rows.append(promise.rows)
    shares = [measured.relative, measured.relative_standard_error, total]
    return {
        str(record.model_version),
        f"{measured.z:.1f}",
        *([f"{promise.z:.1f}"] if promise else []),
        f"{settings['certain_z']:g}",
        *(f"{loss:.3f}" for loss in losses),
        *(f"{count:,}" for count in rows),
        *(f"{share:.1%}" for share in [*shares, settings["training_cost"]]),
    }


@given(measurements(), st.floats(0.0, 0.1), st.sampled_from([0.01, 0.02, 0.3]), PROMISES)
def test_sentence_states_numbers_of_the_record_alone(
    measured: AvoidableLoss, accumulated: float, cost: float, promise: PromiseTest | None
) -> None:
    before = SavingState(accumulated=accumulated, label_window="2013-03", model_version=7)
    settings = DecisionSettings(training_cost=cost)
    record = decide(replace(EVIDENCE, promise=promise), lambda serving: measured, before, settings)
    sentence = record.explanation.replace(record.label_window, "")
    told = set(re.findall(r"-?\d[\d,]*(?:\.\d+)?%?", sentence))
    assert told
    assert told <= numbers_on_record(record), record.explanation
    wrong = promise is not None and promise.wrong
    assert ("Its promise was wrong" in sentence) is wrong
    if wrong and record.reason not in ("retraining_pays", "worse_than_stand_in"):
        assert (record.reason, record.verdict.value) == ("promise_was_wrong", "HOLD")
    # And the numbers that decide are there.
    if record.reason == "no_avoidable_loss" and measured.mean > 0:
        assert {f"{measured.z:.1f}", "4"} <= told
