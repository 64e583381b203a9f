"""The Quantizer node: the smallest (or fastest) .tflite within a budget, and why."""

from typing import ClassVar

from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from tfx_loop.core.artifacts import OptimizationReport
from tfx_loop.core.node import Input, Node
from tfx_loop.optimization.quantizer.executor import Executor
from tfx_loop.optimization.quantizer.settings import QuantizerSettings


class Quantizer(Node):
    """Quantises a model as far as a stated budget allows.

    It makes each rung (int8, int16x8, float16, dynamic range, float; on demand selective int8 and
    quantisation-aware training), judges it on rows that it was not calibrated on, and takes the
    smallest (or fastest, or the one for the Edge TPU) that is 95 % certain to lose no more than the
    budget. Where int8 breaks a model, it finds the layers that must stay in float and names them.

    When no variant keeps to the budget, the float .tflite is passed on, or where the converter
    refuses that too, the model as it came, and `kept` is 0; the run does not fail. Gate with
    `tfx.dsl.Cond(quantizer.outputs["optimization_report"].future()[0].custom_property("kept") ==
    1)`.

    Inputs:
        model: A SavedModel with a signature that takes numbers; its `Format-Keras/` file is used
            for quantisation-aware training, which keeps the zeros and the clusters of Pruner.
        examples: tf.Examples with a feature for each input of the model, and the label.

    Outputs:
        model: `Model` with `Format-Serving/tflite` and the custom property `variant` (the mode).
        optimization_report: `OptimizationReport` (every rung with size, loss, parity and why it was
            left): `optimization_report.json`, and the custom properties `verdict` (`KEPT`,
            `NOT_KEPT`), `kept` (1 or 0, for conditions), `reason`, `variant` and `size_bytes`.

    Example:
        quantizer = Quantizer(
            model=trainer.outputs["model"],
            examples=example_gen.outputs["examples"],
            eval_config=eval_config,
            max_metric_drop=0.005,
        )
    """

    SETTINGS = QuantizerSettings
    INPUTS: ClassVar = {
        "parent": Input(standard_artifacts.Model, argument="model"),
        "examples": Input(standard_artifacts.Examples),
    }
    OUTPUTS: ClassVar = {
        "model": standard_artifacts.Model,
        "optimization_report": OptimizationReport,
    }
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
