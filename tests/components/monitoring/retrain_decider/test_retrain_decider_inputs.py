"""The right rows are compared, and bad input is a verdict or a clear error."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
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
    ) -> DeciderInputs:
        log = log_rows() if log is None else log
        base = tmp_path / str(next(numbers))
        folder = write_log(base / "log", log)
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
            previous_decision_uri=None,
            model_name="flights",
            window="day-120",
            label_window="day-90",
            label_start_ms=LABEL_START_MS,
            label_end_ms=LABEL_END_MS,
            training_start_ms=training_start_ms,
        )

    return run


def log_rows(*, sign: float = 1.0) -> pd.DataFrame:
    """Two labelled windows and one that the labels have not reached yet."""
    parts = [training_rows(1000, 2, 30), training_rows(1000, 3, 60, sign=sign)]
    later = training_rows(300, 4, 90).assign(late=np.nan)
    return pd.concat([*parts, later], ignore_index=True)


def verdict(inputs: DeciderInputs) -> tuple[str, str]:
    settings = DecisionSettings()
    decision = decide(inputs.evidence, lambda: inputs.measure(settings.measure), None, settings)
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
    assert len(inputs.kept.rows) == 2000 + 250
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


def test_no_labels_hold(read) -> None:
    assert verdict(read(log=log_rows().assign(late=np.nan))) == ("HOLD", "too_few_labels")


def test_labels_of_one_class_hold(read) -> None:
    assert verdict(read(log=log_rows().assign(late=0.0))) == ("HOLD", "labels_of_one_class")


def test_sample_without_label_is_an_error(read) -> None:
    with pytest.raises(DataError, match="Run ReferenceProfiler on labelled examples"):
        read(sample=training_rows(500, 1, 0).drop(columns="late"))


def test_forgetting_needs_event_times(read) -> None:
    with pytest.raises(DataError, match="event_time_ms"):
        read(
            sample=training_rows(500, 1, 0).drop(columns="event_time_ms"),
            training_start_ms=DAY_MS,
        )
