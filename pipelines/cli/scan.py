"""`loop scan`: what opening a model file would read, write, run or exhaust, without opening it.

Exit code 0 says that nothing was found, 3 that something was, 1 that the file cannot be read.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfx_loop.pipelines.cli import conventions

if TYPE_CHECKING:
    from tfx_loop.models.guard.findings import Finding, ScanResult
    from tfx_loop.presentation.terminal import TextTable

HELP = "what opening a model that others made would read, write or run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument(
        "model",
        type=Path,
        metavar="MODEL",
        help="SavedModel folder, TFX Model, .keras, .h5 or .tflite file",
    )
    conventions.add_allow(parser)
    conventions.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Shows the findings; returns 3 when there are some, else 0."""
    from tfx_loop.models.guard.guard import scan

    result = scan(args.model, allow=args.allow)
    conventions.answer(args, lambda: _content(args.model, result), lambda: _parts(result))
    return conventions.ATTENTION if result.findings else conventions.SUCCESS


def _content(model: Path, result: "ScanResult") -> dict[str, Any]:
    return {
        "model": str(model),
        "findings": [_row(finding) for finding in result.findings],
        "allowed": [_row(finding) for finding in result.allowed],
    }


def _row(finding: "Finding") -> dict[str, str]:
    return {
        "part": finding.part,
        "found": finding.found,
        "harm": finding.harm.value,
        "remedy": finding.remedy,
        "allow": finding.allow,
    }


def _parts(result: "ScanResult") -> "list[str | TextTable]":
    from tfx_loop.presentation.terminal import TextTable

    allowed = ", ".join(result.exceptions)
    told = f"Allowed: {allowed}." if allowed else ""
    if not result.findings:
        return ["Nothing found that opening this model would do beside computing.", told]
    rows = [(f.part, f.found, f.harm.value, f.allow) for f in result.findings]
    remedies = dict.fromkeys(f"{finding.remedy}." for finding in result.findings)
    return [
        TextTable(rows=rows, headings=("part", "found", "harm", "--allow")),
        "\n".join(remedies),
        told,
    ]
