"""`loop monitor`: how far a file moved away from a reference file, and what in it is broken.

Reads any two Parquet, CSV or TFRecord files, without a pipeline or a model; or what DriftMonitor
counted of several windows, which are judged as one without reading a row again.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tfx_loop.pipelines.cli import conventions
from tfx_loop.presentation import arguments
from tfx_loop.presentation.terminal import TextTable

if TYPE_CHECKING:
    from tfx_loop.contracts.drift_report import DriftResult, FeatureDrift

HELP = "did a file move away from a reference file, or is it broken?"
# As many as stand on one screen, the most drifted first.
_ROWS_SHOWN = 15
# As DriftSettings has it, whose module takes a second to import.
_FEWEST_ROWS = 50
# Arguments that say how rows are read, which counted windows do not have any more.
_OF_FILES = ("by", "schema", "missing_values", "decimal", "label", "numeric")
_HEADINGS = ("feature", "type", "PSI", "KS", "q", "missing", "")
_ADVICE = {
    "STABLE": "Nothing to do.",
    "DRIFT": "Look whether the model still holds for what moved; `--ignore` what moves by nature.",
    "DATA_FAULT": "Fix the data before anybody retrains on it; `--ignore` what is meant to be so.",
    "NOT_ENOUGH_DATA": "Wait for more rows, or lower --min-rows.",
}
_NOTHING_LEFT = "Leave fewer columns out, or name those that do hold numbers with --numeric COLUMN."
_DECIMAL_COMMAS = "Columns of numbers came with decimal commas: read them with `--decimal ,`."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("--reference", required=True, metavar="FILE", help="the baseline")
    parser.add_argument(
        "--current",
        required=True,
        nargs="+",
        metavar="FILE",
        help="what came since; several are folders of DriftMonitor's reports, judged as one window "
        "against the folder of their ReferenceProfile",
    )
    parser.add_argument("--by", default="", metavar="COLUMN", help="compare by its values, too")
    conventions.add_ignore(parser)
    conventions.add_json(parser)
    conventions.add_page(parser)
    parser.add_argument(
        "--prometheus",
        type=conventions.file_to_write,
        metavar="FILE",
        help="write the numbers as Prometheus gauges, too",
    )
    parser.add_argument("--schema", metavar="FILE", help="TFDV's schema.pbtxt, checked as well")
    parser.add_argument(
        "--multivariate", action="store_true", help="test all numbers together, too (seconds)"
    )
    parser.add_argument(
        "--min-rows",
        type=arguments.whole_at_least(_FEWEST_ROWS),
        default=100,
        metavar="N",
        help="rows it takes to judge (default: 100)",
    )
    parser.add_argument(
        "--q",
        type=arguments.between_zero_and_one,
        default=0.025,
        metavar="RATE",
        help="of false alarms (default: 0.025)",
    )
    parser.add_argument(
        "--psi-floor",
        type=arguments.at_least_zero,
        default=0.02,
        metavar="PSI",
        help="smaller differences do not matter (default: 0.02)",
    )
    parser.add_argument(
        "--missing-values",
        action="append",
        default=[],
        metavar="TEXT",
        help="stands for a missing value, as ?, None and the like do; repeatable",
    )
    parser.add_argument(
        "--decimal",
        default="",
        choices=(".", ","),
        help="mark of numbers that are written as text; told from them unless given",
    )
    parser.add_argument(
        "--numeric",
        action="append",
        default=[],
        metavar="COLUMN",
        help="holds numbers to test, though it reads as times or keys; repeatable",
    )
    parser.add_argument(
        "--label",
        default="",
        metavar="COLUMN",
        help="comes later than the rest: no fault while it lacks",
    )
    conventions.add_seed(parser, "draws the samples")


def run(args: argparse.Namespace) -> int:
    """Compares the files; returns 0 without an alarm and 3 with one."""
    from tfx_loop.core.errors import ConfigError
    from tfx_loop.monitoring.drift.export import page_of, prometheus_of, to_json
    from tfx_loop.monitoring.drift.settings import DriftSettings
    from tfx_loop.monitoring.drift.several_windows import compare_windows
    from tfx_loop.monitoring.file_comparison.files import compare_paths
    from tfx_loop.monitoring.profile.profile_files import is_reference

    settings = DriftSettings(
        q=args.q,
        psi_floor=args.psi_floor,
        min_rows=args.min_rows,
        ignore_features=tuple(args.ignore),
    )
    if is_reference(args.reference):
        if given := [name for name in _OF_FILES if getattr(args, name)]:
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise ConfigError(f"Expected files for {flags}, received counted windows.")
        comparison = compare_windows(args.reference, args.current, settings, args.multivariate)
        title = comparison.report.window
    else:
        if len(args.current) > 1:
            raise ConfigError(
                f"Expected one --current file, received {len(args.current)}. Several can only be "
                "folders of DriftMonitor's reports, with a ReferenceProfile's as --reference."
            )
        comparison = compare_paths(
            args.reference,
            args.current[0],
            settings,
            schema=args.schema or "",
            by=args.by,
            multivariate=args.multivariate,
            seed=args.seed,
            missing_values=args.missing_values,
            decimal=args.decimal,
            label=args.label,
            numeric=args.numeric,
        )
        title = f"{Path(args.current[0]).name} against {Path(args.reference).name}"
    report = comparison.report
    if args.page:
        conventions.write_file(args.page, page_of(comparison, title), "--page")
    if args.prometheus:
        conventions.write_file(args.prometheus, prometheus_of(comparison), "--prometheus")
    conventions.answer(args, lambda: to_json(comparison), lambda: parts(report))
    alarm = report.verdict.value in ("DRIFT", "DATA_FAULT")
    return conventions.ATTENTION if alarm else conventions.SUCCESS


def parts(report: "DriftResult") -> list[str | TextTable]:
    """Returns the report for a terminal: a sentence, a ranked table, what to do."""
    rows = report.rows
    entries = [entry for entry in report.features if not entry.slice]
    entries += [entry for entry in report.features if entry.slice and entry.drifted]
    more = len(entries) - _ROWS_SHOWN
    return [
        f"{report.verdict.value}: {report.explanation}\n"
        f"{rows.current:,} row{'s' if rows.current != 1 else ''} against {rows.reference:,} of the "
        "reference.",
        TextTable(
            headings=_HEADINGS,
            rows=[_cells(entry) for entry in entries[:_ROWS_SHOWN]],
            numbers=_HEADINGS[2:6],
            below=f"… and {more} more; --json has all." if more > 0 else "",
        ),
        _advice(report),
    ]


def _advice(report: "DriftResult") -> str:
    """What to do, by the verdict or, where that says more, by what brought it about."""
    from tfx_loop.contracts.drift_report import NO_FEATURES
    from tfx_loop.monitoring.file_comparison.notes import DECIMAL_COMMAS

    if report.reason == NO_FEATURES:
        return _NOTHING_LEFT
    advice = _ADVICE[report.verdict.value]
    if any(entry.fault and DECIMAL_COMMAS in entry.note for entry in report.features):
        return f"{_DECIMAL_COMMAS} {advice}"
    return advice


def _cells(entry: "FeatureDrift") -> tuple[str, ...]:
    name = f"{entry.feature} [{entry.slice}]" if entry.slice else entry.feature
    said = ""
    if entry.fault:
        said = f"FAULT {entry.fault}"
    elif entry.drifted:
        said = "DRIFT"
    elif entry.held_by:
        said = f"moved, held by {entry.held_by}"
    elif entry.p_value is None:
        said = "not tested"
    if entry.note:
        said += f": {entry.note}"
    return (
        name,
        entry.type,
        _number(entry.psi, ".3f"),
        _number(entry.ks, ".3f"),
        _number(entry.q_value, ".1e"),
        _number(entry.missing_share, ".1%"),
        said,
    )


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
