"""The right rows are compared, and bad input is a verdict or a clear error."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from decider_files import (
    DAY_MS,
    LABEL_END_MS,
    LABEL_START_MS,
    training_rows,
    write_log,
    write_profile,
    write_report,
)

from tfx_loop.contracts.measured_loss import FaultyWindow
from tfx_loop.contracts.retrain_decision import RETRAIN_DECISION, DecisionRecord
from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.retrain_decider.decision import decide
from tfx_loop.monitoring.retrain_decider.inputs import DeciderInputs, read_inputs
from tfx_loop.monitoring.retrain_decider.settings import DecisionSettings


@pytest.fixture
def read(tmp_path: Path):
    """Writes files, each time in a folder of their own, and reads them as a decision's inputs."""
    numbers = itertools.count()

    def run(
        *,
        sample: pd.DataFrame | None = None,
        fraction: float = 1.0,
        log: pd.DataFrame | None = None,
        fault: str | None = None,
        training_start_ms: int = 0,
        copies: int = 1,
        quarantined: tuple[FaultyWindow, ...] = (),
        champion_version: int = 0,
        previous: DecisionRecord | None = None,
        of_examples: bool = False,
        parse_fn: str = "",
    ) -> DeciderInputs:
        log = log_rows() if log is None else log
        base = tmp_path / str(next(numbers))
        folder = write_log(base / "log", log)
        if of_examples:
            log_of_examples(folder / "rows.parquet")
        if previous is not None:
            RETRAIN_DECISION.write(previous, str(base / "previous"))
        return read_inputs(
            drift_report_uri=str(write_report(base / "drift", fault=fault)),
            labelled_log_uris=[str(folder)] * copies,
            reference_profile_uri=str(
                write_profile(
                    base / "profile",
                    training_rows(2000, 1, 0) if sample is None else sample,
                    fraction,
                )
            ),
            previous_decision_uri=str(base / "previous") if previous else None,
            model_name="flights",
            window="day-120",
            label_window="day-90",
            label_start_ms=LABEL_START_MS,
            label_end_ms=LABEL_END_MS,
            training_start_ms=training_start_ms,
            score_output="output.probability",
            quarantined=quarantined,
            champion_version=champion_version,
            parse_fn=parse_fn,
        )

    return run


def log_of_examples(path: Path) -> None:
    """Makes lists of one of all features and answers, as a server logs them of tf.Examples."""
    table = pq.read_table(path)
    for place, name in enumerate(table.column_names):
        if name.startswith(("feature.", "output.")):
            column = table.column(name).combine_chunks()
            lists = pa.ListArray.from_arrays(np.arange(len(column) + 1), column)
            table = table.set_column(place, name, lists)
    pq.write_table(table, path)


def warm_and_long(columns):
    """Makes other features of those that the log has."""
    return {"warm": columns["temp"] > 50, "hour": columns["hour"]}


def log_rows(*, sign: float = 1.0) -> pd.DataFrame:
    """Two labelled windows and one that the labels have not reached yet."""
    parts = [training_rows(1000, 2, 30), training_rows(1000, 3, 60, sign=sign)]
    later = training_rows(300, 4, 90).assign(late=np.nan)
    return pd.concat([*parts, later], ignore_index=True)


def decided(inputs: DeciderInputs) -> DecisionRecord:
    settings = DecisionSettings()
    return decide(
        inputs.evidence, lambda serving: inputs.measure(settings.measure, serving), None, settings
    )


def verdict(inputs: DeciderInputs) -> tuple[str, str]:
    decision = decided(inputs)
    return decision.verdict.value, decision.reason


def test_rows_of_each_side(read) -> None:
    inputs = read()
    assert len(inputs.champion.rows) == 2000
    assert len(inputs.kept.rows) == 3000
    assert len(inputs.newest) == 1000
    assert inputs.features == ["temp", "hour", "carrier"]
    assert inputs.newest["event_time_ms"].is_monotonic_increasing
    assert inputs.evidence.drifted == ("temp",)
    assert inputs.evidence.labelled_rows == 1000


def test_log_is_thinned_to_the_fraction_of_the_sample(read) -> None:
    inputs = read(fraction=0.25)
    # By the rows' keys: a draw, and the same one however the log is ordered.
    assert 2000 + 200 < len(inputs.kept.rows) < 2000 + 300
    assert inputs.kept.fraction == 0.25
    assert len(inputs.newest) == 1000


def test_a_retraining_that_forgets_keeps_what_is_recent(read) -> None:
    inputs = read(training_start_ms=15 * DAY_MS)
    assert len(inputs.champion.rows) == 2000
    assert 1500 < len(inputs.kept.rows) < 2500
    forgotten = len(read(training_start_ms=45 * DAY_MS).kept.rows)
    assert forgotten < 700


def test_rows_that_the_champion_learnt_from_count_once(read) -> None:
    log = pd.concat([training_rows(2000, 1, 0), log_rows()], ignore_index=True)
    assert len(read(log=log).kept.rows) == 3000


def test_rows_delivered_twice_count_once(read) -> None:
    assert len(read(copies=2).newest) == 1000


def test_unlabelled_training_rows_are_left_out(read) -> None:
    sample = training_rows(2000, 1, 0)
    sample.loc[:499, "late"] = np.nan
    assert len(read(sample=sample).champion.rows) == 1500


@pytest.mark.slow
def test_retrain_after_a_changed_concept_and_hold_without(read) -> None:
    assert verdict(read(log=log_rows(sign=-1.0))) == ("RETRAIN", "retraining_pays")
    assert verdict(read()) == ("HOLD", "no_avoidable_loss")


def test_fault_in_the_drift_report_holds(read) -> None:
    inputs = read(fault="stuck", log=log_rows(sign=-1.0))
    assert verdict(inputs) == ("HOLD", "data_fault")
    assert inputs.evidence.faults == ("temp: stuck",)


def test_feature_gone_from_the_log_holds_and_is_named(read) -> None:
    inputs = read(log=log_rows().drop(columns="carrier"))
    assert verdict(inputs) == ("HOLD", "data_fault")
    assert inputs.evidence.faults == ("carrier: missing",)


def test_feature_that_the_sample_does_not_know_is_left_aside(read) -> None:
    inputs = read(log=log_rows().assign(novelty=1.0))
    assert inputs.features == ["temp", "hour", "carrier"]
    assert verdict(inputs)[1] == "no_avoidable_loss"


@pytest.mark.slow
def test_own_loss_is_of_the_rows_that_the_champion_answered(read) -> None:
    inputs = read(log=log_rows().assign(answer=0.5, answered_by=lambda rows: 2 + rows.index % 2))
    assert inputs.answers is not None
    assert np.isfinite(inputs.answers.scores).sum() == 500
    served = inputs.measure(DecisionSettings().measure).served
    assert served
    assert served.mean == pytest.approx(np.log(2))
    assert (served.rows, served.promised) == (500, None)
    # Half a coin, where a stand-in knows better: that is what a broken model looks like.
    assert verdict(inputs) == ("MODEL_FAULT", "worse_than_stand_in")


OLDER = FaultyWindow(
    window="day-60", start_ms=30 * DAY_MS, end_ms=60 * DAY_MS, faults=("temp: other_unit",)
)
LABELLED = FaultyWindow(
    window="day-90", start_ms=LABEL_START_MS, end_ms=LABEL_END_MS, faults=("labels: flipped",)
)


def test_quarantined_rows_are_in_no_measurement_and_are_named(read) -> None:
    inputs = read(quarantined=(OLDER,), log=log_rows(sign=-1.0))
    assert len(inputs.kept.rows) == 2000
    assert inputs.evidence.left_out == (OLDER,)
    settings = DecisionSettings()
    decision = decide(
        inputs.evidence, lambda serving: inputs.measure(settings.measure, serving), None, settings
    )
    assert decision.explanation.endswith("left out: day-60 (temp: other_unit).")
    assert decision.evidence.left_out == (OLDER,)


def test_quarantined_labels_hold_and_stay_faulty(read) -> None:
    inputs = read(quarantined=(LABELLED,))
    assert verdict(inputs) == ("HOLD", "quarantined")
    assert inputs.evidence.faulty_windows == (LABELLED,)


def test_quarantined_window_without_rows_is_not_named(read) -> None:
    elsewhere = FaultyWindow(window="day-300", start_ms=270 * DAY_MS, end_ms=300 * DAY_MS)
    assert read(quarantined=(elsewhere,)).evidence.left_out == ()


def test_broken_labels_hold_and_their_window_is_named_faulty(read) -> None:
    log = log_rows()
    newest = (log["event_time_ms"] >= LABEL_START_MS) & (log["event_time_ms"] < LABEL_END_MS)
    log.loc[newest, "late"] = log.loc[newest, "late"] * 1000
    inputs = read(log=log)
    assert verdict(inputs) == ("HOLD", "label_fault")
    [faulty] = inputs.evidence.faulty_windows
    assert (faulty.window, faulty.faults) == ("day-90", ("labels: beyond_training_range",))


def test_version_of_the_record_is_judged_and_a_log_without_it_is_an_alarm(read) -> None:
    same = read(champion_version=3)
    assert (same.evidence.model_version, same.evidence.answered_by) == (3, (3,))
    # Rolled back to 2 by hand, but the server goes on with 3.
    other = read(champion_version=2)
    assert other.evidence.model_version == 2
    assert not np.isfinite(other.answers.scores).any()
    assert verdict(other) == ("HOLD", "log_disagrees")


@pytest.mark.slow
def test_version_pushed_between_a_window_and_its_decision_is_no_alarm(read) -> None:
    of_3 = decided(read(champion_version=3))
    first = read(champion_version=4, previous=of_3)
    assert verdict(first) == ("HOLD", "champion_is_new")
    # A window later it should have answered something.
    second = read(champion_version=4, previous=decided(first))
    assert verdict(second) == ("HOLD", "log_disagrees")
    assert verdict(read(champion_version=3, previous=of_3))[1] != "log_disagrees"


def test_no_labels_hold(read) -> None:
    assert verdict(read(log=log_rows().assign(late=np.nan))) == ("HOLD", "too_few_labels")


def test_labels_of_one_class_hold(read) -> None:
    assert verdict(read(log=log_rows().assign(late=0.0))) == ("HOLD", "labels_of_one_class")


def test_sample_without_label_is_an_error(read) -> None:
    with pytest.raises(DataError, match="Run ReferenceProfiler on labelled examples"):
        read(sample=training_rows(500, 1, 0).drop(columns="late"))


def test_a_sample_without_times_is_forgotten_as_a_whole_or_kept(read) -> None:
    sample = training_rows(500, 1, 0).drop(columns="event_time_ms")
    label_start_ms = read().label_start_ms
    forgotten = read(sample=sample, training_start_ms=label_start_ms).kept.rows
    assert len(forgotten) == 0
    # Which part of it a training from an earlier day on would use is not known.
    kept = read(sample=sample, training_start_ms=DAY_MS).kept.rows
    assert len(kept) >= len(sample)


def test_log_of_tf_examples_is_compared_with_a_sample_of_bytes(read) -> None:
    """A stock pipeline logs lists of one; the rows that it was trained on have bytes for text."""
    sample = training_rows(2000, 1, 0)
    plain = read(sample=sample)
    sample["carrier"] = [name.encode() for name in sample["carrier"]]
    stock = read(sample=sample, of_examples=True)
    assert stock.evidence.faults == ()
    assert stock.answers is not None
    pd.testing.assert_frame_equal(stock.newest[stock.features], plain.newest[plain.features])
    pd.testing.assert_frame_equal(stock.champion.rows, plain.champion.rows)


def test_features_of_a_parse_fn_are_made_of_the_log_s(read) -> None:
    made = f"{__name__}.warm_and_long"
    rows = training_rows(2000, 1, 0)
    sample = rows[["late", "hour", "event_time_ms"]].assign(warm=rows["temp"] > 50)
    inputs = read(sample=sample, of_examples=True, parse_fn=made)
    assert set(inputs.features) == {"warm", "hour"}
    assert inputs.evidence.faults == ()
    assert len(read(sample=sample).evidence.faults) == 1  # The log has no feature `warm`.


def test_sample_without_features_is_refused_with_what_to_do(read) -> None:
    sample = training_rows(2000, 1, 0)[["late", "event_time_ms"]]
    with pytest.raises(DataError, match="a parse_fn that makes numbers of lists or images"):
        read(sample=sample)
