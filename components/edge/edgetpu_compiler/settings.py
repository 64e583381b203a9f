"""Settings of EdgeTPUCompiler: those of the compiler, and what is done without one."""

from dataclasses import dataclass

from tfx_loop.edge.edgetpu_compiler.toolchain.compiler import CompilerSettings
from tfx_loop.models.guard.settings import GuardSettings


@dataclass(frozen=True, kw_only=True)
class EdgeTPUCompilerSettings(CompilerSettings, GuardSettings):
    """How the compiler is found and run, and what is done around it.

    Attributes:
        require_compiler: Fail where there is no compiler; otherwise the analyser speaks.
        prepare: Make exact rewrites that let more operators map.
        companions: Paths of other int8 .tflite models that will share the Edge TPU: compiled
            together they share its memory. They come out in the folder `companions`.
    """

    require_compiler: bool = False
    prepare: bool = True
    companions: tuple[str, ...] = ()
