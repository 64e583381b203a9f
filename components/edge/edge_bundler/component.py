"""The EdgeBundler node: packs a model for devices into a bundle that they can check."""

from collections.abc import Collection
from typing import ClassVar

from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from tfx_loop.core.artifacts import EdgeTpuReport
from tfx_loop.core.errors import ConfigError
from tfx_loop.core.node import Input, Node
from tfx_loop.edge.edge_bundler.executor import Executor
from tfx_loop.edge.edge_bundler.settings import EdgeBundlerSettings


class EdgeBundler(Node):
    """Packs CPU model, compiled model, labels, golden answers and SHA-256 digests for devices.

    The same content has the same digest. Devices need one file,
    [components/edge/edge_bundle/on_device.py](../components/edge/edge_bundle/on_device.py), and
    LiteRT. `python3 on_device.py https://…/digits --device-id kiosk-17 --group shop` fetches this
    device's version, checks digests and golden answers, uses the Edge TPU when its delegate loads
    and the CPU otherwise, and keeps the version before when a check fails.

    Inputs:
        model: `edgetpu_model` of EdgeTPUCompiler, or any int8 TFLite Model.
        examples: Examples from which the golden requests are taken: their features are the model's
            inputs.
        compiled_with: `edgetpu_model` of the EdgeTPUCompiler that compiled the model as another
            one's companion; the setting `companion` says as which.
        edgetpu_report: Report of EdgeTPUCompiler: names the minimum runtime and the compiler.

    Outputs:
        bundle: A `Model` whose `Format-Serving` is the bundle; its CPU model is `tflite`, so that
            Evaluator judges the very bytes that ship. Custom properties: `bundle_digest`,
            `compiled` (1 or 0), `golden_rows`, `variant`.

    Example:
        bundler = EdgeBundler(
            model=compiler.outputs["edgetpu_model"], examples=example_gen.outputs["examples"],
            edgetpu_report=compiler.outputs["edgetpu_report"], name="taxi-edge",
        )
    """

    SETTINGS = EdgeBundlerSettings
    INPUTS: ClassVar = {
        "model": Input(standard_artifacts.Model),
        "examples": Input(standard_artifacts.Examples),
        "compiled_with": Input(standard_artifacts.Model, optional=True),
        "edgetpu_report": Input(EdgeTpuReport, optional=True),
    }
    OUTPUTS: ClassVar = {"bundle": standard_artifacts.Model}
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    @classmethod
    def check(cls, settings: EdgeBundlerSettings, inputs: Collection[str]) -> None:
        """Checks that a companion is named where there is a compilation that it was part of."""
        if bool(settings.companion) is not ("compiled_with" in inputs):
            raise ConfigError(
                "Expected companion and compiled_with together, received one of them. Give both "
                "for a model that was compiled as a companion, and neither for any other."
            )
