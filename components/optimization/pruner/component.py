"""The TFX node that prunes and clusters a model while it is trained further."""

import json
from collections.abc import Sequence
from typing import Any, ClassVar

from google.protobuf import json_format
from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel_utils, component_spec, standard_artifacts

from tfx_loop.core.artifacts import OptimizationReport
from tfx_loop.optimization.fine_tuning.spec import FineTuningSpec
from tfx_loop.optimization.pruner import executor
from tfx_loop.optimization.pruner.settings import PruningSettings


class PrunerSpec(FineTuningSpec):
    """Inputs, outputs and execution properties of Pruner."""

    INPUTS: ClassVar[dict[str, Any]] = {
        "parent": component_spec.ChannelParameter(type=standard_artifacts.Model),
        **FineTuningSpec.INPUTS,
    }


class Pruner(base_component.BaseComponent):
    """Makes weights zero, or share values, while the network is trained on with its own loss.

    Works on the tf_keras model that the Trainer leaves beside its SavedModel
    (`Format-Keras/model.keras`). Zeros are counted on the weights in the file that was written.
    Quantisation-aware training of Quantizer keeps the zeros and the clusters of what it gets.

    Inputs:
        parent: The `Model` of a Trainer, a Keras file beside its SavedModel.
        examples: `Examples` with a feature for each input of the Keras model: transformed ones
            where the SavedModel transforms, else those as they come.
        transform_graph: Handed to `export_fn`.

    Outputs:
        model: `Model` with `Format-Serving/` under all of the parent's signatures, and
            `Format-Keras/model.keras`; custom property `variant`.
        optimization_report: `OptimizationReport` with the custom properties `technique`, `verdict`,
            `kept` (1 or 0, for conditions), `reason`, `variant`, `sparsity`, `metric_drop`,
            `size_bytes` and `zipped_bytes`.
    """

    SPEC_CLASS = PrunerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        *,
        model: types.BaseChannel,
        examples: types.BaseChannel,
        settings: PruningSettings,
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
            model: The `Model` to prune.
            examples: Rows to train on and to judge on.
            settings: Pattern, sparsity, exclusions, clusters, training.
            label_key: Feature that holds the label; None takes that of `eval_config`.
            eval_config: `tfma.EvalConfig` of the Evaluator: names metric, label and slices.
            metric: Class name of the metric, such as "AUC"; None takes that of `eval_config`, else
                accuracy, or R2 where the labels are numbers.
            max_metric_drop: What may be lost of it before the verdict is NOT_KEPT.
            max_slice_drop: What may be lost of it on each slice.
            transform_graph: `TransformGraph` for `export_fn`.
            export_fn: Import path of `export_fn(model, args)` that writes the SavedModel to
                `args.serving_model_dir`; None keeps the parent's signatures.
            training_splits: Splits to train on.
            reporting_splits: Splits to judge on.
            timeout_seconds: How long the training may take.
            memory_mb: Memory that it may take, in MiB.
        """
        config = None if eval_config is None else json_format.MessageToJson(eval_config)
        super().__init__(
            spec=PrunerSpec(
                parent=model,
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
