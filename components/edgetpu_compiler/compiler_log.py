"""What does the log of `edgetpu_compiler` say, of any version, and is it certain?

The compiler is closed and its log is free text that changed between 2.0, 14.1, 15.0 and 16.0. So
the parser looks for sentences, not for positions, and a log that does not state its outcome in
known words, or whose numbers contradict each other, is UNKNOWN: never a success.

The sentences: Coral's "Edge TPU Compiler" page (coral.ai/docs/edgetpu/compiler) and the logs that
users pasted in google-coral/edgetpu (issues 4, 225, 313, 358, 400, 411, 427, 518, 572, 829).
"""

import dataclasses
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

KNOWN_MAJOR_VERSIONS = (2, 14, 15, 16)
_MAPPED = "mapped to edge tpu"
_MESSAGES_KEPT = 20
_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}

# Stable names for the sentences that say why an operator stays on the CPU.
_STATUS_REASONS = {
    "more than one subgraph is not supported": "after_the_first_subgraph",
    "operation is working on an unsupported data type": "data_type",
    "operation is otherwise supported, but not mapped due to some unspecified limitation": (
        "unspecified_limitation"
    ),
    "operation version not supported": "operation_version",
    "operation not supported": "operation",
    "tensor has unsupported rank (up to 3 innermost dimensions mapped)": "rank",
    "model contains a dynamic-sized tensor": "dynamic_shape",
}
_FAILURES = (
    "internal compiler error",
    "compilation failed",
    "compilation timeout.",
    "invalid model:",
    "model not quantized",
    "model could not be parsed",
    "terminating with uncaught exception",
    "segmentation fault",
    "error opening file for writing",
    "didn't find op for builtin opcode",
)
_BANNER = re.compile(r"edge tpu compiler version\s+(\d+(?:\.\d+)*)", re.IGNORECASE)
_COMPILED = re.compile(r"models? compiled successfully in\s+(\d+)\s*ms", re.IGNORECASE)
_ROW = re.compile(r"^([A-Za-z][A-Za-z0-9_-]*)\s+(\d+)\s+(\S.*)$")
_HEADER = re.compile(r"^operator\s+count\s+status$", re.IGNORECASE)
_SIZE = re.compile(r"^([0-9.]+)\s*(B|KiB|MiB|GiB)$")


class Outcome(str, Enum):
    """What the log says became of the compilation."""

    COMPILED = "compiled"
    FAILED = "failed"
    UNKNOWN = "unknown"


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

    outcome: Outcome
    reason: str
    version: str
    compile_ms: int | None
    models: tuple[ModelLog, ...]
    messages: tuple[str, ...]

    @property
    def major_version(self) -> int:
        """First number of the version; 0 where there is none."""
        return int(self.version.split(".")[0]) if self.version else 0


def parse(text: str, operation_logs: Iterable[str] = ()) -> CompilerLog:
    """Reads what `edgetpu_compiler --show_operations` printed, or an operation log file.

    Args:
        text: Standard output and standard error, as they came.
        operation_logs: Contents of the `*_edgetpu.log` files; they hold the table of a model for
            which none was printed.

    Returns:
        The outcome is that of the last sentence that states one: a search for a delegate fails
        many times before it succeeds, and a compiler that has "compiled successfully" may still
        fail to write its file.
    """
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines()]
    banner = _BANNER.search(text)
    version = banner.group(1) if banner else ""
    times = _COMPILED.findall(text)
    models = _with_tables(_models(lines), operation_logs)
    stated, sentence = _stated_outcome(lines)
    outcome, reason = stated, sentence
    if stated is Outcome.COMPILED:
        doubt = _doubt(version, models)
        outcome, reason = (Outcome.UNKNOWN, doubt) if doubt else (stated, "")
    return CompilerLog(
        outcome=outcome,
        reason=reason,
        version=version,
        compile_ms=int(times[-1]) if times else None,
        models=models,
        messages=_messages(lines),
    )


def to_json(log: CompilerLog) -> dict[str, Any]:
    """Returns the log as the report carries it."""
    return {
        "outcome": log.outcome.value,
        "reason": log.reason,
        "version": log.version,
        "compile_ms": log.compile_ms,
        "messages": list(log.messages),
        "models": [
            {
                **{k: v for k, v in vars(model).items() if k != "operators"},
                "mapped_share": model.mapped_share,
                "operators": [vars(row) for row in model.operators],
            }
            for model in log.models
        ],
    }


def _stated_outcome(lines: list[str]) -> tuple[Outcome, str]:
    outcome, reason = Outcome.UNKNOWN, "the log does not say what became of the compilation"
    for line in lines:
        if _COMPILED.search(line) or line.lower().startswith("compilation succeeded"):
            outcome, reason = Outcome.COMPILED, ""
        elif _is_failure(line):
            # The first sentence tells more than the "Compilation failed!" that follows it.
            reason = reason if outcome is Outcome.FAILED else line
            outcome = Outcome.FAILED
    return outcome, reason


def _doubt(version: str, models: tuple[ModelLog, ...]) -> str:
    """Returns why a log that claims success is not believed; empty when it is."""
    if not version:
        return "the log names no compiler version"
    if int(version.split(".")[0]) not in KNOWN_MAJOR_VERSIONS:
        return f"the log of compiler version {version} is not known"
    if not models:
        return "the log names no model"
    for model in models:
        if model.operations is None or model.mapped is None:
            return f"the log does not say how many operations of {model.input_model} are mapped"
        in_table = sum(row.count for row in model.operators)
        if model.operators and in_table != model.operations:
            return (
                f"the log's table of {model.input_model} holds {in_table} of "
                f"{model.operations} operations"
            )
    return ""


def _messages(lines: list[str]) -> tuple[str, ...]:
    found = [line for line in lines if line.startswith("ERROR:") or _is_failure(line)]
    return tuple(dict.fromkeys(found))[:_MESSAGES_KEPT]


def _is_failure(line: str) -> bool:
    return any(failure in line.lower() for failure in _FAILURES)


def _models(lines: list[str]) -> tuple[ModelLog, ...]:
    """Returns one entry a section; a section begins with the name of the input."""
    starts = [i for i, line in enumerate(lines) if _field(line)[0] in ("input model", "input")]
    ends = [*starts, len(lines)][1:]
    found = [_model(lines[start:end]) for start, end in zip(starts, ends, strict=True)]
    # A search for a delegate names a model once a try; the last try counts.
    return tuple({model.input_model: model for model in found}.values())


def _with_tables(
    models: tuple[ModelLog, ...], operation_logs: Iterable[str]
) -> tuple[ModelLog, ...]:
    """Adds the tables of the operation logs to the models that have none, by output's name."""
    tables = {
        os.path.basename(found.output_model or ""): found
        for text in operation_logs
        for found in _models([line.strip() for line in text.splitlines()])
    }
    completed = []
    for model in models:
        found = tables.get(os.path.basename(model.output_model or ""))
        if found is not None and found.operators and not model.operators:
            agreed = model.mapped in (None, found.mapped)
            model = dataclasses.replace(
                model, operators=found.operators, mapped=found.mapped if agreed else None
            )
        completed.append(model)
    return tuple(completed)


def _model(lines: list[str]) -> ModelLog:
    fields = dict(_field(line) for line in lines if _field(line)[1])
    operators = _operators(lines)
    used = _bytes(fields.get("on-chip memory used for caching model parameters"))
    remaining = _bytes(fields.get("on-chip memory remaining for caching model parameters"))
    available = _bytes(fields.get("on-chip memory available for caching model parameters"))
    if remaining is None and used is not None and available is not None:
        remaining = available - used
    operations = _int(fields.get("total number of operations"))
    return ModelLog(
        input_model=fields.get("input model", fields.get("input", "")),
        output_model=fields.get("output model", fields.get("output")),
        input_bytes=_bytes(fields.get("input size")),
        output_bytes=_bytes(fields.get("output size")),
        on_chip_used_bytes=used,
        on_chip_remaining_bytes=remaining,
        off_chip_bytes=_bytes(
            fields.get("off-chip memory used for streaming uncached model parameters")
        ),
        subgraphs=_int(fields.get("number of edge tpu subgraphs")),
        operations=operations,
        mapped=_mapped(fields, operators),
        operators=operators,
    )


def _mapped(fields: dict[str, str], operators: tuple[OperatorRow, ...]) -> int | None:
    """Returns how many operators are mapped; None where the table and the sentence disagree.

    The sentence is printed only when some stay on the CPU, and the table only when asked for. A
    summary with neither says nothing, not even where it says "compiled successfully".
    """
    said = _int(fields.get("number of operations that will run on edge tpu"))
    if not operators:
        return said
    counted = sum(row.count for row in operators if row.mapped)
    return counted if said in (None, counted) else None


def _operators(lines: list[str]) -> tuple[OperatorRow, ...]:
    rows: list[OperatorRow] = []
    inside = False
    for line in lines:
        if _HEADER.match(line):
            inside, rows = True, []
            continue
        match = _ROW.match(line) if inside else None
        if match:
            op, count, status = match.groups()
            mapped = status.lower() == _MAPPED
            reason = "mapped" if mapped else _STATUS_REASONS.get(status.lower(), "other")
            rows.append(
                OperatorRow(op=op, count=int(count), status=status, mapped=mapped, reason=reason)
            )
        elif line:
            inside = False
    return tuple(rows)


def _field(line: str) -> tuple[str, str]:
    """Returns name and value of a line such as `Input size: 4.41MiB`."""
    name, colon, value = line.removeprefix("INFO: ").partition(":")
    return (name.strip().lower(), value.strip()) if colon else ("", "")


def _int(value: str | None) -> int | None:
    return int(value) if value is not None and value.isdecimal() else None


def _bytes(value: str | None) -> int | None:
    match = _SIZE.match(value or "")
    if match is None:
        return None
    try:
        return round(float(match.group(1)) * _UNITS[match.group(2)])
    except ValueError:
        return None
