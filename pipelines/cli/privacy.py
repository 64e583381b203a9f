"""`loop privacy`: whether a model gives away which rows it was trained on.

Membership inference by the losses of rows, calibrated by reference models that saw neither side.
Exit status: 3 where the model recognises its rows, 4 for fewer than 300 rows of a side.
"""

import argparse
from pathlib import Path

from tfx_loop.pipelines.cli import conventions
from tfx_loop.pipelines.cli.answered_rows import answered_rows
from tfx_loop.presentation import arguments
from tfx_loop.presentation.terminal import TextTable

HELP = "whether a model gives away which rows it was trained on"
# As MembershipSettings has them, whose module takes a second to import.
_MOST_ROWS, _FEWEST_ROWS = 2_000, 300


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="a SavedModel, .keras or .tflite")
    parser.add_argument("--training", required=True, metavar="FILE", help="rows as trained on")
    parser.add_argument(
        "--others", required=True, metavar="FILE", help="rows of the same kind, not trained on"
    )
    parser.add_argument(
        "--label", required=True, metavar="COLUMN", help="numbers, or classes from 0"
    )
    parser.add_argument("--output", default="", metavar="NAME", help="of a model with several")
    parser.add_argument(
        "--max-rows",
        type=arguments.whole_at_least(_FEWEST_ROWS),
        default=_MOST_ROWS,
        metavar="N",
        help=f"of each side, drawn by chance (default: {_MOST_ROWS})",
    )
    parser.add_argument(
        "--signature", metavar="NAME", help="of a SavedModel (default: the one that takes numbers)"
    )
    conventions.add_seed(parser, "draws rows and folds")
    conventions.add_allow(parser)
    conventions.add_json(parser)
    conventions.add_page(parser)


def run(args: argparse.Namespace) -> int:
    """Infers membership; returns 0 without a sign of it, 3 with one, 4 with too few rows."""
    conventions.quiet_libraries()
    from tfx_loop.contracts.privacy_report import PRIVACY_REPORT
    from tfx_loop.models.guard import guard
    from tfx_loop.models.predictor import open_predictor
    from tfx_loop.monitoring.privacy_report import page
    from tfx_loop.monitoring.privacy_report.membership import MembershipSettings, infer_membership
    from tfx_loop.monitoring.reference_models.evaluated_rows import evaluated_rows

    settings = MembershipSettings(max_rows=args.max_rows, seed=args.seed)
    with guard.exceptions(args.allow):
        predictor = open_predictor(args.model, signature=args.signature)
        found = [answered_rows(predictor, path, args) for path in (args.training, args.others)]
    columns = [{**side.rows.inputs, args.label: side.rows.labels} for side in found]
    outputs = [side.answers for side in found]
    report = infer_membership(*evaluated_rows(columns, outputs, args.label), settings)
    if args.page:
        conventions.write_file(args.page, page.render(report), "--page")
    numbers = page.HEADINGS[1:]
    conventions.answer(
        args,
        lambda: PRIVACY_REPORT.content(report),
        lambda: [
            f"{report.verdict.value}: {report.explanation}",
            TextTable(headings=page.HEADINGS, rows=page.rows(report), numbers=numbers),
        ],
    )
    codes = {"NO_SIGN": conventions.SUCCESS, "WARN": conventions.ATTENTION}
    return codes.get(report.verdict.value, conventions.UNDECIDED)
