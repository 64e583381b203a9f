"""The TFX node that teaches a small model what a large one knows."""

import json
from collections.abc import Sequence
from typing import Any, ClassVar

from google.protobuf import json_format
from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel_utils, component_spec, standard_artifacts

from tfx_loop.core.artifacts import OptimizationReport
from tfx_loop.optimization.distiller import executor
from tfx_loop.optimization.distiller.settings import DistillationSettings
from tfx_loop.optimization.fine_tuning.spec import FineTuningSpec


class DistillerSpec(FineTuningSpec):
    """Inputs, outputs and execution properties of Distiller."""

    INPUTS: ClassVar[dict[str, Any]] = {
        "teacher": component_spec.ChannelParameter(type=standard_artifacts.Model),
        **FineTuningSpec.INPUTS,
    }


class Distiller(base_component.BaseComponent):
    """Trains a student of the user's on the answers of a teacher and on the labels.

    The teacher is any model that takes numbers: a SavedModel with such a signature, the Keras file
    beside it, or a TFLite file. It is asked once a row. The student may be made for another target,
    such as one whose layers all map to the Edge TPU.

    Inputs:
        teacher: The `Model` that is learned from. Its Keras file is asked where there is one.
        examples: `Examples` with a feature for each input of both networks.
        transform_graph: The student is served behind it, for tf.Examples as they come.

    Outputs:
        model: `Model` with `Format-Serving/` and `Format-Keras/model.keras`; custom property
            `variant` ("distilled"). Its signatures: as `export_fn` writes them; else behind the
            Transform graph; else `serving_default` for tf.Examples with a feature for each input
            and `serving_columns` for the inputs by name.
        optimization_report: `OptimizationReport` with the custom properties `technique`, `verdict`,
            `kept` (1 or 0, for conditions), `reason`, `variant`, `metric_drop`, `size_bytes` and
            `zipped_bytes`; the parent in it is the teacher.
    """

    SPEC_CLASS = DistillerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        *,
        teacher: types.BaseChannel,
        examples: types.BaseChannel,
        settings: DistillationSettings,
        label_key: str | None = None,
        eval_config: Any = None,
        metric: str | None = None,
        max_metric_drop: float | None = None,
        max_slice_drop: float | None = None,
        transform_graph: types.BaseChannel | None = None,
        export_fn: str | None = None,
        training_splits: Sequence[str] = ("train",),
        reporting_splits: Sequence[str] = ("eval",),
        timeout_seconds: int = 3_600,
        memory_mb: int = 8_192,
    ) -> None:
        """Builds the node.

        Args:
            teacher: The `Model` to learn from.
            examples: Rows to learn from and to judge on.
            settings: The student, the temperature, the weights, the training.
            label_key: Feature that holds the label; None takes that of `eval_config`.
            eval_config: `tfma.EvalConfig` of the Evaluator: names metric, label and slices.
            metric: Class name of the metric, such as "AUC"; None takes that of `eval_config`, else
                accuracy, or R2 where the labels are numbers.
            max_metric_drop: What may be lost of it before the verdict is NOT_KEPT.
            max_slice_drop: What may be lost of it on each slice.
            transform_graph: `TransformGraph` in front of the student.
            export_fn: Import path of `export_fn(model, args)` that writes the SavedModel to
                `args.serving_model_dir`.
            training_splits: Splits to learn from.
            reporting_splits: Splits to judge on.
            timeout_seconds: How long the training may take.
            memory_mb: Memory that it may take, in MiB.
        """
        config = None if eval_config is None else json_format.MessageToJson(eval_config)
        super().__init__(
            spec=DistillerSpec(
                teacher=teacher,
                examples=examples,
                transform_graph=transform_graph,
                settings=json.dumps(settings.to_json()),
                label_key=label_key,
                eval_config=config,
                metric=metric,
                max_metric_drop=max_metric_drop,
                max_slice_drop=max_slice_drop,
                export_fn=export_fn,
                training_splits=json.dumps(list(training_splits)),
                reporting_splits=json.dumps(list(reporting_splits)),
                timeout_seconds=timeout_seconds,
                memory_mb=memory_mb,
                model=channel_utils.as_channel([standard_artifacts.Model()]),
                optimization_report=channel_utils.as_channel([OptimizationReport()]),
            )
        )
