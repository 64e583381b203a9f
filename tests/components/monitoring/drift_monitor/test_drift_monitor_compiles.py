"""ReferenceProfiler and DriftMonitor compile for Kubeflow V2, with every input and without."""

import json

import pytest
from compiled_pipeline import compile_pipeline

from tfx_loop.core.errors import ConfigError

pytestmark = pytest.mark.tensorflow


def importer(name, artifact_type):
    from tfx.dsl.components.common import importer as tfx_importer

    node = tfx_importer.Importer(source_uri=f"gs://bucket/{name}", artifact_type=artifact_type)
    return node.with_id(name)


def training_nodes():
    from tfx.types import standard_artifacts

    return {
        "examples": importer("examples", standard_artifacts.Examples),
        "schema": importer("schema", standard_artifacts.Schema),
        "model": importer("model", standard_artifacts.Model),
    }


def test_profiler_and_monitor_compile_with_every_input(tmp_path):
    from tfx.types import standard_artifacts

    from tfx_loop import DriftMonitor, DriftReport, PredictionLog, ReferenceProfiler

    given = training_nodes()
    profiler = ReferenceProfiler(
        **{name: node.outputs["result"] for name, node in given.items()},
        label_key="late",
        ignore_features=["month"],
    )
    log = importer("log", PredictionLog)
    previous = importer("previous", DriftReport)
    evaluation = importer("evaluation", standard_artifacts.ModelEvaluation)
    monitor = DriftMonitor(
        prediction_log=log.outputs["result"],
        reference_profile=profiler.outputs["reference_profile"],
        previous_report=previous.outputs["result"],
        evaluation=evaluation.outputs["result"],
        window="2013-04",
        q=0.1,
        fault_settings={"missing_rise": 0.5},
    )
    nodes = [*given.values(), profiler, log, previous, evaluation, monitor]
    spec = compile_pipeline(tmp_path, nodes)
    tasks = spec["root"]["dag"]["tasks"]
    assert set(tasks["ReferenceProfiler"]["inputs"]["artifacts"]) == {"examples", "schema", "model"}
    assert set(tasks["DriftMonitor"]["inputs"]["artifacts"]) == {
        "prediction_log",
        "reference_profile",
        "previous_report",
        "evaluation",
    }
    text = json.dumps(spec["components"]["DriftMonitor"]["outputDefinitions"])
    assert "tfx_loop.DriftReport" in text
    assert "ReferenceProfiler" in tasks["DriftMonitor"]["dependentTasks"]
    assert '{\\"missing_rise\\": 0.5, ' in json.dumps(tasks["DriftMonitor"]["inputs"])


def test_optional_inputs_may_be_left_out(tmp_path):
    from tfx_loop import DriftMonitor, PredictionLog, ReferenceProfile, ReferenceProfiler

    examples = training_nodes()["examples"]
    profiler = ReferenceProfiler(examples=examples.outputs["result"])
    log, profile = importer("log", PredictionLog), importer("profile", ReferenceProfile)
    monitor = DriftMonitor(
        prediction_log=log.outputs["result"], reference_profile=profile.outputs["result"]
    )
    spec = compile_pipeline(tmp_path, [examples, profiler, log, profile, monitor])
    tasks = spec["root"]["dag"]["tasks"]
    assert set(tasks["ReferenceProfiler"]["inputs"]["artifacts"]) == {"examples"}
    assert set(tasks["DriftMonitor"]["inputs"]["artifacts"]) == {
        "prediction_log",
        "reference_profile",
    }


def test_the_window_may_be_a_runtime_parameter(tmp_path):
    from tfx.orchestration import data_types

    from tfx_loop import DriftMonitor, PredictionLog, ReferenceProfile

    log, profile = importer("log", PredictionLog), importer("profile", ReferenceProfile)
    monitor = DriftMonitor(
        prediction_log=log.outputs["result"],
        reference_profile=profile.outputs["result"],
        window=data_types.RuntimeParameter(name="window", ptype=str),
    )
    spec = compile_pipeline(tmp_path, [log, profile, monitor])
    inputs = spec["root"]["dag"]["tasks"]["DriftMonitor"]["inputs"]
    assert inputs["parameters"]["window"] == {"componentInputParameter": "window"}


@pytest.mark.parametrize("wrong", ["month", '{"month": 1}', [1, 2], "3"])
def test_lists_of_names_are_checked_when_declared(wrong):
    from tfx_loop import DriftMonitor, PredictionLog, ReferenceProfile, ReferenceProfiler

    examples = training_nodes()["examples"].outputs["result"]
    with pytest.raises(ConfigError, match="ignore_features"):
        ReferenceProfiler(examples=examples, ignore_features=wrong)
    log, profile = importer("log", PredictionLog), importer("profile", ReferenceProfile)
    with pytest.raises(ConfigError, match="ignore_features"):
        DriftMonitor(
            prediction_log=log.outputs["result"],
            reference_profile=profile.outputs["result"],
            ignore_features=wrong,
        )


def test_a_signature_needs_a_model_to_score_with():
    from tfx_loop import ReferenceProfiler

    examples = training_nodes()["examples"].outputs["result"]
    with pytest.raises(ConfigError, match="needs a model"):
        ReferenceProfiler(examples=examples, score_signature="serving_default", score_key="p")
