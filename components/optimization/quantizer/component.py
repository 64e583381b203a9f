"""The Quantizer node: the smallest (or fastest) .tflite within a budget, and why."""

from collections.abc import Collection
from typing import ClassVar

from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from tfx_loop.core.artifacts import OptimizationReport
from tfx_loop.core.node import Input, Node
from tfx_loop.optimization.quantizer.executor import Executor
from tfx_loop.optimization.quantizer.request import evaluation_of
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

    A model that takes tf.Examples, as TFX's standard Trainers export it, is cut behind its
    Transform graph: the network is quantised on transformed Examples, and the preprocessing goes
    along as a SavedModel before it, so that the variant takes the same tf.Examples.

    Inputs:
        model: A SavedModel. Its signature that takes numbers is quantised where it has one, else
            the network behind the preprocessing. Its `Format-Keras/` file is used for
            quantisation-aware training, which keeps the zeros and the clusters of Pruner.
        examples: tf.Examples as the model takes them, raw for one that transforms them, and the
            label; it may be a transformed one.
        transform_graph: Names the features that the network takes, where the model has no
            signature `transform_features`.

    Outputs:
        model: `Model` with `Format-Serving/tflite`, where the parent takes tf.Examples
            `Format-Serving/preprocessing/`, and the custom property `variant` (the mode).
        optimization_report: `OptimizationReport` (every rung with size, loss, parity and why it was
            left): `optimization_report.json`, and the custom properties `verdict` (`KEPT`,
            `NOT_KEPT`), `kept` (1 or 0, for conditions), `reason`, `variant` and `size_bytes`.

    Example:
        quantizer = Quantizer(
            model=trainer.outputs["model"], examples=example_gen.outputs["examples"],
            eval_config=eval_config, max_metric_drop=0.005,
        )
    """

    SETTINGS = QuantizerSettings
    INPUTS: ClassVar = {
        "parent": Input(standard_artifacts.Model, argument="model"),
        "examples": Input(standard_artifacts.Examples),
        "transform_graph": Input(standard_artifacts.TransformGraph, optional=True),
    }
    OUTPUTS: ClassVar = {
        "model": standard_artifacts.Model,
        "optimization_report": OptimizationReport,
    }
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    @classmethod
    def check(cls, settings: QuantizerSettings, inputs: Collection[str]) -> None:
        """Says before any training what the search would lack."""
        if not settings.eval_config:  # Which is completed by its pipeline, and read when it runs.
            evaluation_of(settings)
