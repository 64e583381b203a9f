"""The Quantizer node: the smallest (or fastest) .tflite within a budget, and why."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from google.protobuf import json_format
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, component_spec, standard_artifacts

from tfx_loop.core.artifacts import OptimizationReport
from tfx_loop.optimization.quantizer.executor import Executor
from tfx_loop.optimization.quantizer.settings import SEARCH, QuantizerSettings


class QuantizerSpec(component_spec.ComponentSpec):
    """Inputs, outputs and settings of Quantizer; the settings travel as one JSON object."""

    PARAMETERS: ClassVar[dict[str, Any]] = {
        "settings": component_spec.ExecutionParameter(type=str),
        "eval_config": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, Any]] = {
        # A spec cannot have an input and an output of one name.
        "parent": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS: ClassVar[dict[str, Any]] = {
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "optimization_report": component_spec.ChannelParameter(type=OptimizationReport),
    }


class Quantizer(base_component.BaseComponent):
    """Quantises a model as far as a stated budget allows.

    Output `model`: `Format-Serving/tflite`, with the custom property `variant` (the mode). When no
    variant keeps to the budget, the float .tflite is passed on, or where the converter refuses that
    too, the model as it came; the node does not fail.

    Output `optimization_report`: `optimization_report.json`, with the custom properties `verdict`
    (`KEPT`, `NOT_KEPT`), `kept` (1 or 0, for conditions), `reason`, `variant` and `size_bytes`.
    Gate with `tfx.dsl.Cond(q.outputs["optimization_report"].future()[0].custom_property("kept")
    == 1)`.
    """

    SPEC_CLASS = QuantizerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        model: channel.BaseChannel,
        examples: channel.BaseChannel,
        mode: str = SEARCH,
        max_metric_drop: float | None = 0.005,
        max_slice_drop: float | None = None,
        target: str = "smallest",
        eval_config: Any = None,
        metric: str = "",
        label_key: str = "",
        slice_features: Sequence[str] = (),
        output: str = "",
        signature: str = "",
        io_type: str = "float",
        calibration_splits: Sequence[str] = ("train",),
        calibration_rows: int = 300,
        measure_splits: Sequence[str] = ("eval",),
        fine_tuning: Mapping[str, Any] | None = None,
        training_splits: Sequence[str] = ("train",),
        confidence: float = 0.95,
        seed: int = 0,
        timeout_seconds: float = 600,
        memory_mb: float = 8192,
    ) -> None:
        """Declares the node.

        Args:
            model: SavedModel with a signature that takes numbers; its `Format-Keras/` file beside
                it is used for quantisation-aware training.
            examples: tf.Examples with a feature for each input of the model, and the label.
            mode: `search`, or one of dynamic_range, float16, int8, int16x8, selective_int8,
                qat_int8, float.
            max_metric_drop: What may be lost, in the metric's unit; None for one mode as it comes.
            max_slice_drop: What may be lost on each slice; None limits none.
            target: smallest, fastest or edge_tpu.
            eval_config: The Evaluator's own `tfma.EvalConfig` (or its JSON): gives metric, label
                and slices where they are not named here.
            metric: Class name as TFMA has it.
            label_key: Feature with the label.
            slice_features: Features that losses are shown and limited by.
            output: Output that the label belongs to, where there are several.
            signature: Of the SavedModel; empty takes the one that takes numbers.
            io_type: What an int8 variant takes and gives: float, int8 or uint8.
            calibration_splits: Splits to draw calibration rows from.
            calibration_rows: How many, with the seed, each class in proportion.
            measure_splits: Splits that judge the variants; rows that the model was trained on
                judge too kindly or too harshly.
            fine_tuning: Settings of quantisation-aware training (epochs, batch_size,
                learning_rate, compile_fn, …); None leaves that rung out.
            training_splits: Splits that it trains on.
            confidence: How sure, one-sided, it must be that a variant keeps to the budget.
            seed: Of the draw and of training.
            timeout_seconds: Of one conversion.
            memory_mb: Of the process that converts.
        """
        settings = QuantizerSettings.from_json(
            {
                "mode": mode,
                "max_metric_drop": max_metric_drop,
                "max_slice_drop": max_slice_drop,
                "target": target,
                "metric": metric,
                "label_key": label_key,
                "slice_features": slice_features,
                "output": output,
                "signature": signature,
                "io_type": io_type,
                "calibration_splits": calibration_splits,
                "calibration_rows": calibration_rows,
                "measure_splits": measure_splits,
                "fine_tuning": None if fine_tuning is None else dict(fine_tuning),
                "training_splits": training_splits,
                "confidence": confidence,
                "seed": seed,
                "timeout_seconds": timeout_seconds,
                "memory_mb": memory_mb,
            }
        )
        super().__init__(
            spec=QuantizerSpec(
                parent=model,
                examples=examples,
                settings=json.dumps(settings.to_json()),
                eval_config=_as_json(eval_config),
                model=channel.Channel(type=standard_artifacts.Model),
                optimization_report=channel.Channel(type=OptimizationReport),
            )
        )


def _as_json(eval_config: Any) -> str:
    if eval_config is None or isinstance(eval_config, str):
        return eval_config or ""
    return str(json_format.MessageToJson(eval_config, sort_keys=True))
