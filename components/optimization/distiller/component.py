"""The TFX node that teaches a small model what a large one knows."""

from collections.abc import Collection
from typing import ClassVar

from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from tfx_loop.core.artifacts import OptimizationReport
from tfx_loop.core.node import Input, Node
from tfx_loop.optimization.distiller.executor import Executor
from tfx_loop.optimization.distiller.settings import DistillerSettings
from tfx_loop.optimization.fine_tuning.comparison import Acceptance


class Distiller(Node):
    """Trains a student of the user's on the answers of a teacher and on the labels.

    It learns from soft targets with a temperature, labels mixed in, layers matched if asked. The
    teacher is the Keras file beside a SavedModel, the SavedModel itself (its signature of numbers,
    or the network behind its preprocessing), or a TFLite file. It is asked once a row. The student
    may be made for another target, such as one whose layers all map to the Edge TPU.

    Inputs:
        teacher: The `Model` that is learned from. Its tf_keras file is asked where there is one.
        examples: `Examples` as the teacher takes them, or with a feature for each input of both
            networks, to learn from and to judge on.
        transform_graph: The student is served behind it, for tf.Examples as they come, unless the
            teacher's own preprocessing is at hand.

    Outputs:
        model: `Model` with `Format-Serving/` and `Format-Keras/model.keras`; custom property
            `variant` ("distilled"). Its signatures: as `export_fn` writes them; else behind the
            teacher's preprocessing or the Transform graph; else `serving_default` for tf.Examples
            with a feature for each input and `serving_columns` for the inputs by name.
        optimization_report: `OptimizationReport` with the custom properties `technique`, `verdict`,
            `kept` (1 or 0, for conditions), `reason`, `variant`, `metric_drop`, `size_bytes` and
            `zipped_bytes`; the parent in it is the teacher.

    Example:
        distiller = Distiller(
            teacher=trainer.outputs["model"], examples=example_gen.outputs["examples"],
            student_fn="my_package.model.student", label_key="tips",
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

    @classmethod
    def check(cls, settings: DistillerSettings, inputs: Collection[str]) -> None:
        """Says before any training by what the student would be judged."""
        if not settings.eval_config:  # Which is completed by its pipeline, and read when it runs.
            Acceptance.of(settings)
