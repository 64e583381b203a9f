"""The report of a model that the compiler compiled."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfx_loop.contracts.edgetpu_report import (
    CompilerRun,
    EdgeTpuReason,
    EdgeTpuResult,
    EdgeTpuSpeaker,
    EdgeTpuVerdict,
)
from tfx_loop.edge.edgetpu_compiler.rules.analyser import Analysis
from tfx_loop.edge.edgetpu_compiler.rules.analysis_report import mapping_analysis
from tfx_loop.edge.edgetpu_compiler.toolchain.compilation import Compilation, CompiledModel


def report_of_compilation(
    compilation: Compilation,
    compiled: CompiledModel,
    analysis: Analysis,
    *,
    minimum_share: float,
    rewrites: tuple[str, ...] = (),
    settings: Mapping[str, Any] | None = None,
) -> EdgeTpuResult:
    """Reports a model that was compiled and checked; the share is the compiler's own count.

    Args:
        compilation: The run.
        compiled: The model of it that the report is about.
        analysis: What the analyser expected of the source, for comparison.
        minimum_share: Share that was asked for.
        rewrites: What the preparation changed.
        settings: With which settings the report was made.
    """
    share = compiled.log.mapped_share or 0.0
    every = share >= 1.0
    return EdgeTpuResult(
        verdict=EdgeTpuVerdict.MAPPED if every else EdgeTpuVerdict.PARTLY_MAPPED,
        reason=EdgeTpuReason.ALL_OPERATORS if every else EdgeTpuReason.SHARE_REACHED,
        speaker=EdgeTpuSpeaker.COMPILER,
        mapped_share=share,
        minimum_share=minimum_share,
        analysis=mapping_analysis(analysis),
        compiler=_run(compilation, compiled),
        rewrites=rewrites,
        settings=settings or {},
    )


def _run(compilation: Compilation, compiled: CompiledModel) -> CompilerRun:
    summary = compiled.summary
    return CompilerRun(
        place=compilation.compiler.place,
        version=compilation.log.version,
        seconds=round(compilation.seconds, 3),
        co_compiled=tuple(
            other.source.name for other in compilation.models if other is not compiled
        ),
        log=dataclasses.replace(compilation.log, models=(compiled.log,)),
        custom_ops=compiled.custom_ops,
        minimum_runtime=summary.minimum_runtime,
        cached_parameter_bytes=summary.cached_parameter_bytes,
        streamed_parameter_bytes=summary.streamed_parameter_bytes,
    )
