"""A promise that was wrong is told from drift: by the domain, and through both executors."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from decider_files import LABEL_END_MS, LABEL_START_MS, training_rows, write_log, write_report
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tfx_loop.contracts.quality_report import PromiseTest
from tfx_loop.core.errors import ConfigError
from tfx_loop.monitoring.profile.build import ProfileRequest, build
from tfx_loop.monitoring.profile.reference import REFERENCE_PROFILE, SAMPLE_FILE, FrozenProfile
from tfx_loop.monitoring.quality_monitor.promise_check import check_promise
from tfx_loop.monitoring.quality_monitor.settings import PromiseSettings
from tfx_loop.monitoring.retrain_decider.thinning import LabelledSample

# Forests and references are fitted.
pytestmark = pytest.mark.slow
FEATURES = ["temp", "hour", "carrier"]


def forest(rows: pd.DataFrame, seed: int = 0) -> object:
    columns = make_column_transformer((OneHotEncoder(), ["carrier"]), remainder="passthrough")
    trees = RandomForestClassifier(60, min_samples_leaf=3, random_state=seed, n_jobs=1)
    return make_pipeline(columns, trees).fit(rows[FEATURES], rows["late"])


def answers(model, rows: pd.DataFrame) -> np.ndarray:
    return model.predict_proba(rows[FEATURES])[:, 1]


def promised(seed: int, *, leaks: bool) -> tuple[object, FrozenProfile, pd.DataFrame]:
    """A model, its profile and its training rows; one that leaks was trained on held-out rows."""
    rows = training_rows(4000, seed, 0)
    held_out = np.random.default_rng(seed).random(len(rows)) < 0.25
    learnt = rows if leaks else rows[~held_out]
    model = forest(learnt, seed)
    profile, _ = build(
        pa.Table.from_pandas(rows[~held_out], preserve_index=False),
        ProfileRequest(label="late", score="probability", ignore_features=("event_time_ms",)),
        scores=pa.array(answers(model, rows[held_out])),
        score_labels=pa.array(rows["late"][held_out]),
    )
    return model, profile, rows[~held_out].reset_index(drop=True)


def checked(seed: int, window: pd.DataFrame, *, leaks: bool) -> PromiseTest | None:
    model, profile, sample = promised(seed, leaks=leaks)
    window = window.assign(**{"(score)": answers(model, window), "(version)": 3})
    return check_promise(profile, LabelledSample(rows=sample), window, PromiseSettings())


def drifted(seed: int) -> pd.DataFrame:
    """Rows of a world that became noisier: every model loses more, whatever it promised."""
    rows = training_rows(3000, 50 + seed, 60)
    noisy = np.random.default_rng(seed).random(len(rows)) < 0.25
    return rows.assign(late=np.where(noisy, 1 - rows["late"], rows["late"]))


@pytest.mark.parametrize("seed", range(3))
def test_a_model_that_was_trained_on_its_held_out_rows_promised_too_much(seed: int) -> None:
    found = checked(seed, training_rows(3000, 50 + seed, 60), leaks=True)
    assert found is not None
    assert found.wrong
    assert found.live - found.promised > 2 * abs(found.reference_rise)


@pytest.mark.parametrize("seed", range(2))
def test_drift_and_a_quiet_world_are_no_wrong_promise(seed: int) -> None:
    for window in (training_rows(3000, 50 + seed, 60), drifted(seed)):
        found = checked(seed, window, leaks=False)
        assert found is not None
        assert not found.wrong, found
    assert found.reference_rise > 0.1
    turned = checked(seed, training_rows(3000, 50 + seed, 60, sign=-1.0), leaks=True)
    # Where the reference tells nothing any more, nothing is blamed on the promise.
    assert turned is not None
    assert not turned.wrong


def test_few_rows_other_columns_and_one_class_tell_nothing() -> None:
    window = training_rows(3000, 50, 60)
    assert checked(0, window.head(150), leaks=True) is None
    assert checked(0, window.assign(late=1.0), leaks=True) is None
    model, profile, sample = promised(0, leaks=True)
    scored = window.assign(**{"(score)": answers(model, window)}).drop(columns="temp")
    settings = PromiseSettings()
    assert check_promise(profile, LabelledSample(rows=sample), scored, settings) is None
    with pytest.raises(ConfigError, match="promise_share must be above 0"):
        PromiseSettings(promise_share=0)


@pytest.mark.e2e
@pytest.mark.tensorflow
def test_executors_hand_a_wrong_promise_on_to_the_decision(tmp_path: Path) -> None:
    from google.protobuf import json_format
    from tfx.dsl.components.base import base_beam_executor
    from tfx.types import standard_artifacts

    from tfx_loop.core.artifacts import (
        DriftReport,
        PredictionLog,
        ReferenceProfile,
        RetrainDecision,
    )
    from tfx_loop.data.prediction_log.window_files import LOG_WINDOW, LogWindow
    from tfx_loop.monitoring.quality_monitor import executor as quality
    from tfx_loop.monitoring.retrain_decider import executor as decider
    from tfx_loop.pipelines.config import LOCAL_BEAM_ARGS
    from tfx_loop.pipelines.evaluation.configs import served_config
    from tfx_loop.pipelines.examples.flights.settings import MODEL

    def at(kind, name: str):
        artifact = kind()
        artifact.uri = str(tmp_path / name)
        return artifact

    model, profile, sample = promised(0, leaks=True)
    window = training_rows(2000, 50, 60)
    window = window.assign(answer=answers(model, window))
    write_log(tmp_path / "log", window)
    rows = pd.read_parquet(tmp_path / "log/rows.parquet")
    rows = rows.assign(label_time_ms=LABEL_END_MS, **{"feature.origin": "JFK"})
    rows.to_parquet(tmp_path / "log/rows.parquet", index=False)
    about = LogWindow(
        window="day-90",
        start_ms=LABEL_START_MS,
        end_ms=LABEL_END_MS,
        model_name="flights",
        rows=len(rows),
    )
    LOG_WINDOW.write(about, str(tmp_path / "log"))
    (tmp_path / "profile").mkdir()
    REFERENCE_PROFILE.write(profile, tmp_path / "profile")
    sample.to_parquet(tmp_path / "profile" / SAMPLE_FILE, index=False)
    write_report(tmp_path / "drift")
    log, reference = at(PredictionLog, "log"), at(ReferenceProfile, "profile")
    evaluation = at(standard_artifacts.ModelEvaluation, "evaluation")
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=list(LOCAL_BEAM_ARGS), tmp_dir=str(tmp_path / "tmp"), unique_id="1"
    )
    quality.Executor(context).Do(
        {"labelled_log": [log], "reference_profile": [reference]},
        {"evaluation": [evaluation]},
        {
            "eval_config": json_format.MessageToJson(served_config(MODEL)),
            "window": "day-90",
            "start_ms": LABEL_START_MS,
            "end_ms": LABEL_END_MS,
        },
    )
    said = json.loads((tmp_path / "evaluation/quality.json").read_text())["promise"]
    assert said["wrong"] is True
    assert said["z"] > 3
    assert evaluation.get_int_custom_property("promise_was_wrong") == 1
    page = (tmp_path / "evaluation/quality.html").read_text()
    assert "the promise was too good" in page

    decision = at(RetrainDecision, "decision")
    decider.Executor().Do(
        {
            "drift_report": [at(DriftReport, "drift")],
            "labelled_log": [log],
            "reference_profile": [reference],
            "evaluation": [evaluation],
        },
        {"decision": [decision]},
        {
            "model_name": "flights",
            "window": "day-120",
            "label_window": "day-90",
            "label_start_ms": LABEL_START_MS,
            "label_end_ms": LABEL_END_MS,
        },
    )
    assert decision.get_string_custom_property("verdict") == "HOLD"
    assert decision.get_string_custom_property("reason") == "promise_was_wrong"
    told = json.loads((tmp_path / "decision/retrain_decision.json").read_text())
    assert "A retraining would leak again" in told["explanation"]
    assert told["evidence"]["promise"]["optimism"] == said["optimism"]
