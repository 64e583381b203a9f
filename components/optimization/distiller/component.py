"""The TFX node that teaches a small model what a large one knows."""

from typing import ClassVar

from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from tfx_loop.core.artifacts import OptimizationReport
from tfx_loop.core.node import Input, Node
from tfx_loop.optimization.distiller.executor import Executor
from tfx_loop.optimization.distiller.settings import DistillerSettings


class Distiller(Node):
    """Trains a student of the user's on the answers of a teacher and on the labels.

    It learns from soft targets with a temperature, labels mixed in, layers matched if asked. The
    teacher is any model that takes numbers: a SavedModel with such a signature, the Keras file
    beside it, or a TFLite file. It is asked once a row. The student may be made for another target,
    such as one whose layers all map to the Edge TPU.

    Inputs:
        teacher: The `Model` that is learned from. Its Keras file is asked where there is one.
        examples: `Examples` with a feature for each input of both networks, to learn from and to
            judge on.
        transform_graph: The student is served behind it, for tf.Examples as they come.

    Outputs:
        model: `Model` with `Format-Serving/` and `Format-Keras/model.keras`; custom property
            `variant` ("distilled"). Its signatures: as `export_fn` writes them; else behind the
            Transform graph; else `serving_default` for tf.Examples with a feature for each input
            and `serving_columns` for the inputs by name.
        optimization_report: `OptimizationReport` with the custom properties `technique`, `verdict`,
            `kept` (1 or 0, for conditions), `reason`, `variant`, `metric_drop`, `size_bytes` and
            `zipped_bytes`; the parent in it is the teacher.

    Example:
        distiller = Distiller(
            teacher=trainer.outputs["model"],
            examples=transform.outputs["transformed_examples"],
            transform_graph=transform.outputs["transform_graph"],
            student_fn="my_package.model.student",
            label_key="tips",
        )
    """

    SETTINGS = DistillerSettings
    INPUTS: ClassVar = {
        "teacher": Input(standard_artifacts.Model),
        "examples": Input(standard_artifacts.Examples),
        "transform_graph": Input(standard_artifacts.TransformGraph, optional=True),
    }
    OUTPUTS: ClassVar = {
        "model": standard_artifacts.Model,
        "optimization_report": OptimizationReport,
    }
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
