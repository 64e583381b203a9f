"""Settings of EdgeTPUCompiler: those of the compiler, and what is done without one."""

from dataclasses import dataclass

from tfx_loop.core.errors import ConfigError
from tfx_loop.models.guard.settings import GuardSettings

# Several inputs and not one: a channel holds one artifact everywhere.
COMPANION_INPUTS = ("companion_1", "companion_2", "companion_3")
COMPANIONS_FOLDER = "companions"


@dataclass(frozen=True, kw_only=True)
class CompilerSettings:
    """How the compiler is found and run, and what counts as success.

    Attributes:
        executable: Path of `edgetpu_compiler`; empty looks on the PATH.
        container_image: Image to run it in where no executable is found; empty for none.
        timeout_seconds: Wall time of one compilation.
        memory_mb: Memory that it may take, MiB.
        min_mapped_share: Least share of a model's operators that must run on the Edge TPU, 0 to
            1; whatever it is, one operator has to. A compiler that maps fewer fails; an analyser
            that expects fewer says so in the report.
        min_runtime_version: Oldest Edge TPU runtime to compile for; 0 leaves it to the compiler.
        search_delegate: Lets the compiler search for a smaller part of the graph when the whole
            one fails.
    """

    executable: str = ""
    container_image: str = ""
    # Compilations of published models took seconds to some minutes; a search for a delegate takes
    # the most. The limit is for what hangs.
    timeout_seconds: float = 600.0
    memory_mb: float = 8192.0
    # What is left runs on the CPU of the device, which is the slow part. Chosen, not measured.
    min_mapped_share: float = 0.9
    min_runtime_version: int = 0
    search_delegate: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_mapped_share <= 1.0:
            raise ConfigError(
                f"Expected min_mapped_share from 0 to 1, received {self.min_mapped_share}."
            )
        for name in ("timeout_seconds", "memory_mb"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"Expected {name} above 0, received {getattr(self, name)}.")


@dataclass(frozen=True, kw_only=True)
class EdgeTPUCompilerSettings(CompilerSettings, GuardSettings):
    """How the compiler is found and run, and what is done around it.

    Attributes:
        require_compiler: Fail where there is no compiler; otherwise the analyser speaks.
        prepare: Make exact rewrites that let more operators map.
        companions: Paths of other int8 .tflite models that will share the Edge TPU, beside those of
            the inputs: compiled together they share its memory. They come out in the folder
            `companions`.
    """

    require_compiler: bool = False
    prepare: bool = True
    companions: tuple[str, ...] = ()
