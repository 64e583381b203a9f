"""Compiles a pipeline as Kubeflow V2 would run it, so that tests can read the spec."""

import json


def compile_pipeline(folder, components, name="compiled"):
    """Returns the PipelineSpec of a pipeline of our nodes, compiled for Kubeflow V2."""
    from tfx.dsl.components.base import base_node
    from tfx.orchestration import pipeline
    from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner

    assert all(isinstance(component, base_node.BaseNode) for component in components)
    path = folder / f"{name}.json"
    kubeflow_v2_dag_runner.KubeflowV2DagRunner(
        config=kubeflow_v2_dag_runner.KubeflowV2DagRunnerConfig(),
        output_filename=str(path),
    ).run(
        pipeline.Pipeline(
            pipeline_name=name, pipeline_root="gs://bucket/root", components=components
        ),
        write_out=True,
    )
    return json.loads(path.read_text())["pipelineSpec"]
