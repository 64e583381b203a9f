"""Pruner and Distiller compile for Kubeflow V2, with every input and with the least."""

import pytest
from compiled_pipeline import compile_pipeline

pytestmark = pytest.mark.tensorflow


def importer(name, artifact_type):
    from tfx.dsl.components.common import importer as tfx_importer

    node = tfx_importer.Importer(source_uri=f"gs://bucket/{name}", artifact_type=artifact_type)
    return node.with_id(name)


def test_they_compile_in_a_row_with_every_input_and_with_the_least(tmp_path):
    from tensorflow_model_analysis.proto import config_pb2
    from tfx.types import standard_artifacts

    from tfx_loop.optimization.distiller.component import Distiller
    from tfx_loop.optimization.pruner.component import Pruner

    given = {
        "model": importer("model", standard_artifacts.Model),
        "examples": importer("examples", standard_artifacts.Examples),
        "transform_graph": importer("transform_graph", standard_artifacts.TransformGraph),
    }
    channels = {name: node.outputs["result"] for name, node in given.items()}
    distiller = Distiller(
        teacher=channels["model"],
        examples=channels["examples"],
        student_fn="package.student",
        label_key="late",
    )
    pruner = Pruner(
        model=distiller.outputs["model"],
        examples=channels["examples"],
        transform_graph=channels["transform_graph"],
        pattern="2:4",
        eval_config=config_pb2.EvalConfig(
            model_specs=[config_pb2.ModelSpec(label_key="late")],
            metrics_specs=[
                config_pb2.MetricsSpec(metrics=[config_pb2.MetricConfig(class_name="AUC")])
            ],
        ),
        metric="AUC",
        max_metric_drop=0.005,
        max_slice_drop=0.01,
        export_fn="package.export",
    )
    spec = compile_pipeline(tmp_path, [*given.values(), distiller, pruner])
    tasks = spec["root"]["dag"]["tasks"]
    assert set(tasks["Pruner"]["inputs"]["artifacts"]) == {"parent", "examples", "transform_graph"}
    assert set(tasks["Distiller"]["inputs"]["artifacts"]) == {"teacher", "examples"}
    taught = tasks["Pruner"]["inputs"]["artifacts"]["parent"]["taskOutputArtifact"]
    assert taught == {"producerTask": "Distiller", "outputArtifactKey": "model"}
    told = tasks["Pruner"]["inputs"]["parameters"]["pattern"]["runtimeValue"]
    assert told == {"constantValue": {"stringValue": "2:4"}}
