"""Words of `edgetpu_compiler` about itself and each model, as the Edge TPU report carries them."""

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class OperatorRow:
    """One row of the operator table.

    Attributes:
        op: Name of the operation, as TFLite writes it.
        count: How many operators of it have this status.
        status: The compiler's sentence.
        mapped: Whether they run on the Edge TPU.
        reason: Stable name of the sentence; `other` for one that is not known.
    """

    op: str
    count: int
    status: str
    mapped: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class ModelLog:
    """What the log says of one model; None where it says nothing.

    Attributes:
        input_model: Path that the compiler read.
        output_model: Path that it says it wrote.
        on_chip_used_bytes: Parameters cached in the Edge TPU's memory.
        on_chip_remaining_bytes: What is left there. Version 2.0 states what was available instead;
            the difference stands here.
        off_chip_bytes: Parameters streamed at every inference.
        subgraphs: Edge TPU subgraphs.
        operations: Operators of the source.
        mapped: Operators that run on the Edge TPU.
        operators: The table, when it was printed.
    """

    # Readers of the JSON without the library get the share, too; in the order of the first reports.
    JSON_KEYS: ClassVar = {
        **{name: name for name in ("input_model", "output_model", "input_bytes", "output_bytes")},
        "on_chip_used_bytes": "on_chip_used_bytes",
        "on_chip_remaining_bytes": "on_chip_remaining_bytes",
        "off_chip_bytes": "off_chip_bytes",
        **{name: name for name in ("subgraphs", "operations", "mapped", "mapped_share")},
        "operators": "operators",
    }

    input_model: str
    output_model: str | None = None
    input_bytes: int | None = None
    output_bytes: int | None = None
    on_chip_used_bytes: int | None = None
    on_chip_remaining_bytes: int | None = None
    off_chip_bytes: int | None = None
    subgraphs: int | None = None
    operations: int | None = None
    mapped: int | None = None
    operators: tuple[OperatorRow, ...] = ()

    @property
    def mapped_share(self) -> float | None:
        """Share of the operators that run on the Edge TPU; None where the log does not say."""
        if self.mapped is None or not self.operations:
            return None
        return self.mapped / self.operations


class CompilerOutcome(str, Enum):
    """What the log says became of the compilation."""

    COMPILED = "compiled"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class CompilerLog:
    """A parsed log.

    Attributes:
        outcome: What became of the compilation.
        reason: Why it failed, or why the outcome is unknown; empty when it compiled.
        version: As printed, such as `16.0.384591198`; empty where no banner was found.
        compile_ms: Time that the compiler says it took, milliseconds.
        models: One entry a model, in the order of the log.
        messages: Lines that name an error, at most 20.
    """

    outcome: CompilerOutcome
    reason: str
    version: str
    compile_ms: int | None
    messages: tuple[str, ...]
    models: tuple[ModelLog, ...]

    @property
    def major_version(self) -> int:
        """First number of the version; 0 where there is none."""
        return int(self.version.split(".")[0]) if self.version else 0
