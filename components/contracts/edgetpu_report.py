"""The content of `edgetpu_report.json`: what maps to the Edge TPU, who says so, and is it enough.

Either the analyser spoke alone, before any compiler, or the compiler did, with its own counts; the
report never mixes the two up. EdgeTPUCompiler writes it, EdgeBundler and people read it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tfx_loop.contracts.compiler_log import CompilerLog
from tfx_loop.core.json_codec import none_as
from tfx_loop.core.json_file import JsonFile


class EdgeTpuVerdict(str, Enum):
    """What becomes of the model on an Edge TPU."""

    MAPPED = "MAPPED"
    PARTLY_MAPPED = "PARTLY_MAPPED"
    NOT_MAPPED = "NOT_MAPPED"
    UNKNOWN = "UNKNOWN"


class EdgeTpuReason(str, Enum):
    """Why the verdict is what it is."""

    ALL_OPERATORS = "all_operators_map"
    SHARE_REACHED = "mapped_share_reached"
    SHARE_TOO_LOW = "mapped_share_too_low"
    SHARE_UNCERTAIN = "mapped_share_uncertain"
    NOTHING_MAPS = "nothing_maps"


class EdgeTpuSpeaker(str, Enum):
    """Who says so."""

    ANALYSER = "analyser"
    COMPILER = "compiler"


class MappingStatus(str, Enum):
    """Where an operator is expected to run."""

    MAPPED = "mapped"
    NOT_MAPPED = "not_mapped"
    UNKNOWN = "unknown"


class MappingCode(str, Enum):
    """Why an operator has its status: the compiler's own reasons, as stable names."""

    SUPPORTED = "supported"
    OPERATION = "operation"
    OPERATION_VERSION = "operation_version"
    DATA_TYPE = "data_type"
    RANK = "rank"
    DYNAMIC_SHAPE = "dynamic_shape"
    CONSTANT_PARAMETERS = "constant_parameters"
    # A documented limit of the operation: an activation, an axis, a format.
    LIMITATION = "limitation"
    # A limit by size that is known to exist and whose place is not.
    SIZE = "size"
    AFTER_THE_FIRST_SUBGRAPH = "after_the_first_subgraph"
    # The compiler refuses the whole model because of another operator.
    MODEL_REFUSED = "model_refused"
    # Depends on an operator whose own status is unknown.
    UNCERTAIN_NEIGHBOUR = "uncertain_neighbour"
    # The model is compiled already.
    COMPILED = "compiled"
    LEFT_BY_COMPILER = "left_by_compiler"


@dataclass(frozen=True, kw_only=True)
class OperatorStatus:
    """What is expected of one operator.

    Attributes:
        index: Position in graph order of the main subgraph.
        op: Operation; a custom operator by its own name.
        version: Version of the operation.
        outputs: Names of its output tensors, which survive the compiler.
        status: Where it will run.
        code: Why, as a stable name.
        reason: Why, in words.
        sources: Keys of those who say so.
    """

    index: int
    op: str
    version: int
    outputs: tuple[str, ...]
    status: MappingStatus
    code: MappingCode
    reason: str
    sources: tuple[str, ...] = ()


class ExecutableType(str, Enum):
    """What an executable of a package does."""

    STAND_ALONE = "stand_alone"
    PARAMETER_CACHING = "parameter_caching"
    EXECUTION_ONLY = "execution_only"


@dataclass(frozen=True, kw_only=True)
class Executable:
    """One program for the chip.

    Attributes:
        type: Whether it loads parameters, computes, or both.
        parameter_bytes: Parameters that stand in it.
        caching_token: Executables with the same token share the memory on the chip.
        chip: Chip that it was compiled for; `beagle` is the Edge TPU.
    """

    type: ExecutableType
    parameter_bytes: int
    caching_token: int
    chip: str


@dataclass(frozen=True, kw_only=True)
class CitedSource:
    """Somebody who says what the compiler maps: a title and an address."""

    title: str
    url: str


@dataclass(frozen=True, kw_only=True)
class MappingAnalysis:
    """What the static analyser expects of a model; `loop edge --json` prints it.

    Attributes:
        operators: In graph order of the main subgraph.
        subgraphs: Edge TPU subgraphs that are expected, or that a compiled model has.
        subgraphs_at_most: Were every unknown operator taken: an upper bound.
        parameter_bytes: Constants of the mapped operators; of a compiled model what it stores.
        fits_on_chip: Whether these parameters stay in the 8 MiB on the chip: yes, no or unknown.
        mapped: Operators that are expected to map.
        not_mapped: Operators that are not.
        unknown: Operators of which nobody can say.
        mapped_share: The first of all operators, in [0, 1]; what is unknown does not count.
        open_batch: Whether an input leaves its batch size open.
        refused: Why the compiler would refuse the whole model; empty when it reads it.
        sources: Who stands behind the keys that the operators name.
        rules_of_compiler: Version of the compiler that the rules describe.
        compiled: Whether the model is compiled already; the next four are None or empty if not.
        cached_parameter_bytes: Parameters kept on the chip.
        streamed_parameter_bytes: Parameters streamed at every inference.
        minimum_runtime: Oldest Edge TPU runtime that runs it.
        executables: Of each Edge TPU subgraph.
    """

    operators: tuple[OperatorStatus, ...]
    subgraphs: int
    subgraphs_at_most: int
    parameter_bytes: int
    fits_on_chip: str
    mapped: int
    not_mapped: int
    unknown: int
    mapped_share: float
    open_batch: bool
    refused: str
    sources: Mapping[str, CitedSource]
    rules_of_compiler: str
    compiled: bool
    cached_parameter_bytes: int | None
    streamed_parameter_bytes: int | None
    minimum_runtime: int | None
    executables: tuple[tuple[Executable, ...], ...]


@dataclass(frozen=True, kw_only=True)
class CompilerRun:
    """A compilation of the model, and what came of it.

    Attributes:
        place: The executable or the container that ran.
        version: As the compiler printed it.
        seconds: How long it took.
        co_compiled: Names of the models that share the chip's memory with this one.
        log: What the compiler said.
        custom_ops: Edge TPU operators in the compiled model.
        minimum_runtime: Oldest Edge TPU runtime that runs it.
        cached_parameter_bytes: Parameters kept on the chip.
        streamed_parameter_bytes: Parameters streamed at every inference.
    """

    place: str
    version: str
    seconds: float
    co_compiled: tuple[str, ...]
    log: CompilerLog
    custom_ops: int
    minimum_runtime: int
    cached_parameter_bytes: int
    streamed_parameter_bytes: int


@dataclass(frozen=True, kw_only=True)
class EdgeTpuProperties:
    """What the artifact says of itself, for conditions and queries."""

    verdict: str
    reason: str
    speaker: str
    mapped_share: float
    operators: int
    minimum_runtime: int


@dataclass(frozen=True, kw_only=True)
class EdgeTpuResult:
    """One model on the Edge TPU.

    Attributes:
        verdict: What becomes of it.
        reason: Why.
        speaker: Who says so: the static analyser, or the compiler that ran.
        mapped_share: Share of operators on the Edge TPU, 0 to 1, by that speaker.
        minimum_share: Share that was asked for.
        analysis: The analyser's view.
        compiler: The compilation; None when the compiler did not run.
        rewrites: What the preparation changed in the model, one line each.
        settings: With which settings the report was made.
    """

    verdict: EdgeTpuVerdict
    reason: EdgeTpuReason
    speaker: EdgeTpuSpeaker
    mapped_share: float
    minimum_share: float
    analysis: MappingAnalysis
    compiler: CompilerRun | None = field(default=None, metadata=none_as({}))
    rewrites: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def properties(self) -> EdgeTpuProperties:
        """What the artifact says of itself."""
        return EdgeTpuProperties(
            verdict=self.verdict.value,
            reason=self.reason.value,
            speaker=self.speaker.value,
            mapped_share=self.mapped_share,
            operators=len(self.analysis.operators),
            minimum_runtime=self.compiler.minimum_runtime if self.compiler else 0,
        )


EDGETPU_REPORT = JsonFile(
    name="edgetpu_report.json",
    kind=EdgeTpuResult,
    title="an Edge TPU report",
    remedy="Run EdgeTPUCompiler of this release on the model again.",
)
