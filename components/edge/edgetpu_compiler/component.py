"""The EdgeTPUCompiler node: compiles an int8 model where the compiler is, and says what maps."""

import json
from collections.abc import Sequence
from typing import Any, ClassVar

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, component_spec, standard_artifacts

from tfx_loop.core.artifacts import EdgeTpuReport
from tfx_loop.edge.edgetpu_compiler.executor import Executor


class EdgeTPUCompilerSpec(component_spec.ComponentSpec):
    """Inputs, outputs and settings of EdgeTPUCompiler; truth values travel as 0 and 1."""

    PARAMETERS: ClassVar[dict[str, Any]] = {
        "require_compiler": component_spec.ExecutionParameter(type=int),
        "min_mapped_share": component_spec.ExecutionParameter(type=float),
        "prepare": component_spec.ExecutionParameter(type=int),
        "executable": component_spec.ExecutionParameter(type=str),
        "container_image": component_spec.ExecutionParameter(type=str),
        "timeout_seconds": component_spec.ExecutionParameter(type=int),
        "memory_mb": component_spec.ExecutionParameter(type=int),
        "min_runtime_version": component_spec.ExecutionParameter(type=int),
        "search_delegate": component_spec.ExecutionParameter(type=int),
        "companions": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, Any]] = {
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
    }
    OUTPUTS: ClassVar[dict[str, Any]] = {
        "edgetpu_model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "edgetpu_report": component_spec.ChannelParameter(type=EdgeTpuReport),
    }


class EdgeTPUCompiler(base_component.BaseComponent):
    """Compiles an int8 model for the Edge TPU, or checks it where there is no compiler.

    Outputs:
        edgetpu_model: `Format-Serving/tflite`, the checked int8 model, which Evaluator can judge,
            and beside it `model_edgetpu.tflite` when the compiler ran. Custom properties:
            compiled (1 or 0) and the variant of the input.
        edgetpu_report: `edgetpu_report.json` with the custom properties verdict, reason, speaker
            (`compiler` or `analyser`), mapped_share, operators, minimum_runtime.
    """

    SPEC_CLASS = EdgeTPUCompilerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        model: channel.BaseChannel,
        require_compiler: bool = False,
        min_mapped_share: float = 0.9,
        prepare: bool = True,
        executable: str = "",
        container_image: str = "",
        timeout_seconds: int = 600,
        memory_mb: int = 8192,
        min_runtime_version: int = 0,
        search_delegate: bool = False,
        companions: Sequence[str] = (),
    ) -> None:
        """Declares the node.

        Args:
            model: A Model with `Format-Serving/tflite` of int8 or uint8.
            require_compiler: Fail where there is no compiler; otherwise the analyser speaks.
            min_mapped_share: Least share of operators on the Edge TPU, 0 to 1. A compiler that
                maps fewer fails the node; an analyser that expects fewer says so in the report.
            prepare: Make exact rewrites that let more operators map.
            executable: Path of `edgetpu_compiler`; empty looks on the PATH.
            container_image: Image of docker/edgetpu.Dockerfile, used where there is no executable.
            timeout_seconds: Wall time of the compilation.
            memory_mb: Memory that the compiler may take, MiB.
            min_runtime_version: Oldest Edge TPU runtime to compile for; 0 leaves it open.
            search_delegate: Let the compiler search for a smaller part that it can compile.
            companions: Paths of other int8 .tflite models that will share the Edge TPU: compiled
                together they share its memory. They come out in the folder `companions`.
        """
        super().__init__(
            spec=EdgeTPUCompilerSpec(
                model=model,
                require_compiler=int(require_compiler),
                min_mapped_share=float(min_mapped_share),
                prepare=int(prepare),
                executable=executable,
                container_image=container_image,
                timeout_seconds=timeout_seconds,
                memory_mb=memory_mb,
                min_runtime_version=min_runtime_version,
                search_delegate=int(search_delegate),
                companions=json.dumps(list(companions)),
                edgetpu_model=channel.Channel(type=standard_artifacts.Model),
                edgetpu_report=channel.Channel(type=EdgeTpuReport),
            )
        )
