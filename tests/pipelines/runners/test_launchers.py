"""From a window that ended to the pipeline that answers it: which spans, labels and champion."""

import dataclasses
import shutil
from pathlib import Path

import pandas as pd
import pytest
from ml_metadata.proto import metadata_store_pb2 as pb
from recorder import RecordedNode, RecordedOutput, RecordedRun, decision_content, open_store

from tfx_loop.contracts.deployment_record import (
    DEPLOYMENT_RECORD,
    Deployment,
    DeploymentRecord,
    DeploymentState,
    read_record,
)
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.monitoring.profile.reference import (
    REFERENCE_PROFILE,
    SAMPLE_FILE,
    FrozenProfile,
    SampleInfo,
)
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.launcher import LaunchRequest
from tfx_loop.pipelines.examples.flights.calendar import FlightMonths
from tfx_loop.pipelines.examples.flights.settings import flights_settings

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def settings(tmp_path):
    settings = flights_settings(tmp_path, "http://127.0.0.1:1")
    # A server has logged; without any log, monitoring is refused.
    (tmp_path / "prediction_log/flights").mkdir(parents=True)
    sample = SampleInfo(rows=0, fraction=1.0, seed=0)
    profile = FrozenProfile(rows_total=0, features=(), sample=sample, spans=(1, 2))
    REFERENCE_PROFILE.write(profile, tmp_path / "profile")
    record = DeploymentRecord("flights")
    for version, state in (
        (1, DeploymentState.STABLE),
        (2, DeploymentState.STABLE),
        (3, DeploymentState.FAILED),
    ):
        deployment = Deployment(
            version=version,
            model_digest="sha256:0",
            model_uri=f"/models/{version}",
            reference_profile_uri=str(tmp_path / "profile"),
            variant="float",
            run_id=f"run-{version}",
            pushed_at_ms=0,
            replaced=None,
            state=state,
        )
        record = record.with_version(deployment)
    DEPLOYMENT_RECORD.write(record, settings.serving.base_path)
    return settings


def pipeline_of(kind, settings, tmp_path, **request):
    from tfx_loop.pipelines.runners import launchers

    store = open_store(tmp_path / "metadata.sqlite")
    launcher = getattr(launchers, kind)(store, settings, FlightMonths(), 1)
    values = {f.name: "" for f in dataclasses.fields(LaunchRequest)}
    values |= {"model_name": "flights", "model_version": 2, "window": "2013-05", **request}
    pipeline = launcher.pipeline(LaunchRequest(**values))
    return {node.id: node for node in pipeline.components}


def test_a_training_uses_every_span_whose_labels_are_here(settings, tmp_path):
    nodes = pipeline_of("TrainingLauncher", settings, tmp_path, decision_uri="/decisions/1")
    assert nodes["SpanExampleGen"].exec_properties["spans"] == "1,2,3,4"
    assert nodes["ChampionImporter"].exec_properties["artifact_uri"] == "/models/2"
    assert nodes["RetrainDecisionImporter"].exec_properties["artifact_uri"] == "/decisions/1"


@pytest.mark.parametrize(
    ("windows", "name", "first"), [(0, "2013-01 to 2013-04", "2013-01"), (1, "2013-04", "2013-04")]
)
def test_a_training_is_compared_with_the_log_of_its_spans(settings, tmp_path, windows, name, first):
    decision = dataclasses.replace(settings.decision, training_windows=windows)
    settings = dataclasses.replace(settings, decision=decision)
    log = pipeline_of("TrainingLauncher", settings, tmp_path)["TrainingWindowLogGen"]
    months = FlightMonths()
    # Milliseconds travel as text: whole numbers have 32 bits on MySQL and PostgreSQL.
    assert (int(log.exec_properties["start_ms"]), int(log.exec_properties["end_ms"])) == (
        months.window(first).start_ms,
        months.window("2013-04").end_ms,
    )
    assert log.exec_properties["window"] == name


def test_a_training_meets_the_champion_that_the_decision_was_about(settings, tmp_path):
    nodes = pipeline_of("TrainingLauncher", settings, tmp_path, model_version=1)
    assert nodes["ChampionImporter"].exec_properties["artifact_uri"] == "/models/1"


def test_a_training_may_keep_to_the_newest_windows(settings, tmp_path):
    decision = dataclasses.replace(settings.decision, training_windows=2)
    settings = dataclasses.replace(settings, decision=decision)
    nodes = pipeline_of("TrainingLauncher", settings, tmp_path)
    assert nodes["SpanExampleGen"].exec_properties["spans"] == "3,4"


def test_monitoring_labels_the_window_before_and_all_since_the_training(settings, tmp_path):
    nodes = pipeline_of("MonitoringLauncher", settings, tmp_path)
    months = FlightMonths()
    assert nodes["PredictionLogGen"].exec_properties["window"] == "2013-05"
    log = nodes["LabelWindowLogGen"].exec_properties
    assert (int(log["start_ms"]), int(log["end_ms"])) == (
        months.window("2013-03").start_ms,
        months.window("2013-04").end_ms,
    )
    assert nodes["QualityMonitor"].exec_properties["window"] == "2013-04"
    as_of_ms = int(nodes["LabelJoiner"].exec_properties["as_of_ms"])
    assert as_of_ms == months.window("2013-05").end_ms
    assert "PreviousDecisionImporter" not in nodes


@pytest.mark.parametrize(("spans", "times"), [((), [7, 9]), ((0,), [7, 9]), ((), None)])
def test_examples_without_spans_say_by_their_times_where_training_ended(
    settings, tmp_path, spans, times
):
    """CsvExampleGen names no spans, or span 0."""
    rows = {"event_time_ms": times} if times else {"x": [1.0, 2.0]}
    sample = SampleInfo(rows=2, fraction=1.0, seed=0)
    profile = FrozenProfile(rows_total=2, features=(), sample=sample, spans=spans)
    REFERENCE_PROFILE.write(profile, tmp_path / "profile")
    pd.DataFrame(rows).to_parquet(tmp_path / "profile" / SAMPLE_FILE)
    log = pipeline_of("MonitoringLauncher", settings, tmp_path)["LabelWindowLogGen"]
    # Without spans and times the push says it, which these versions had at 0.
    assert int(log.exec_properties["start_ms"]) == (10 if times else 0)


@pytest.mark.parametrize("package", ["tfx_loop", "components"])
def test_monitoring_goes_on_from_what_the_decision_before_was_made_from(
    settings, tmp_path, package
):
    decision = decision_content(verdict="HOLD", window="2013-04", model_version=2)
    made = RecordedOutput(f"{package}.RetrainDecision", {"window": "2013-04"}, {})
    made.files = {"retrain_decision.json": decision}
    read = {"drift_report": "DriftMonitor.drift_report", "evaluation": "QualityMonitor.evaluation"}
    run = RecordedRun(open_store(tmp_path / "metadata.sqlite"), "monitoring", "1", tmp_path / "run")
    run.run(
        [
            RecordedNode(
                "DriftMonitor", outputs={"drift_report": RecordedOutput(f"{package}.DriftReport")}
            ),
            RecordedNode(
                "QualityMonitor", outputs={"evaluation": RecordedOutput("ModelEvaluation")}
            ),
            RecordedNode("RetrainDecider", inputs=read, outputs={"decision": made}),
        ]
    )
    nodes = pipeline_of("MonitoringLauncher", settings, tmp_path)
    for importer, producer in (("Report", "DriftMonitor"), ("Evaluation", "QualityMonitor")):
        uri = nodes[f"Previous{importer}Importer"].exec_properties["artifact_uri"]
        assert f"/run/{producer}/" in uri
    # Somebody removes the report: the next window begins its memory anew.
    shutil.rmtree(nodes["PreviousReportImporter"].exec_properties["artifact_uri"])
    left = pipeline_of("MonitoringLauncher", settings, tmp_path)
    assert "PreviousReportImporter" not in left
    assert "PreviousEvaluationImporter" in left


def test_without_a_champion_the_loop_says_to_train_first(settings, tmp_path):
    DEPLOYMENT_RECORD.write(DeploymentRecord("flights"), settings.serving.base_path)
    with pytest.raises(DataError, match="Run the training pipeline once before the loop"):
        pipeline_of("MonitoringLauncher", settings, tmp_path)


def test_an_unknown_window_is_told(settings, tmp_path):
    with pytest.raises(ConfigError, match="Expected a window from 2013-01"):
        pipeline_of("TrainingLauncher", settings, tmp_path, window="2014-01")


def launcher_of(kind, settings, store):
    from tfx_loop.pipelines.runners import launchers

    return getattr(launchers, kind)(store, settings, FlightMonths(), 1)


def request_of(window="2013-05"):
    return LaunchRequest(model_name="flights", window=window, model_version=2)


@pytest.mark.parametrize("kind", ["MonitoringLauncher", "TrainingLauncher"])
def test_lost_store_is_noticed_by_what_was_deployed(kind, settings, tmp_path):
    base = settings.serving.base_path
    record = read_record(base, "flights")
    newest = dataclasses.replace(record.versions[-1], run_id="retrain-flights-2013-04-0123456789ab")
    DEPLOYMENT_RECORD.write(record.with_version(newest), base)
    store = open_store(tmp_path / "emptied.sqlite")
    with pytest.raises(DataError, match="the store was lost, emptied or is another one"):
        launcher_of(kind, settings, store).check(request_of())
    # The store that knows the claim is the right one; pushes of other programs ask for none.
    ledger.register_types(store)
    claim = pb.Artifact(type_id=store.get_artifact_type(ledger.CLAIM).id, name="claim")
    ledger.set_properties(claim, {"run_id": newest.run_id})
    store.put_artifacts([claim])
    (Path(settings.serving.prediction_log) / "flights").mkdir(parents=True, exist_ok=True)
    launcher_of(kind, settings, store).check(request_of())


def test_log_that_is_not_there_is_an_error_each_time(settings, tmp_path):
    launcher = launcher_of("MonitoringLauncher", settings, open_store(tmp_path / "m.sqlite"))
    shutil.rmtree(settings.serving.prediction_log, ignore_errors=True)
    for _ in range(5):
        with pytest.raises(DataError, match="Expected the prediction log of 'flights'"):
            launcher.check(request_of())
