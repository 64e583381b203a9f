"""A compilation whose outcome is checked: the compiler's word alone is not taken.

A compilation succeeded when the exit code is 0, its log is understood and names every model, each
output is a whole model with the source's inputs and outputs and at least one Edge TPU operator,
and the share of mapped operators is at least what was asked for.
"""

import logging
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tfx_loop.contracts.compiler_log import CompilerLog, CompilerOutcome, ModelLog
from tfx_loop.core.child_process import foreign_program
from tfx_loop.core.errors import ChildFailed, ConfigError, ModelError
from tfx_loop.edge.edgetpu_compiler.graph.compiled_packages import CompiledSummary
from tfx_loop.edge.edgetpu_compiler.settings import CompilerSettings
from tfx_loop.edge.edgetpu_compiler.toolchain import compiler_log
from tfx_loop.edge.edgetpu_compiler.toolchain.compiler import Compiler, run
from tfx_loop.edge.edgetpu_compiler.toolchain.output_check import CompilerOutput, check_output

# Its own timer came with version 16; ours ends it in any case.
_FIRST_WITH_TIMER = 16
# What a person reads of a log; the whole one is the compiler's.
_TAIL_LINES = 20
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CompiledModel:
    """One model that was compiled and checked.

    Attributes:
        source: The int8 model that was given.
        path: The compiled model.
        log: What the compiler says of it.
        custom_ops: Edge TPU operators in the output.
        summary: What their packages say.
    """

    source: Path
    path: Path
    log: ModelLog
    custom_ops: int
    summary: CompiledSummary


@dataclass(frozen=True, kw_only=True)
class Compilation:
    """One run of the compiler.

    Attributes:
        compiler: Which one ran.
        models: One entry a model, in the order given.
        log: All that it said.
        seconds: How long it ran.
    """

    compiler: Compiler
    models: tuple[CompiledModel, ...]
    log: CompilerLog
    seconds: float


def compile_models(
    models: Sequence[Path], out_dir: Path, compiler: Compiler, settings: CompilerSettings
) -> Compilation:
    """Compiles models in one run, so that they share the Edge TPU's memory, and checks each.

    Args:
        models: Fully quantised .tflite files; several are co-compiled.
        out_dir: Where `NAME_edgetpu.tflite` of each goes; only checked files arrive there.
        compiler: Result of `find`.
        settings: Limits and threshold.

    Raises:
        ChildFailed: The compiler hung, crashed, failed, wrote nothing or nothing whole, or its
            log is not understood.
        ModelError: It compiled, and maps nothing or less than asked for.
        ConfigError: Two models have the same name, or the compiler cannot be started.
    """
    if len({model.stem for model in models}) != len(models) or not models:
        raise ConfigError(f"Expected models of different names, received {_names(models)}.")
    with tempfile.TemporaryDirectory(prefix="loop-edgetpu-") as scratch:
        job = _Job(Path(scratch), models, compiler, settings)
        finished = job.run()
        log = compiler_log.parse(finished.text, job.operation_logs())
        job.check_end(finished, log)
        checked = [job.check_model(index, log) for index in range(len(models))]
        out_dir.mkdir(parents=True, exist_ok=True)
        compiled = tuple(
            CompiledModel(
                source=source,
                path=_moved(output.path, out_dir / f"{source.stem}_edgetpu.tflite"),
                log=said,
                custom_ops=output.custom_ops,
                summary=output.summary,
            )
            for source, (said, output) in zip(models, checked, strict=True)
        )
    for entry in compiled:
        _LOG.info(
            "edgetpu_compiled model=%s mapped_share=%.3f custom_ops=%d version=%s seconds=%.1f",
            entry.source.name,
            entry.log.mapped_share,
            entry.custom_ops,
            log.version,
            finished.seconds,
        )
    return Compilation(compiler=compiler, models=compiled, log=log, seconds=finished.seconds)


class _Job:
    """One run of the compiler in a scratch folder: `in/` that it reads, `out/` that it writes."""

    def __init__(
        self,
        scratch: Path,
        models: Sequence[Path],
        compiler: Compiler,
        settings: CompilerSettings,
    ) -> None:
        self._scratch = scratch
        self._models = models
        self._compiler = compiler
        self._settings = settings
        self._doing = f"{compiler.place} to compile {_names(models)}"
        for folder in ("in", "out"):
            (scratch / folder).mkdir()
        for index, model in enumerate(models):
            # Names of our own: the user's may begin with a dash, hold a blank or be odd otherwise.
            shutil.copyfile(model, scratch / "in" / f"model_{index}.tflite")

    def run(self) -> foreign_program.ProgramResult:
        # The table of operators, from which the mapped share is counted, is printed only when asked
        # for.
        options = ["--show_operations", "--out_dir", "out"]
        if self._settings.min_runtime_version:
            options += ["--min_runtime_version", str(self._settings.min_runtime_version)]
        if self._settings.search_delegate:
            options.append("--search_delegate")
        if self._compiler.major_version >= _FIRST_WITH_TIMER:
            options += ["--timeout_sec", str(round(self._settings.timeout_seconds))]
        inputs = [f"in/model_{index}.tflite" for index in range(len(self._models))]
        return run(self._compiler, [*options, *inputs], self._scratch, self._settings)

    def operation_logs(self) -> list[str]:
        logs = sorted((self._scratch / "out").glob("*.log"))
        return [path.read_text("utf-8", "replace") for path in logs if path.is_file()]

    def check_end(self, finished: foreign_program.ProgramResult, log: CompilerLog) -> None:
        """Raises ChildFailed unless the run ended well and says so."""
        if finished.killed == "timed_out":
            raise self._failed(
                f"no end after {self._settings.timeout_seconds:g} s. Raise timeout_seconds, or "
                "set search_delegate: large activations make it slow.",
                finished,
                cause="timed_out",
            )
        if finished.killed:
            raise self._failed(
                f"more than {self._settings.memory_mb:g} MiB of memory in use. Raise memory_mb.",
                finished,
                cause="out_of_memory",
            )
        if crash := _signal(finished.returncode):
            raise self._failed(
                f"an abort by {crash}. Try another version of the compiler, or a smaller model.",
                finished,
                cause="aborted",
            )
        if finished.returncode != 0 or log.outcome is CompilerOutcome.FAILED:
            told = log.outcome is CompilerOutcome.FAILED
            why = log.reason if told else "the log does not say why"
            raise self._failed(
                f"exit code {finished.returncode}: {why}. Look at `loop edge` for the model.",
                finished,
            )

    def check_model(self, index: int, log: CompilerLog) -> tuple[ModelLog, CompilerOutput]:
        """Returns what the log says of a model, and its output; raises unless both are good."""
        source, name = self._models[index], f"model_{index}"
        written = self._scratch / "out" / f"{name}_edgetpu.tflite"
        # A link would be copied as what it leads to, outside the scratch folder.
        if not written.is_file() or written.is_symlink():
            others = _names(sorted((self._scratch / "out").iterdir())) or "nothing"
            raise self._failed(
                f"exit code 0 and no {written.name} (it wrote {others}). Try its other versions.",
                log,
            )
        try:
            output = check_output(source, written)
        except ModelError as error:
            raise self._failed(f"exit code 0 and an output that is not whole: {error}", log) from (
                error
            )
        said = next((m for m in log.models if Path(m.input_model).stem == name), None)
        if log.outcome is not CompilerOutcome.COMPILED or said is None or said.mapped_share is None:
            why = log.reason or f"it does not name {source.name}"
            raise self._failed(
                f"a log that is not understood: {why}. Whether anything maps is unknown; use a "
                "version of the compiler from 2.0 to 16.0.",
                log,
            )
        # Both have to say so: the log alone, or a custom operator alone, is not believed.
        if not output.custom_ops or not said.mapped:
            raise ModelError(
                f"Expected operators of {source.name} on the Edge TPU, received exit code 0 with "
                f"none of {said.operations} mapped. `loop edge` says why for each operator."
            )
        if said.mapped_share < self._settings.min_mapped_share:
            raise ModelError(
                f"Expected at least {self._settings.min_mapped_share:.0%} of the operators of "
                f"{source.name} on the Edge TPU, received {said.mapped} of {said.operations} "
                f"({said.mapped_share:.1%}): {_left(said)}. Change those operators, or lower "
                "min_mapped_share."
            )
        return said, output

    def _failed(
        self,
        received: str,
        source: foreign_program.ProgramResult | CompilerLog,
        cause: str = "failed",
    ) -> ChildFailed:
        text = source.text if isinstance(source, foreign_program.ProgramResult) else ""
        lines = [line.strip() for line in text.splitlines() if line.strip()][-_TAIL_LINES:]
        if isinstance(source, CompilerLog):
            lines = list(source.messages)
        return ChildFailed(
            f"Expected {self._doing}, received {received}", cause=cause, log_tail="\n".join(lines)
        )


def _signal(returncode: int) -> str:
    """Returns the signal's name; the shell script around the binary reports 128 plus its number."""
    # subprocess reports a signal as its negative number.
    number = -returncode if returncode < 0 else returncode - 128
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""


def _left(said: ModelLog) -> str:
    rows = [f"{row.count} {row.op} ({row.status})" for row in said.operators if not row.mapped]
    return "; ".join(rows) or "the log names none of the others"


def _moved(source: Path, target: Path) -> Path:
    """Moves a file so that it is there whole or not at all, also to another file system."""
    staged = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    shutil.copyfile(source, staged)
    os.replace(staged, target)
    return target


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(path.name for path in paths)
