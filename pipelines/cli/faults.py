"""`loop faults`: whether a model is over-fitted or under-fitted, or its data leak.

The model's losses by row are compared with those of a cheap honest reference on the same rows.
Columns that the model does not take are not judged. Exit status: 0 for SOUND and WARN, 3 where a
finding would stop a push, 4 where there are too few rows to say.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tfx_loop.pipelines.cli import conventions
from tfx_loop.pipelines.cli.answered_rows import AnsweredRows, answered_rows
from tfx_loop.presentation import arguments
from tfx_loop.presentation.terminal import TextTable

if TYPE_CHECKING:
    from tfx_loop.models.predictor import Predictor
    from tfx_loop.monitoring.fault_detector.rows import SplitRows
    from tfx_loop.monitoring.fault_detector.settings import ColumnSettings

HELP = "over-fitting and under-fitting of a model, and leakage in its data"
# As DetectionSettings has them, whose module takes a second to import.
_TOLERANCE, _MOST_ROWS = 0.05, 20_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="a SavedModel, .keras, .h5 or .tflite"
    )
    parser.add_argument("--train", metavar="FILE", help="rows that it was trained on")
    parser.add_argument("--eval", metavar="FILE", help="rows that it was not trained on")
    parser.add_argument(
        "--data",
        metavar="FILE",
        help="in place of both: rows that it was not trained on; copies, groups and the kind of a "
        "bad fit can't be told then",
    )
    parser.add_argument(
        "--label", required=True, metavar="COLUMN", help="numbers, or classes from 0"
    )
    parser.add_argument(
        "--group", default="", metavar="COLUMN", help="what a row belongs to; in one file alone"
    )
    parser.add_argument(
        "--time", default="", metavar="COLUMN", help="held-out rows must be later than trained ones"
    )
    parser.add_argument(
        "--feature-time",
        action="append",
        default=[],
        metavar="FEATURE=COLUMN",
        help="when a feature's value was known; it must not be after --time; repeatable",
    )
    parser.add_argument(
        "--label-time",
        default="",
        metavar="COLUMN",
        help="when the label was known; it must not be before --time",
    )
    parser.add_argument(
        "--logs", default="", metavar="FOLDER", help="TensorBoard's event files of the training"
    )
    conventions.add_ignore(parser)
    parser.add_argument("--output", default="", metavar="NAME", help="of a model with several")
    parser.add_argument(
        "--signature", metavar="NAME", help="of a SavedModel (default: the one that takes numbers)"
    )
    parser.add_argument(
        "--tolerance",
        type=arguments.number,
        default=_TOLERANCE,
        metavar="SHARE",
        help=f"of what there is to learn that may be lost (default: {_TOLERANCE})",
    )
    parser.add_argument(
        "--acknowledge",
        action="append",
        default=[],
        metavar="FINDING=WHY",
        help="accept a finding, such as 'feature_tells_label:fare=known before, Ann'; repeatable",
    )
    parser.add_argument(
        "--max-rows",
        type=arguments.whole_at_least(1),
        default=_MOST_ROWS,
        metavar="N",
        help=f"of each side, drawn by chance (default: {_MOST_ROWS})",
    )
    conventions.add_seed(parser, "draws rows and folds")
    conventions.add_allow(parser)
    conventions.add_json(parser)
    conventions.add_page(parser)


def run(args: argparse.Namespace) -> int:
    """Looks for faults; returns 0, 3 where a push would stop, or 4 with too few rows."""
    conventions.quiet_libraries()
    from tfx_loop.contracts.fault_report import FAULT_REPORT
    from tfx_loop.models.guard import guard
    from tfx_loop.models.predictor import open_predictor
    from tfx_loop.monitoring.fault_detector import page
    from tfx_loop.monitoring.fault_detector.detection import detect_faults
    from tfx_loop.monitoring.fault_detector.learning_curve import read_curve
    from tfx_loop.monitoring.fault_detector.rows import TrainingContext, no_rows
    from tfx_loop.monitoring.fault_detector.rows_from_columns import check_named
    from tfx_loop.monitoring.fault_detector.settings import ColumnSettings, DetectionSettings

    train, held_out = _files(args)
    columns = ColumnSettings(
        label_key=args.label,
        group_column=args.group,
        time_column=args.time,
        ignore_features=tuple(args.ignore),
        feature_times=dict(_pair(text, "--feature-time", "COLUMN") for text in args.feature_time),
        label_time_column=args.label_time,
    )
    columns.check_times()
    for path in filter(None, (train, held_out)):
        check_named(path, columns)
    _check_ignored(args.ignore, [path for path in (train, held_out) if path])
    settings = DetectionSettings(
        tolerance=args.tolerance,
        acknowledged=dict(_pair(text, "--acknowledge", "WHY") for text in args.acknowledge),
        max_rows=args.max_rows,
        seed=args.seed,
    )
    with guard.exceptions(args.allow):
        predictor = open_predictor(args.model, signature=args.signature)
        answered = _answered(predictor, [p for p in (held_out, train) if p], columns, args)
        others = _rows(answered[0], columns)
        members = _rows(answered[1], columns) if train else no_rows(others)
    context = TrainingContext(curve=read_curve(args.logs))
    report = detect_faults(members, others, settings, context)
    if args.page:
        conventions.write_file(args.page, page.render(report), "--page")
    conventions.answer(
        args,
        lambda: FAULT_REPORT.content(report),
        lambda: [
            f"{report.verdict.value} ({page.headline(report)}): {report.explanation}",
            TextTable(
                headings=page.LOSS_HEADINGS,
                rows=page.loss_rows(report),
                numbers=page.LOSS_HEADINGS[1:],
            ),
            *page.curve_lines(report),
            *page.other_findings(report),
            *(f"Not tested: {said}." for said in report.untested),
        ],
    )
    codes = {"SOUND": conventions.SUCCESS, "WARN": conventions.SUCCESS}
    codes |= {"BLOCK": conventions.ATTENTION}
    return codes.get(report.verdict.value, conventions.UNDECIDED)


def _files(args: argparse.Namespace) -> tuple[str, str]:
    """Returns the file of training rows, or none, and that of held-out rows."""
    from tfx_loop.core.errors import ConfigError

    if args.data and not (args.train or args.eval):
        return "", args.data
    if args.eval and args.train and not args.data:
        return args.train, args.eval
    raise ConfigError(
        "Expected --train FILE and --eval FILE, or --data FILE alone, received "
        f"{', '.join(f'--{n}' for n in ('train', 'eval', 'data') if getattr(args, n)) or 'none'}."
    )


def _pair(text: str, flag: str, second: str) -> tuple[str, str]:
    from tfx_loop.core.errors import ConfigError

    name, found, rest = text.partition("=")
    if not found:
        first = "FINDING" if second == "WHY" else "FEATURE"
        why = " Say who accepts it and why." if second == "WHY" else " Name a column of times."
        raise ConfigError(f"Expected {first}={second} as {flag}, received {text!r}.{why}")
    return name.strip(), rest.strip()


def _answered(
    predictor: "Predictor",
    files: Sequence[str],
    settings: "ColumnSettings",
    args: argparse.Namespace,
) -> "list[AnsweredRows]":
    """Asks the model about the rows of each file.

    Raises:
        DataError: A matrix of the columns has them in another order in each file: the model would
            take one of the files for something else.
    """
    from tfx_loop.core.errors import DataError
    from tfx_loop.core.texts import listed

    extra = list(dict.fromkeys(settings.named.values()))
    found = [answered_rows(predictor, path, args, extra, args.ignore) for path in files]
    orders = {path: rows.rows.stacked for path, rows in zip(files, found, strict=True)}
    if len({*orders.values()}) > 1:
        told = "; ".join(f"{path}: {listed(order)}" for path, order in orders.items())
        raise DataError(
            "Expected the same columns in the same order in both files, as the model takes them as "
            f"one matrix, received {told}. Write both in the order of the training."
        )
    return found


def _rows(found: "AnsweredRows", settings: "ColumnSettings") -> "SplitRows":
    """Returns the rows of a file with what the model answered."""
    from tfx_loop.monitoring.fault_detector.rows_from_columns import split_rows

    features = found.features()
    columns = {**features, **found.rows.slices, settings.label_key: found.rows.labels}
    rows = split_rows(columns, found.answers, settings, features, found.drawn, found.others)
    return replace(rows, unlabelled=rows.unlabelled + found.unlabelled)


def _check_ignored(ignored: Sequence[str], files: Sequence[str]) -> None:
    """Checks that each ignored column stands in a file: a misspelt one would change nothing."""
    from tfx_loop.core.errors import ConfigError, did_you_mean
    from tfx_loop.core.texts import listed
    from tfx_loop.data.tables.table_file import open_table

    known = [name for path in files for name in open_table(path).schema.names]
    for name in ignored:
        if name not in known:
            raise ConfigError(
                f"Expected columns of {listed(files)} as --ignore, received {name!r}."
                f"{did_you_mean(name, known)}"
            )
