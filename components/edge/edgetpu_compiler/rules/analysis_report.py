"""The analyser's view as the report has it, and the report where no compiler ran."""

from collections.abc import Mapping
from typing import Any

from tfx_loop.contracts.edgetpu_report import (
    CitedSource,
    EdgeTpuReason,
    EdgeTpuResult,
    EdgeTpuSpeaker,
    EdgeTpuVerdict,
    MappingAnalysis,
    MappingStatus,
)
from tfx_loop.edge.edgetpu_compiler.rules.analyser import Analysis


def report_of_analysis(
    analysis: Analysis,
    *,
    minimum_share: float = 0.0,
    rewrites: tuple[str, ...] = (),
    settings: Mapping[str, Any] | None = None,
) -> EdgeTpuResult:
    """Reports what the analyser expects, where no compiler ran.

    What is unknown counts neither way: the verdict is UNKNOWN when it could tip the share.
    """
    total = len(analysis.operators)
    mapped = analysis.count(MappingStatus.MAPPED)
    hoped = mapped + analysis.count(MappingStatus.UNKNOWN)
    lowest, highest = (count / total if total else 0.0 for count in (mapped, hoped))
    if total and mapped == total:
        verdict, reason = EdgeTpuVerdict.MAPPED, EdgeTpuReason.ALL_OPERATORS
    elif hoped == 0:
        verdict, reason = EdgeTpuVerdict.NOT_MAPPED, EdgeTpuReason.NOTHING_MAPS
    elif highest < minimum_share:
        verdict, reason = EdgeTpuVerdict.PARTLY_MAPPED, EdgeTpuReason.SHARE_TOO_LOW
    elif lowest < minimum_share or mapped == 0:
        verdict, reason = EdgeTpuVerdict.UNKNOWN, EdgeTpuReason.SHARE_UNCERTAIN
    else:
        verdict, reason = EdgeTpuVerdict.PARTLY_MAPPED, EdgeTpuReason.SHARE_REACHED
    return EdgeTpuResult(
        verdict=verdict,
        reason=reason,
        speaker=EdgeTpuSpeaker.ANALYSER,
        mapped_share=lowest,
        minimum_share=minimum_share,
        analysis=mapping_analysis(analysis),
        rewrites=rewrites,
        settings=settings or {},
    )


def mapping_analysis(analysis: Analysis) -> MappingAnalysis:
    """Returns an analysis as the report has it, and as `loop edge --json` prints it."""
    compiled = analysis.compiled
    return MappingAnalysis(
        operators=analysis.operators,
        subgraphs=analysis.subgraphs,
        subgraphs_at_most=analysis.subgraphs_at_most,
        parameter_bytes=analysis.parameter_bytes,
        fits_on_chip=analysis.fits_on_chip,
        mapped=analysis.count(MappingStatus.MAPPED),
        not_mapped=analysis.count(MappingStatus.NOT_MAPPED),
        unknown=analysis.count(MappingStatus.UNKNOWN),
        mapped_share=analysis.mapped_share,
        open_batch=analysis.open_batch,
        refused=analysis.refused,
        sources={
            key: CitedSource(title=source.title, url=source.url)
            for key, source in analysis.sources.items()
        },
        rules_of_compiler=analysis.compiler,
        compiled=compiled is not None,
        cached_parameter_bytes=compiled.cached_parameter_bytes if compiled else None,
        streamed_parameter_bytes=compiled.streamed_parameter_bytes if compiled else None,
        minimum_runtime=compiled.minimum_runtime if compiled else None,
        executables=compiled.executables_by_subgraph if compiled else (),
    )
