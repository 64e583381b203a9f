"""The EdgeTPUCompiler node: compiles an int8 model where the compiler is, and says what maps."""

from typing import ClassVar

from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from tfx_loop.core.artifacts import EdgeTpuReport
from tfx_loop.core.node import Input, Node
from tfx_loop.edge.edgetpu_compiler.executor import Executor
from tfx_loop.edge.edgetpu_compiler.settings import EdgeTPUCompilerSettings


class EdgeTPUCompiler(Node):
    """Compiles an int8 model for the Edge TPU, or checks it where there is no compiler.

    The compiler `edgetpu_compiler` is named, found on the PATH, or run in the image of
    `docker/edgetpu.Dockerfile`, in a scratch folder with limits on time, memory and log. Success
    takes exit code 0, a log that is understood, a whole output with the source's inputs and
    outputs, at least one Edge TPU operator, and the mapped share asked for. Where there is no
    compiler, the checked model is passed on and the report says that the analyser spoke.

    Inputs:
        model: A `Model` with `Format-Serving/tflite` of int8 or uint8.

    Outputs:
        edgetpu_model: `Format-Serving/tflite`, the checked int8 model, which Evaluator can judge,
            and beside it `model_edgetpu.tflite` when the compiler ran. Custom properties:
            `compiled` (1 or 0) and the `variant` of the input.
        edgetpu_report: `edgetpu_report.json` with the custom properties `verdict`, `reason`,
            `speaker` (`compiler` or `analyser`), `mapped_share`, `operators`, `minimum_runtime`.

    Example:
        compiler = EdgeTPUCompiler(model=quantizer.outputs["model"])
    """

    SETTINGS = EdgeTPUCompilerSettings
    INPUTS: ClassVar = {"model": Input(standard_artifacts.Model)}
    OUTPUTS: ClassVar = {
        "edgetpu_model": standard_artifacts.Model,
        "edgetpu_report": EdgeTpuReport,
    }
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
