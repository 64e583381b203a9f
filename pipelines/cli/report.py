"""`loop report`: what is known of a model, and what an optimiser did to it?"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from tfx_loop.core.errors import DataError

if TYPE_CHECKING:
    from tfx_loop.contracts.optimization_report import OptimizationResult

HELP = "size, weights, losses and latency of a model, and how it was made smaller"
_REPORTS = ("report.json", "optimization_report.json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument(
        "model",
        type=Path,
        metavar="MODEL",
        help="folder of loop compress, report file, OptimizationReport artifact, or a model",
    )
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the page too (HTML)")
    parser.add_argument(
        "--signature", metavar="NAME", help="of a SavedModel (default: the one that takes numbers)"
    )


def run(args: argparse.Namespace) -> int:
    """Shows the report; returns 0."""
    from tfx_loop.contracts.optimization_report import read_report

    found = _report_file(args.model)
    if found is not None:
        return _show_report(read_report(found), args)
    return _show_model(args)


def _report_file(path: Path) -> Path | None:
    """Returns the report that a path leads to; None when it is a model."""
    if path.is_dir():
        return next((path / name for name in _REPORTS if (path / name).is_file()), None)
    return path if path.suffix == ".json" else None


def _show_report(report: "OptimizationResult", args: argparse.Namespace) -> int:
    from tfx_loop.optimization.reporting.page import render
    from tfx_loop.optimization.reporting.terminal import report_text

    if args.page is not None:
        _write_page(args.page, render(report))
    print(json.dumps(report.to_json(), indent=2) if args.json else report_text(report))
    return 0


def _show_model(args: argparse.Namespace) -> int:
    from tfx_loop.core import json_codec
    from tfx_loop.core.child_process.worker import Worker
    from tfx_loop.models.formats import detect
    from tfx_loop.optimization.reporting.facts import MeasuredModel, facts_of
    from tfx_loop.optimization.reporting.page import render_model
    from tfx_loop.optimization.reporting.terminal import model_text

    file = detect(args.model)
    asked = MeasuredModel(path=str(file.path), signature=args.signature, shown_path=str(args.model))
    with Worker() as worker:
        facts = facts_of(worker, {"model": asked}, doing=f"reading {args.model}")["model"]
    if args.page is not None:
        _write_page(args.page, render_model(facts))
    print(json.dumps(json_codec.to_json(facts), indent=2) if args.json else model_text(facts))
    return 0


def _write_page(path: Path, page: str) -> None:
    from tfx_loop.core.storage import write_bytes

    try:
        write_bytes(str(path), page.encode())
    except OSError as error:
        raise DataError(
            f"Expected a file that can be written for --page, received {path}: {error.strerror}."
        ) from error
