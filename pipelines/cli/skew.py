"""`loop skew`: features as served beside features as trained on, for the same rows.

Drift compares other rows and needs a test. This compares the same rows, found by their keys: what
differs beyond rounding is a fault in one of two feature pipelines. Exit status: 3 for any, 4 where
too few rows are common.
"""

import argparse
from typing import TYPE_CHECKING

from tfx_loop.pipelines.cli import conventions
from tfx_loop.presentation import arguments
from tfx_loop.presentation.terminal import TextTable

if TYPE_CHECKING:
    from tfx_loop.contracts.skew_report import SkewResult

HELP = "whether the server saw what training saw, for the same rows"
# As many as stand on one screen, the most different first.
_ROWS_SHOWN = 15


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("--training", required=True, metavar="FILE", help="rows as trained on")
    parser.add_argument(
        "--served", required=True, metavar="FILE", help="rows as served; a prediction log's too"
    )
    parser.add_argument(
        "--key",
        action="append",
        required=True,
        metavar="COLUMN",
        help="names a row; TRAINING=SERVED where the two files call it otherwise; repeatable",
    )
    conventions.add_ignore(parser)
    conventions.add_label(parser, "comes later than the rest: not compared")
    parser.add_argument(
        "--tolerated",
        type=arguments.share_below_one,
        default=0.001,
        metavar="SHARE",
        help="of rows that may differ in a feature (default: 0.001)",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="exit status 3 where columns could not be compared, too",
    )
    parser.add_argument(
        "--examples",
        action="store_true",
        help="quote a differing pair of each feature with its row's key: values of one person, "
        "perhaps",
    )
    conventions.add_redaction(parser)
    conventions.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Compares the rows; returns 0 without skew, 3 with it, 4 where rows are too few."""
    from tfx_loop.contracts.skew_report import SKEW_REPORT, SkewVerdict
    from tfx_loop.core.errors import check_columns
    from tfx_loop.core.redaction import check_known
    from tfx_loop.monitoring.skew_monitor.files import read_sides
    from tfx_loop.monitoring.skew_monitor.settings import SkewSettings, parse_keys
    from tfx_loop.monitoring.skew_monitor.skew import feature_columns, find_skew

    keys = parse_keys(args.key)
    label = [args.label] if args.label else []
    sides = read_sides(args.training, args.served, keys)
    known = {
        *sides[0].column_names,
        *sides[1].column_names,
        *feature_columns(sides[1].column_names),
    }
    check_columns(args.ignore, known, "to ignore")
    check_columns(label, known, "as the label")
    check_known(args.redact, known)
    report = find_skew(
        *sides,
        keys,
        SkewSettings(
            ignore_features=(*args.ignore, *label),
            tolerated=args.tolerated,
            examples=args.examples,
            **vars(conventions.redaction_of(args)),
        ),
    )
    conventions.answer(args, lambda: SKEW_REPORT.content(report), lambda: parts(report))
    if report.verdict is SkewVerdict.NOT_ENOUGH_DATA:
        return conventions.UNDECIDED
    alarming = {SkewVerdict.SKEWED, *((SkewVerdict.PARTLY_COMPARED,) if args.strict else ())}
    return conventions.ATTENTION if report.verdict in alarming else conventions.SUCCESS


def parts(report: "SkewResult") -> list[str | TextTable]:
    """Returns the report for a terminal: sentences, and the features that differ."""
    lines = [
        f"{report.verdict.value}: {report.explanation}",
        f"{report.rows:,} rows on both sides.",
    ]
    for told, names in (
        ("In training alone", report.absent_in_serving),
        ("In serving alone", report.absent_in_training),
        ("Not compared, of kinds that cannot be", report.not_compared),
        ("Left out as row numbers that pandas wrote", report.row_numbers),
    ):
        lines += [f"{told}: {', '.join(names)}."] if names else []
    if report.repeated_rows:
        again = f"{report.repeated_rows:,} rows were served again"
        lines.append(f"{again}, and compared as the first were.")
    shown_parts: list[str | TextTable] = ["\n".join(lines)]
    if shown := [feature for feature in report.features if feature.differing][:_ROWS_SHOWN]:
        headings: tuple[str, ...] = ("feature", "differ", "such as", "row")
        rows = [(x.feature, f"{x.differing:.2%}", x.example, x.example_row) for x in shown]
        columns = 4 if any(x.example for x in shown) else 2
        shown_parts.append(
            TextTable(
                headings=headings[:columns],
                rows=[row[:columns] for row in rows],
                numbers=("differ",),
            )
        )
    return shown_parts
