"""`loop report`: what is known of a model, and what an optimiser did to it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tfx_loop.pipelines.cli import conventions

if TYPE_CHECKING:
    from tfx_loop.contracts.optimization_report import OptimizationResult

HELP = "size, weights, losses and latency of a model, and how it was made smaller"
# Of `loop compress`, and of an OptimizationReport artifact.
_REPORTS = ("report.json", "optimization_report.json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument(
        "model",
        type=Path,
        metavar="MODEL",
        help="folder of loop compress, report file, OptimizationReport artifact, or a model",
    )
    conventions.add_allow(parser)
    conventions.add_json(parser)
    conventions.add_page(parser)
    parser.add_argument(
        "--signature", metavar="NAME", help="of a SavedModel (default: the one that takes numbers)"
    )


def run(args: argparse.Namespace) -> int:
    """Shows the report; returns 0."""
    from tfx_loop.contracts.optimization_report import OPTIMIZATION_REPORT

    found = _report_file(args.model)
    if found is not None:
        return _show_report(OPTIMIZATION_REPORT.load(found), args)
    return _show_model(args)


def _report_file(path: Path) -> Path | None:
    """Returns the report that a path leads to; None when it is a model."""
    if path.is_dir():
        return next((path / name for name in _REPORTS if (path / name).is_file()), None)
    return path if path.suffix == ".json" else None


def _show_report(report: "OptimizationResult", args: argparse.Namespace) -> int:
    from tfx_loop.contracts.optimization_report import OPTIMIZATION_REPORT
    from tfx_loop.optimization.reporting.page import render
    from tfx_loop.optimization.reporting.terminal import report_parts

    if args.page is not None:
        conventions.write_file(args.page, render(report), "--page")
    conventions.answer(
        args, lambda: OPTIMIZATION_REPORT.content(report), lambda: report_parts(report)
    )
    return conventions.SUCCESS


def _show_model(args: argparse.Namespace) -> int:
    from tfx_loop.core import json_codec
    from tfx_loop.core.child_process.worker import Worker
    from tfx_loop.models.formats import detect
    from tfx_loop.models.guard import guard
    from tfx_loop.optimization.reporting.facts import MeasuredModel, facts_of
    from tfx_loop.optimization.reporting.page import render_model
    from tfx_loop.optimization.reporting.terminal import model_parts

    file = detect(args.model)
    asked = MeasuredModel(path=str(file.path), signature=args.signature, shown_path=str(args.model))
    with guard.exceptions(args.allow), Worker() as worker:
        facts = facts_of(worker, {"model": asked}, doing=f"reading {args.model}")["model"]
    if args.page is not None:
        conventions.write_file(args.page, render_model(facts), "--page")
    conventions.answer(args, lambda: json_codec.to_json(facts), lambda: model_parts(facts))
    return conventions.SUCCESS
