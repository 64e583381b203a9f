"""The EdgeTPUCompiler node: compiles an int8 model where the compiler is, and says what maps."""

from typing import ClassVar

from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from tfx_loop.core.artifacts import EdgeTpuReport
from tfx_loop.core.node import Input, Node
from tfx_loop.edge.edgetpu_compiler.executor import Executor
from tfx_loop.edge.edgetpu_compiler.settings import COMPANION_INPUTS, EdgeTPUCompilerSettings


class EdgeTPUCompiler(Node):
    """Compiles an int8 model for the Edge TPU, or checks it where there is no compiler.

    The compiler `edgetpu_compiler` is named, found on the PATH, or run in the image of
    `docker/edgetpu.Dockerfile`, in a scratch folder with limits on time, memory and log. Success
    takes exit code 0, a log that is understood, a whole output with the source's inputs and
    outputs, at least one Edge TPU operator, and the mapped share asked for. Where there is no
    compiler, the checked model is passed on and the report says that the analyser spoke.

    Inputs:
        model: A `Model` with `Format-Serving/tflite` of int8 or uint8.
        companion_1: Another such `Model` that will share the Edge TPU, such as an output of a
            second Quantizer: compiled together they share its memory. It comes out as
            `companions/companion_1_edgetpu.tflite`, which EdgeBundler takes by its `companion`.
        companion_2: As `companion_1`.
        companion_3: As `companion_1`.

    Outputs:
        edgetpu_model: `Format-Serving/tflite`, the checked int8 model, which Evaluator can judge,
            and beside it `model_edgetpu.tflite` when the compiler ran. Custom properties:
            `compiled` (1 or 0) and the `variant` of the input.
        edgetpu_report: `edgetpu_report.json` with the custom properties `verdict`, `reason`,
            `speaker` (`compiler` or `analyser`), `mapped_share`, `operators`, `minimum_runtime`.

    Example:
        int8 = Quantizer(
            model=trainer.outputs["model"], examples=example_gen.outputs["examples"],
            eval_config=eval_config, target="edge_tpu", mode="int8", max_metric_drop=None,
        ).with_id("Quantizer-edge-tpu")
        compiler = EdgeTPUCompiler(model=int8.outputs["model"])
    """

    SETTINGS = EdgeTPUCompilerSettings
    INPUTS: ClassVar = {
        "model": Input(standard_artifacts.Model),
        **{name: Input(standard_artifacts.Model, optional=True) for name in COMPANION_INPUTS},
    }
    OUTPUTS: ClassVar = {
        "edgetpu_model": standard_artifacts.Model,
        "edgetpu_report": EdgeTpuReport,
    }
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
