"""The stand-in for a pipeline of your own: TFX's chicago taxi example, with nothing of tfx-loop.

Will the passenger tip more than a fifth of the fare? The functions are the example's own, named by
import path.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tensorflow_model_analysis as tfma
from tfx import v1 as tfx

_FUNCTIONS = "tfx.examples.chicago_taxi_pipeline.taxi_utils"


def taxi_nodes(data: Path | str) -> dict[str, Any]:
    """Returns the nodes from CSV to a blessed model, by their names.

    Args:
        data: Folder with the trips as CSV.
    """
    example_gen = tfx.components.CsvExampleGen(input_base=str(data))
    examples = example_gen.outputs["examples"]
    statistics = tfx.components.StatisticsGen(examples=examples)
    schema = tfx.components.SchemaGen(
        statistics=statistics.outputs["statistics"], infer_feature_shape=False
    )
    transform = tfx.components.Transform(
        examples=examples,
        schema=schema.outputs["schema"],
        preprocessing_fn=f"{_FUNCTIONS}.preprocessing_fn",
    )
    trainer = tfx.components.Trainer(
        run_fn=f"{_FUNCTIONS}.run_fn",
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema.outputs["schema"],
        train_args=tfx.proto.TrainArgs(num_steps=500),
        eval_args=tfx.proto.EvalArgs(num_steps=50),
    )
    evaluator = tfx.components.Evaluator(
        examples=examples, model=trainer.outputs["model"], eval_config=_accurate_enough()
    )
    nodes = (example_gen, statistics, schema, transform, trainer, evaluator)
    return {node.id: node for node in nodes}


def taxi_pipeline(name: str, nodes: Iterable[Any], folder: Path | str) -> tfx.dsl.Pipeline:
    """Returns nodes as a pipeline that keeps artifacts and metadata below a folder."""
    return tfx.dsl.Pipeline(
        pipeline_name=name,
        pipeline_root=f"{folder}/artifacts",
        components=list(nodes),
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            f"{folder}/metadata.sqlite"
        ),
        # The image is never used in process; naming one spares TFX an sdist for every Beam node.
        beam_pipeline_args=["--runner=FnApiRunner", "--sdk_container_image=unused"],
    )


def _accurate_enough() -> Any:
    bound = tfma.GenericValueThreshold(lower_bound={"value": 0.6})
    accuracy = tfma.MetricConfig(
        class_name="BinaryAccuracy", threshold=tfma.MetricThreshold(value_threshold=bound)
    )
    return tfma.EvalConfig(
        model_specs=[
            tfma.ModelSpec(
                signature_name="serving_default",
                label_key="tips_xf",
                preprocessing_function_names=["transform_features"],
            )
        ],
        slicing_specs=[tfma.SlicingSpec()],
        metrics_specs=[tfma.MetricsSpec(metrics=[accuracy])],
    )
