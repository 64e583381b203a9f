"""All pipelines, compiled for Kubeflow V2: every node, its command, properties it can carry."""

import dataclasses
import json

import pytest

from tfx_loop.pipelines.examples.flights.calendar import FlightMonths
from tfx_loop.pipelines.examples.flights.settings import flights_settings

pytestmark = pytest.mark.tensorflow

TRAINING = {
    "RetrainDecisionImporter",
    "SpanExampleGen",
    "StatisticsGen",
    "SchemaImporter",
    "ExampleValidator",
    "Transform",
    "Trainer",
    "ChampionImporter",
    "Evaluator",
    "ReferenceProfiler",
    "ServingPusher",
    "TrainingWindowLogGen",
    "SkewMonitor",
}
MONITORING = {
    "ReferenceProfileImporter",
    "PreviousDecisionImporter",
    "PreviousReportImporter",
    "PreviousEvaluationImporter",
    "PredictionLogGen",
    "DriftMonitor",
    "LabelWindowLogGen",
    "LabelJoiner",
    "QualityMonitor",
    "RetrainDecider",
}
COMPRESSION = {
    "SpanExampleGen",
    "Trainer",
    "Distiller",
    "Pruner",
    "Quantizer-float",
    "Quantizer-distilled",
    "Quantizer-pruned",
    "Evaluator-distilled",
    "Evaluator-pruned",
    "Evaluator-float-quantized",
    "Evaluator-distilled-quantized",
    "Evaluator-pruned-quantized",
    "VariantChooser",
    "ServingPusher",
}
EDGE = {
    "SpanExampleGen",
    "Trainer",
    "Distiller",
    "Quantizer",
    "EdgeTPUCompiler",
    "Evaluator",
    "EdgeBundler",
    "ServingPusher",
}
PIPELINES = {
    "training": TRAINING,
    "monitoring": MONITORING,
    "compression": COMPRESSION,
    "edge": EDGE,
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    settings = flights_settings(tmp_path_factory.mktemp("flights"), "http://model-server:8501")
    bucket = dataclasses.replace(
        settings.pipeline, root="gs://bucket/root", data="gs://bucket/data"
    )
    return dataclasses.replace(settings, pipeline=bucket)


def training(settings, metadata, **changes):
    from tfx_loop.pipelines.training import TrainingRequest, training_pipeline

    request = TrainingRequest(
        spans=(1, 2, 3),
        champion_uri="gs://bucket/model/7",
        decision_uri="gs://bucket/decision/9",
        served_window=FlightMonths().window("2013-03"),
    )
    request = dataclasses.replace(request, **changes)
    return training_pipeline(settings, request, metadata=metadata)


def monitoring(settings, metadata, previous="gs://bucket/decision/8"):
    from tfx_loop.pipelines.monitoring import MonitoringRequest, monitoring_pipeline

    months = FlightMonths()
    request = MonitoringRequest(
        window=months.window("2013-04"),
        label_window=months.window("2013-03"),
        labelled_since_ms=months.window("2013-03").start_ms,
        reference_profile_uri="gs://bucket/profile/5",
        previous_decision_uri=previous,
        previous_report_uri=previous and "gs://bucket/report/8",
        previous_evaluation_uri=previous and "gs://bucket/evaluation/8",
    )
    return monitoring_pipeline(settings, request, metadata=metadata)


def compression(settings, metadata):
    from tfx_loop.pipelines.examples.digits.pipeline import compression_pipeline
    from tfx_loop.pipelines.examples.digits.settings import COMPRESSION as COMPRESSING

    return compression_pipeline(settings.pipeline, settings.serving, COMPRESSING, metadata)


def edge(settings, metadata):
    from tfx_loop.pipelines.examples.digits.pipeline import EdgeSettings, edge_pipeline
    from tfx_loop.pipelines.examples.digits.settings import STUDENT

    bundles = EdgeSettings(base_path="gs://bucket/bundles", distillation=STUDENT)
    return edge_pipeline(settings.pipeline, bundles, metadata)


MAKERS = [training, monitoring, compression, edge]


def compiled(pipeline, folder):
    from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner

    path = folder / "spec.json"
    kubeflow_v2_dag_runner.KubeflowV2DagRunner(
        config=kubeflow_v2_dag_runner.KubeflowV2DagRunnerConfig(default_image="image"),
        output_filename=str(path),
    ).run(pipeline, write_out=True)
    return json.loads(path.read_text())["pipelineSpec"]


@pytest.fixture(scope="module")
def specs(settings, tmp_path_factory):
    return {
        make.__name__: compiled(make(settings, False), tmp_path_factory.mktemp(make.__name__))
        for make in MAKERS
    }


def constant(value):
    """Returns a constant of the spec as TFX 1.16 (typed) or 1.21 (plain) writes it."""
    value = value.get("runtimeValue", value)
    if "constantValue" not in value:
        return value["constant"]
    [(kind, plain)] = value["constantValue"].items()
    return int(plain) if kind == "intValue" else plain


def executor_of(spec, task):
    component = spec["components"][spec["root"]["dag"]["tasks"][task]["componentRef"]["name"]]
    return spec["deploymentSpec"]["executors"][component["executorLabel"]]


@pytest.mark.parametrize(("name", "nodes"), PIPELINES.items())
def test_every_node_is_in_the_compiled_spec(specs, name, nodes):
    assert set(specs[name]["root"]["dag"]["tasks"]) == nodes


@pytest.mark.slow
@pytest.mark.parametrize("make", MAKERS)
def test_every_pipeline_keeps_the_rules_of_both_services(settings, make, monkeypatch):
    from tfx_loop.pipelines.runners.remote import compiling
    from tfx_loop.pipelines.runners.remote.targets import Target

    # The flights' schema is a folder of the package, which is copied to the bucket.
    monkeypatch.setattr(compiling.storage, "write_bytes", lambda uri, content: None)
    image = "registry.example/loop@sha256:" + "0" * 64
    pipeline = dataclasses.replace(settings.pipeline, labels="gs://bucket/labels")
    serving = dataclasses.replace(
        settings.serving, base_path="gs://bucket/serving", prediction_log="gs://bucket/log"
    )
    remote = dataclasses.replace(settings, pipeline=pipeline, serving=serving)
    for target in Target:
        terms = compiling.CompileSettings(target=target, image=image, stage=True)
        compiled = compiling.compile_pipeline(make(remote, False), terms)
        assert [breach.sentence for breach in compiled.breaches] == []


@pytest.mark.parametrize(("name", "nodes"), PIPELINES.items())
def test_every_node_has_a_container_with_its_own_executor(specs, name, nodes):
    for node in nodes:
        executor = executor_of(specs[name], node)
        if node.endswith("Importer"):
            assert constant(executor["importer"]["artifactUri"])
            continue
        container = executor["container"]
        assert container["image"]
        command = " ".join([*container.get("command", []), *container["args"]])
        assert "--executor_class_path" in command
        path = container["args"][container["args"].index("--executor_class_path") + 1]
        assert path.endswith("Executor"), path


@pytest.mark.parametrize(
    ("name", "node", "path"),
    [
        ("training", "SpanExampleGen", "tfx_loop.data.span_example_gen.executor.Executor"),
        (
            "training",
            "ReferenceProfiler",
            "tfx_loop.monitoring.reference_profiler.executor.Executor",
        ),
        ("training", "ServingPusher", "tfx_loop.deployment.serving_pusher.executor.Executor"),
        ("training", "SkewMonitor", "tfx_loop.monitoring.skew_monitor.executor.Executor"),
        ("compression", "Pruner", "tfx_loop.optimization.pruner.executor.Executor"),
        ("compression", "Quantizer-pruned", "tfx_loop.optimization.quantizer.executor.Executor"),
        (
            "compression",
            "VariantChooser",
            "tfx_loop.optimization.variant_chooser.executor.Executor",
        ),
        ("edge", "Distiller", "tfx_loop.optimization.distiller.executor.Executor"),
        ("edge", "EdgeTPUCompiler", "tfx_loop.edge.edgetpu_compiler.executor.Executor"),
        ("edge", "EdgeBundler", "tfx_loop.edge.edge_bundler.executor.Executor"),
        ("monitoring", "PredictionLogGen", "tfx_loop.data.prediction_log.executor.Executor"),
        ("monitoring", "LabelWindowLogGen", "tfx_loop.data.prediction_log.executor.Executor"),
        (
            "monitoring",
            "LabelJoiner",
            "tfx_loop.data.prediction_log.label_joiner_executor.Executor",
        ),
        ("monitoring", "DriftMonitor", "tfx_loop.monitoring.drift_monitor.executor.Executor"),
        ("monitoring", "QualityMonitor", "tfx_loop.monitoring.quality_monitor.executor.Executor"),
        ("monitoring", "RetrainDecider", "tfx_loop.monitoring.retrain_decider.executor.Executor"),
    ],
)
def test_containers_name_our_executors(specs, name, node, path):
    assert path in executor_of(specs[name], node)["container"]["args"]


@pytest.mark.parametrize("name", PIPELINES)
def test_all_execution_properties_are_numbers_or_strings(specs, name):
    for node, task in specs[name]["root"]["dag"]["tasks"].items():
        for key, value in task.get("inputs", {}).get("parameters", {}).items():
            plain = value.get("componentInputParameter") or constant(value)
            assert type(plain) in (int, float, str), f"{node}.{key}: {value}"


@pytest.mark.parametrize("make", MAKERS)
def test_execution_properties_are_scalars_before_compilation(settings, make):
    """A bool or None would be refused, or silently changed, by the V2 entry point."""
    for node in make(settings, False).components:
        for key, value in node.exec_properties.items():
            if type(node).__module__.startswith("components."):
                assert value is None or type(value) in (int, float, str), (
                    f"{node.id}.{key}: {value}"
                )


def test_the_request_is_in_the_spec(specs):
    tasks = specs["training"]["root"]["dag"]["tasks"]
    constants = tasks["SpanExampleGen"]["inputs"]["parameters"]
    assert constant(constants["spans"]) == "1,2,3"
    assert "decision" in tasks["SpanExampleGen"]["inputs"]["artifacts"]
    assert "baseline_model" in tasks["Evaluator"]["inputs"]["artifacts"]
    decider = specs["monitoring"]["root"]["dag"]["tasks"]["RetrainDecider"]["inputs"]
    assert "previous_decision" in decider["artifacts"]
    monitor = specs["monitoring"]["root"]["dag"]["tasks"]["DriftMonitor"]["inputs"]["artifacts"]
    assert {"previous_report", "evaluation"} <= set(monitor)
    quality = specs["monitoring"]["root"]["dag"]["tasks"]["QualityMonitor"]["inputs"]["artifacts"]
    assert {"prediction_log", "reference_profile", "previous_evaluation"} <= set(quality)
    assert constant(decider["parameters"]["label_window"]) == "2013-03"


def test_a_first_training_has_no_champion_no_decision_and_nothing_served(settings):
    first = {"champion_uri": None, "decision_uri": None, "served_window": None}
    ids = {node.id for node in training(settings, False, **first).components}
    of_retraining = {"ChampionImporter", "RetrainDecisionImporter"}
    assert ids == TRAINING - of_retraining - {"TrainingWindowLogGen", "SkewMonitor"}


def test_the_push_does_not_wait_for_skew(specs):
    tasks = specs["training"]["root"]["dag"]["tasks"]
    assert "SkewMonitor" not in tasks["ServingPusher"]["dependentTasks"]
    assert "ServingPusher" not in tasks["SkewMonitor"]["dependentTasks"]


def test_rows_are_named_where_the_model_says_how(settings):
    """The keys stay in the examples and the sample, and are profiled as no feature."""

    def nodes_of(**changes):
        model = dataclasses.replace(settings.model, **changes)
        pipeline = training(dataclasses.replace(settings, model=model), False)
        return {node.id: node.exec_properties for node in pipeline.components}

    asked = nodes_of(row_keys=("flight_id=request_id",))
    assert asked["SpanExampleGen"]["keep_key"] == 1
    assert json.loads(asked["SkewMonitor"]["keys"]) == ["flight_id=request_id"]
    assert "flight_id" in json.loads(asked["ReferenceProfiler"]["ignore_features"])
    log = asked["TrainingWindowLogGen"]
    march = FlightMonths().window("2013-03")
    assert (log["window"], log["start_ms"], log["end_ms"]) == (
        "2013-03",
        str(march.start_ms),
        str(march.end_ms),
    )
    assert nodes_of()["SpanExampleGen"]["keep_key"] == 0
    unasked = nodes_of(row_keys=())
    assert not {"SkewMonitor", "TrainingWindowLogGen"} & set(unasked)


def test_a_first_window_has_no_previous_decision(settings):
    ids = {node.id for node in monitoring(settings, False, previous=None).components}
    assert ids == {name for name in MONITORING if not name.startswith("Previous")}


@pytest.mark.parametrize("make", MAKERS)
def test_a_local_pipeline_knows_its_metadata_and_a_compiled_one_has_none(settings, make):
    local = make(settings, True).metadata_connection_config
    assert local.sqlite.filename_uri == settings.pipeline.metadata_path
    assert make(settings, False).metadata_connection_config is None
