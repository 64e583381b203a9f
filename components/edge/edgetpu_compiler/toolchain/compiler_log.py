"""The log of `edgetpu_compiler`, of any version, read with its doubts.

The compiler is closed and its log is free text that changed between 2.0, 14.1, 15.0 and 16.0. So
the parser looks for sentences, not for positions, and a log that does not state its outcome in
known words, or whose numbers contradict each other, is UNKNOWN: never a success.

The sentences: Coral's "Edge TPU Compiler" page (coral.ai/docs/edgetpu/compiler) and the logs that
users pasted in google-coral/edgetpu (issues 4, 225, 313, 358, 400, 411, 427, 518, 572, 829).
"""

import re
from collections.abc import Iterable

from tfx_loop.contracts.compiler_log import CompilerLog, CompilerOutcome, ModelLog
from tfx_loop.edge.edgetpu_compiler.toolchain.model_log import models_in, with_tables

# Those whose logs were seen, see above.
KNOWN_MAJOR_VERSIONS = (2, 14, 15, 16)
# A search for a delegate repeats its errors many times.
_MESSAGES_KEPT = 20
# In lower case, as lines are compared; from the same logs.
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
    # Progress may be written over itself with carriage returns.
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines()]
    banner = _BANNER.search(text)
    version = banner.group(1) if banner else ""
    times = _COMPILED.findall(text)
    models = with_tables(models_in(lines), operation_logs)
    stated, sentence = _stated_outcome(lines)
    outcome, reason = stated, sentence
    if stated is CompilerOutcome.COMPILED:
        # Only a claim of success is doubted: a failure is believed on its word.
        doubt = _doubt(version, models)
        outcome, reason = (CompilerOutcome.UNKNOWN, doubt) if doubt else (stated, "")
    return CompilerLog(
        outcome=outcome,
        reason=reason,
        version=version,
        compile_ms=int(times[-1]) if times else None,
        models=models,
        messages=_messages(lines),
    )


def _stated_outcome(lines: list[str]) -> tuple[CompilerOutcome, str]:
    outcome, reason = CompilerOutcome.UNKNOWN, "the log does not say what became of the compilation"
    for line in lines:
        if _COMPILED.search(line) or line.lower().startswith("compilation succeeded"):
            outcome, reason = CompilerOutcome.COMPILED, ""
        elif _is_failure(line):
            # The first sentence tells more than the "Compilation failed!" that follows it.
            reason = reason if outcome is CompilerOutcome.FAILED else line
            outcome = CompilerOutcome.FAILED
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
