"""PrivacyReport and `loop privacy` on a SavedModel that knows its rows by heart."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from compiled_pipeline import compile_pipeline
from model_by_heart import ROWS, write_all

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("privacy")
    write_all(folder)
    return folder


@pytest.fixture(scope="module")
def transform_graph(trained, tmp_path_factory):
    """What Transform leaves: features and label under other names."""
    import apache_beam as beam
    import tensorflow as tf
    import tensorflow_transform as tft
    import tensorflow_transform.beam as tft_beam
    from tensorflow_transform.tf_metadata import metadata_io

    def transformed(inputs):
        scaled = {f"{name}_xf": tft.scale_to_z_score(inputs[name]) for name in ("a", "b")}
        return {**scaled, "late_xf": inputs["late"]}

    folder = tmp_path_factory.mktemp("transform_graph")
    one = {name: tf.io.FixedLenFeature([], tf.float32) for name in ("a", "b")}
    spec = {**one, "late": tf.io.FixedLenFeature([], tf.int64)}
    metadata = tft.DatasetMetadata.from_feature_spec(spec)
    rows = [{"a": 0.0, "b": 1.0, "late": 0}, {"a": 2.0, "b": 3.0, "late": 1}]
    with (
        beam.Pipeline(runner="FnApiRunner") as pipeline,
        tft_beam.Context(temp_dir=str(folder / "scratch")),
    ):
        analyzed = (pipeline | beam.Create(rows), metadata) | tft_beam.AnalyzeDataset(transformed)
        _ = analyzed | tft_beam.WriteTransformFn(str(folder))
    metadata_io.write_metadata(metadata, str(folder / "metadata"))
    return folder


def reported(trained, folder, graph=None, label_key="late", **settings):
    from tfx.types import standard_artifacts

    from tfx_loop.core.artifacts import MembershipReport
    from tfx_loop.monitoring.privacy_report.executor import Executor
    from tfx_loop.monitoring.privacy_report.settings import PrivacyReportSettings

    model, examples = standard_artifacts.Model(), standard_artifacts.Examples()
    model.uri, examples.uri = str(trained / "model"), str(trained / "examples")
    examples.split_names = '["train", "eval", "fresh"]'
    output = MembershipReport()
    output.uri = str(folder)
    chosen = PrivacyReportSettings(label_key=label_key, score_key="late", **settings)
    inputs = {"model": [model], "examples": [examples]}
    if graph is not None:
        inputs["transform_graph"] = [standard_artifacts.TransformGraph()]
        inputs["transform_graph"][0].uri = str(graph)
    Executor().Do(inputs, {"privacy_report": [output]}, chosen.to_properties())
    report = json.loads((folder / "privacy_report.json").read_text())
    return SimpleNamespace(report=report, artifact=output)


def test_a_model_that_knows_its_rows_by_heart_is_warned_of(trained, tmp_path):
    found = reported(trained, tmp_path)
    assert (found.report["verdict"], found.report["members"]) == ("WARN", ROWS)
    assert found.report["calibrated"]["auc"] > 0.7
    assert found.artifact.get_string_custom_property("verdict") == "WARN"
    page = (tmp_path / "privacy_report.html").read_text()
    assert "members_recognised" in page
    assert "Bern" not in page + json.dumps(found.report)


def test_a_label_that_transform_makes(trained, transform_graph, tmp_path):
    found = reported(trained, tmp_path, transform_graph, "late_xf")
    assert (found.report["verdict"], found.report["members"]) == ("WARN", ROWS)


def test_a_transform_graph_that_writes_is_refused(trained, transform_graph, tmp_path):
    from hostile_models import harm_of, saved_model_writes

    from tfx_loop.core.errors import ModelUnsafe

    hostile = tmp_path / "transform_graph"
    shutil.copytree(transform_graph, hostile)
    shutil.rmtree(hostile / "transform_fn")
    saved_model_writes(tmp_path).rename(hostile / "transform_fn")
    with pytest.raises(ModelUnsafe, match="WriteFile"):
        reported(trained, tmp_path, hostile, "late_xf")
    assert not harm_of(tmp_path).exists()


@pytest.mark.parametrize("left_out", ["", "transform_graph"])
def test_it_compiles_with_every_input_and_with_the_least(tmp_path, left_out):
    from tfx.dsl.components.common.importer import Importer
    from tfx.types import standard_artifacts

    from tfx_loop.monitoring.privacy_report.component import PrivacyReport

    kinds = {"model": "Model", "examples": "Examples", "transform_graph": "TransformGraph"}
    given = {
        name: Importer(
            source_uri=f"gs://bucket/{name}", artifact_type=getattr(standard_artifacts, kind)
        ).with_id(name)
        for name, kind in kinds.items()
        if name != left_out
    }
    channels = {name: node.outputs["result"] for name, node in given.items()}
    node = PrivacyReport(**channels, label_key="late", score_key="late")
    spec = compile_pipeline(tmp_path, [*given.values(), node])
    task = spec["root"]["dag"]["tasks"]["PrivacyReport"]
    assert set(task["inputs"]["artifacts"]) == set(channels)
    told = task["inputs"]["parameters"]["label_key"]["runtimeValue"]
    assert told == {"constantValue": {"stringValue": "late"}}


def test_rows_that_it_did_not_see_are_not_recognised(trained, tmp_path):
    found = reported(trained, tmp_path, member_splits=("fresh",), max_rows=350)
    assert (found.report["verdict"], found.report["members"]) == ("NO_SIGN", 350)


def test_a_label_that_is_not_there_is_one_line(trained, tmp_path):
    from tfx_loop.core.errors import DataError
    from tfx_loop.monitoring.reference_models.evaluated_rows import evaluated_rows

    with pytest.raises(DataError, match=r"Expected the label 'lat'.*transform_graph"):
        evaluated_rows([{"late": np.zeros(2)}] * 2, [np.zeros(2)] * 2, "lat")


@pytest.mark.parametrize(
    ("members", "status", "verdict"), [("train", 3, "WARN"), ("fresh", 0, "NO_SIGN")]
)
def test_the_command_says_the_same_of_files(trained, tmp_path, capsys, members, status, verdict):
    from tfx_loop.pipelines.cli import main

    page = tmp_path / "page.html"
    files = [f"--training={trained}/{members}.parquet", f"--others={trained}/eval.parquet"]
    words = [str(trained / "model" / "Format-Serving"), *files, "--label", "late"]
    assert main.main(["privacy", *words, "--json", "--page", str(page)]) == status
    assert json.loads(capsys.readouterr().out)["verdict"] == verdict
    assert Path(page).read_text().count("<h1>") == 1
