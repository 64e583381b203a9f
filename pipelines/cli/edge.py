"""`loop edge`: which operators of a .tflite edgetpu_compiler will map, and why not the others.

By documented rules and without the compiler; of a compiled model, what the compiler made of it.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tfx_loop.pipelines.cli import conventions
from tfx_loop.presentation.terminal import TextTable

if TYPE_CHECKING:
    from tfx_loop.edge.edgetpu_compiler.rules.analyser import Analysis

HELP = "which operators of a .tflite map to the Edge TPU, and why not the others"
# Names of tensors end with what tells them apart; longer ones push the reasons off the screen.
_SHOWN_OUTPUT = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `loop edge`."""
    parser.add_argument("file", type=Path, metavar="FILE.tflite", help="a model, compiled or not")
    conventions.add_json(parser)
    parser.add_argument(
        "--unmapped", action="store_true", help="list only what does not map for sure"
    )
    # The name of --unmapped in earlier versions.
    parser.add_argument("--left", dest="unmapped", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--multiple-subgraphs",
        action="store_true",
        help="as if compiled with edgetpu_compiler --enable_multiple_subgraphs",
    )


def run(args: argparse.Namespace) -> int:
    """Analyses the file and prints what is expected; returns 0.

    Raises:
        ModelError: The file is absent, no TensorFlow Lite model, or corrupt.
    """
    from tfx_loop.core.json_codec import to_json
    from tfx_loop.edge.edgetpu_compiler.rules.analyser import analyse
    from tfx_loop.edge.edgetpu_compiler.rules.analysis_report import mapping_analysis

    analysis = analyse(args.file, multiple_subgraphs=args.multiple_subgraphs)
    conventions.answer(
        args,
        lambda: to_json(mapping_analysis(analysis)),
        lambda: [_table(analysis, unmapped=args.unmapped), "\n".join(summary(analysis))],
    )
    return conventions.SUCCESS


def summary(analysis: "Analysis") -> list[str]:
    """Returns the lines below the table."""
    from tfx_loop.contracts.edgetpu_report import MappingStatus

    total = len(analysis.operators)
    mapped = analysis.count(MappingStatus.MAPPED)
    on_cpu = analysis.count(MappingStatus.NOT_MAPPED)
    unknown = analysis.count(MappingStatus.UNKNOWN)
    lines = [
        f"{mapped} of {total} operators mapped, {on_cpu} on the CPU, {unknown} unknown; "
        f"{_subgraphs(analysis)}; parameters {_size(analysis.parameter_bytes)}, {_place(analysis)}"
    ]
    if analysis.compiled is not None:
        lines.append(
            f"Compiled: {_size(analysis.compiled.cached_parameter_bytes)} cached on the chip, "
            f"{_size(analysis.compiled.streamed_parameter_bytes)} streamed at every inference; "
            f"needs Edge TPU runtime {analysis.compiled.minimum_runtime} or newer."
        )
    else:
        lines.append(
            f"Expected of edgetpu_compiler {analysis.compiler} from its documented rules; "
            "the compiler did not run."
        )
    if analysis.refused:
        lines.append(f"The compiler will refuse this model: {analysis.refused}.")
    if analysis.open_batch:
        lines.append("The batch size is open and is read as 1: fix it before compiling.")
    return lines


def _table(analysis: "Analysis", *, unmapped: bool) -> TextTable:
    """Returns the table, a line an operator."""
    from tfx_loop.contracts.edgetpu_report import MappingStatus

    rows = [
        (
            str(operator.index),
            operator.op,
            _shorten(", ".join(operator.outputs)),
            operator.status.value,
            operator.reason,
        )
        for operator in analysis.operators
        if not unmapped or operator.status is not MappingStatus.MAPPED
    ]
    return TextTable(headings=("index", "op", "outputs", "status", "reason"), rows=rows)


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN_OUTPUT else f"…{text[1 - _SHOWN_OUTPUT :]}"


def _subgraphs(analysis: "Analysis") -> str:
    least, most = analysis.subgraphs, analysis.subgraphs_at_most
    counted = str(least) if least == most else f"{least} to {most}"
    return f"{counted} Edge TPU subgraph{'s' if counted != '1' else ''}"


def _place(analysis: "Analysis") -> str:
    if analysis.compiled is not None:
        return "as compiled"
    places = {
        "yes": "cached on the chip",
        "no": "more than the 8 MiB on the chip: some are streamed at every inference",
        "unknown": "close to the 8 MiB on the chip: some may be streamed at every inference",
    }
    return places[analysis.fits_on_chip]


def _size(size: int) -> str:
    if size < 2**10:
        return f"{size} B"
    return f"{size / 2**10:.1f} KiB" if size < 2**20 else f"{size / 2**20:.2f} MiB"
