"""Names and versions that captures leave unsaid, from the model and the deployment record."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from captured_lines import TIME_MS, capture, write_hour
from tiny_serving_model import save_tiny_model

from tfx_loop.contracts.capture_source import CaptureSource, ServedVersion
from tfx_loop.contracts.deployment_record import Deployment, DeploymentRecord, DeploymentState
from tfx_loop.core.errors import ModelError
from tfx_loop.data.prediction_log.reader import read_window
from tfx_loop.deployment.serving_pusher.promotion import as_stable
from tfx_loop.models.saved_model.column_names import signature_columns
from tfx_loop.pipelines.cli.main import main
from tfx_loop.pipelines.config import ServingSettings
from tfx_loop.pipelines.examples.flights.settings import flights_settings
from tfx_loop.pipelines.runners.captures import served_versions, with_captures_named

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save_tiny_model(folder / "Format-Serving")
    return folder


def deployment(version, model_uri="", state=DeploymentState.STABLE):
    return Deployment(
        version=version,
        model_digest="sha256:0",
        model_uri=str(model_uri),
        reference_profile_uri="",
        variant="float",
        run_id=f"run-{version}",
        pushed_at_ms=version * 100,
        replaced=version - 1 or None,
        state=state,
    )


def test_versions_count_from_the_moment_they_were_promoted():
    record = DeploymentRecord("m").with_version(deployment(1))
    record = record.with_version(deployment(2, state=DeploymentState.FAILED))
    assert served_versions(record) == (ServedVersion(version=1, since_ms=100),)
    record = as_stable(record, deployment(3), 450)
    assert served_versions(record)[-1] == ServedVersion(version=3, since_ms=450)
    record = record.with_event("roll_back", 3, "bad", 500)
    assert served_versions(record)[-1] == ServedVersion(version=2, since_ms=500)


def test_a_signature_names_columns_where_no_list_does(model, tmp_path):
    settings = flights_settings(tmp_path, "http://127.0.0.1:1")
    record = DeploymentRecord("flights").with_version(deployment(1))
    champion = deployment(1, model)
    assert with_captures_named(settings, record, champion) is settings
    serving = ServingSettings(
        base_path="b", server_url="http://127.0.0.1:1", capture=CaptureSource(prefix="c")
    )
    named = with_captures_named(
        replace(settings, serving=serving), record, champion
    ).serving.capture
    assert named.feature_names == ("delay", "hour", "origin")
    assert named.output_names == ("probability",)
    assert named.versions == (ServedVersion(version=1, since_ms=100),)
    assert signature_columns(model / "Format-Serving", "serving_default").inputs == ()
    with pytest.raises(ModelError, match="Name the columns in a list"):
        signature_columns(model / "Format-Serving", "other")


def test_the_command_takes_names_from_a_model(model, tmp_path, capsys):
    write_hour(tmp_path / "e", TIME_MS, [capture("-3,7,JFK\n2,8,LGA", "0.5\n0.25")])
    words = ["log", "import", str(tmp_path / "log"), str(tmp_path / "e"), "--kind", "sagemaker"]
    words += ["--model", "m", "--names-of", str(Path(model, "Format-Serving")), "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 2
    table = read_window(str(tmp_path / "log"), "m", TIME_MS, TIME_MS + 1).table
    assert table.column("feature.origin").to_pylist() == ["JFK", "LGA"]
    assert table.column("output.probability").to_pylist() == [0.5, 0.25]


def test_the_monitoring_pipeline_reads_captures_in_place_of_a_log(tmp_path):
    from tfx_loop.pipelines.control.calendar import MonitoringWindow
    from tfx_loop.pipelines.monitoring import MonitoringRequest, monitoring_pipeline

    window = MonitoringWindow(name="w", span=2, start_ms=10, end_ms=20)
    source = CaptureSource(prefix="s3://bucket/capture/flights", output_names=("probability",))
    settings = replace(
        flights_settings(tmp_path, "http://127.0.0.1:1"),
        serving=ServingSettings(base_path="b", server_url="http://127.0.0.1:1", capture=source),
    )
    request = MonitoringRequest(
        window=window, label_window=window, labelled_since_ms=0, reference_profile_uri="p"
    )
    pipeline = monitoring_pipeline(settings, request)
    nodes = {node.id: node for node in pipeline.components}
    for name in ("PredictionLogGen", "LabelWindowLogGen"):
        given = nodes[name].exec_properties
        assert json.loads(given["capture"])["prefix"] == source.prefix
        assert given["log_dir"] == ""
