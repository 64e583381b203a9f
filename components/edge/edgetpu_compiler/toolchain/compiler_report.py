"""The report of a model that the compiler compiled."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfx_loop.contracts.edgetpu_report import (
    EdgeTpuReason,
    EdgeTpuResult,
    EdgeTpuSpeaker,
    EdgeTpuVerdict,
)
from tfx_loop.edge.edgetpu_compiler.rules.analyser import Analysis
from tfx_loop.edge.edgetpu_compiler.rules.analysis_report import analysis_content
from tfx_loop.edge.edgetpu_compiler.toolchain import compiler_log
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
        analysis=analysis_content(analysis),
        compiler=_content(compilation, compiled),
        rewrites=rewrites,
        settings=settings or {},
    )


def _content(compilation: Compilation, compiled: CompiledModel) -> dict[str, Any]:
    summary = compiled.summary
    log = dataclasses.replace(compilation.log, models=(compiled.log,))
    return {
        "place": compilation.compiler.place,
        "version": compilation.log.version,
        "seconds": round(compilation.seconds, 3),
        "co_compiled": [other.source.name for other in compilation.models if other is not compiled],
        "log": compiler_log.to_json(log),
        "custom_ops": compiled.custom_ops,
        "minimum_runtime": summary.minimum_runtime,
        "cached_parameter_bytes": summary.cached_parameter_bytes,
        "streamed_parameter_bytes": summary.streamed_parameter_bytes,
    }
