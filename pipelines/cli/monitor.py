"""`loop monitor`: how far a file moved away from a reference file, and what in it is broken.

Reads any two Parquet, CSV or TFRecord files, without a pipeline or a model; or what DriftMonitor
counted of several windows, which are judged as one without reading a row again.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfx_loop.monitoring.drift.settings import FEWEST_ROWS, DriftSettings
from tfx_loop.pipelines.cli import conventions
from tfx_loop.presentation import arguments

if TYPE_CHECKING:
    from tfx_loop.monitoring.drift.export import Comparison
    from tfx_loop.monitoring.file_comparison.configuration import Configuration

HELP = "drift and data faults of a file, compared with a reference file"
_DEFAULTS = DriftSettings()
# Arguments that say how rows are read, which counted windows do not have any more.
_OF_FILES = (
    *("by", "every", "schema", "missing_values", "decimal"),
    *("label", "time", "group", "weight", "id", "categorical", "numeric", "text"),
)
_EXIT_CODES = {
    "STABLE": conventions.SUCCESS,
    "DRIFT": conventions.ATTENTION,
    "DATA_FAULT": conventions.ATTENTION,
    "NOT_ENOUGH_DATA": conventions.UNDECIDED,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument(
        "--reference",
        required=True,
        metavar="FILE",
        help="the baseline: a file, a folder, or a query as duckdb:SELECT … or "
        "duckdb:DATABASE::SELECT …",
    )
    parser.add_argument(
        "--current",
        nargs="+",
        default=[],
        metavar="FILE",
        help="what came since, of a SageMaker endpoint sagemaker:PREFIX or "
        "sagemaker:PREFIX::FROM/TO; several are folders of DriftMonitor's reports, judged as one "
        "window against the folder of their ReferenceProfile",
    )
    parser.add_argument("--by", metavar="COLUMN", help="compare by its values, too")
    parser.add_argument(
        "--every",
        type=_every,
        metavar="day|week|N",
        help="cut --current by --time into days, weeks or N rows, and judge each",
    )
    parser.add_argument(
        "--k-of-n",
        type=_k_of_n,
        default=(None, None),
        metavar="K/N",
        help="chunks of the last N in which a feature must differ to have drifted (default: 1/1)",
    )
    parser.add_argument(
        "--config", metavar="FILE", help="TOML with what the flags here say, and what columns are"
    )
    parser.add_argument(
        "--write-config",
        type=conventions.file_to_write,
        metavar="FILE",
        help="write such a file, with what was guessed of the reference's columns; needs no "
        "--current",
    )
    parser.add_argument(
        "--force", action="store_true", help="--write-config replaces a file that is there"
    )
    conventions.add_ignore(parser)
    conventions.add_redaction(parser)
    conventions.add_json(parser)
    conventions.add_page(parser)
    parser.add_argument(
        "--prometheus",
        type=conventions.file_to_write,
        metavar="FILE",
        help="write the numbers as Prometheus gauges, too",
    )
    parser.add_argument("--schema", metavar="FILE", help="TFDV's schema.pbtxt, checked as well")
    conventions.add_roles(parser)
    _add_settings(parser)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """Declares when something has drifted and how files are read; None is what --config says."""
    parser.add_argument(
        "--multivariate",
        action="store_true",
        default=None,
        help="test all numbers together, too (seconds)",
    )
    parser.add_argument(
        "--min-rows",
        type=arguments.whole_at_least(FEWEST_ROWS),
        metavar="N",
        help=f"rows it takes to judge (default: {_DEFAULTS.min_rows})",
    )
    parser.add_argument(
        "--q",
        type=arguments.between_zero_and_one,
        metavar="RATE",
        help=f"of false alarms (default: {_DEFAULTS.q})",
    )
    parser.add_argument(
        "--psi-floor",
        type=arguments.at_least_zero,
        metavar="PSI",
        help="differences that are at most as large for sure do not matter "
        f"(default: {_DEFAULTS.psi_floor})",
    )
    parser.add_argument(
        "--missing-values",
        action="append",
        metavar="TEXT",
        help="stands for a missing value, as ?, None and the like do; repeatable",
    )
    parser.add_argument(
        "--decimal",
        choices=(".", ","),
        metavar="MARK",
        help="mark of numbers that are written as text, a point or a comma; told from them unless "
        "given",
    )
    conventions.add_seed(parser, "draws the samples", default=None)


def _k_of_n(text: str) -> tuple[int, int]:
    needed, sign, looked_at = text.partition("/")
    if not (sign and needed.isdigit() and looked_at.isdigit()):
        raise argparse.ArgumentTypeError(f"expected two whole numbers such as 2/3, received {text}")
    if not 1 <= int(needed) <= int(looked_at):
        raise argparse.ArgumentTypeError(f"expected K from 1 to N, as in 2/3, received {text}")
    return int(needed), int(looked_at)


def _every(text: str) -> str:
    from tfx_loop.core.errors import ConfigError
    from tfx_loop.monitoring.file_comparison.chunks import check_every

    try:
        check_every(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(
            f"expected day, week or a number of rows such as 5000, received {text!r}"
        ) from error
    return text


def _check_usage(args: argparse.Namespace, configuration: "Configuration") -> None:
    """Ends the command as wrongly called where arguments do not go together."""
    if not args.current and not args.write_config:
        args.command.error("expected --current, or --write-config without it, received neither")
    # Counted windows are a sequence by themselves; one file is, once it is cut.
    if args.k_of_n != (None, None) and len(args.current) < 2 and not configuration.options.every:
        args.command.error("argument --k-of-n: expected --every, too: it cuts into the chunks")
    if args.write_config and Path(args.write_config).exists() and not args.force:
        args.command.error(
            f"argument --write-config: expected a new file, received {args.write_config}, which "
            "is there: remove it, or add --force"
        )


def run(args: argparse.Namespace) -> int:
    """Compares the files; returns 0 where they are alike, 3 with an alarm, 4 with too few rows."""
    from tfx_loop.data.tables.sql import is_query
    from tfx_loop.monitoring.profile.profile_files import is_reference

    configuration = _configuration(args)
    _check_usage(args, configuration)
    if args.write_config:
        _write_configuration(args, configuration)
        if not args.current:
            return conventions.SUCCESS
    if not is_query(args.reference) and is_reference(args.reference):
        comparison, title = _of_windows(args, configuration)
    else:
        comparison, title = _of_files(args, configuration)
    return _answer(args, comparison, title)


def _configuration(args: argparse.Namespace) -> "Configuration":
    """What --config says, and the flags, which go before it."""
    from tfx_loop.monitoring.file_comparison.configuration import (
        Configuration,
        overridden,
        read_configuration,
    )

    base = read_configuration(args.config) if args.config else Configuration()
    given = {**vars(args), "missing_values": args.missing_values and tuple(args.missing_values)}
    given["windows_needed"], given["windows_looked_at"] = args.k_of_n
    return overridden(base, given, conventions.roles_of(args), args.ignore)


def _write_configuration(args: argparse.Namespace, configuration: "Configuration") -> None:
    from tfx_loop.data.tables.in_memory import as_table
    from tfx_loop.monitoring.file_comparison.compare_files import planned
    from tfx_loop.monitoring.file_comparison.configuration import to_toml

    table = as_table(args.reference, args.reference)
    _, plan = planned(table, configuration.settings, configuration.options)
    redaction = conventions.redaction_of(args).redaction()
    text = to_toml(plan, configuration, _name(args.reference), redaction)
    conventions.write_file(args.write_config, text, "--write-config")
    if not args.current:
        told = {"config": args.write_config, "columns": len(table.schema.names)}
        line = f"{args.write_config}: what {len(table.schema.names)} columns were taken for."
        conventions.answer(args, lambda: told, lambda: [line])


def _of_windows(
    args: argparse.Namespace, configuration: "Configuration"
) -> tuple["Comparison", str]:
    from tfx_loop.core.errors import ConfigError
    from tfx_loop.monitoring.drift.several_windows import compare_windows

    if given := [name for name in _OF_FILES if getattr(args, name)]:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ConfigError(f"Expected files for {flags}, received counted windows.")
    multivariate = configuration.options.multivariate
    comparison = compare_windows(
        args.reference,
        args.current,
        configuration.settings,
        multivariate,
        conventions.redaction_of(args).redaction(),
    )
    return comparison, comparison.report.window


def _of_files(args: argparse.Namespace, configuration: "Configuration") -> tuple["Comparison", str]:
    from tfx_loop.core.errors import ConfigError
    from tfx_loop.monitoring.file_comparison.compare_files import compare_paths

    if len(args.current) > 1:
        raise ConfigError(
            f"Expected one --current file, received {len(args.current)}. Several can only be "
            "folders of DriftMonitor's reports, with a ReferenceProfile's as --reference."
        )
    comparison = compare_paths(
        args.reference,
        _current(args.current[0]),
        configuration.settings,
        configuration.options,
        args.schema or "",
        conventions.redaction_of(args).redaction(),
    )
    return comparison, f"{_name(args.current[0])} against {_name(args.reference)}"


def _current(path: str) -> Any:
    """Returns the rows that SageMaker captured, or the path of anything else."""
    from tfx_loop.contracts.capture_source import CAPTURES_SCHEME

    if not path.startswith(CAPTURES_SCHEME):
        return path
    from tfx_loop.data.prediction_log.importers.captured_table import captured_features

    rows, rejected = captured_features(path)
    if rejected:
        told = ", ".join(f"{reason} {number:,}" for reason, number in rejected.items())
        print(f"captured lines that are no rows: {told}", file=sys.stderr)
    return rows


def _name(path: str) -> str:
    from tfx_loop.data.tables.sql import is_query

    return path if is_query(path) else Path(path).name


def _answer(args: argparse.Namespace, comparison: "Comparison", title: str) -> int:
    from tfx_loop.monitoring.drift.export import to_json
    from tfx_loop.monitoring.file_comparison.terminal import parts

    report = comparison.report
    if args.page:
        from tfx_loop.monitoring.drift.export import page_of

        conventions.write_file(args.page, page_of(comparison, title), "--page")
    if args.prometheus:
        from tfx_loop.monitoring.drift.export import prometheus_of

        conventions.write_file(args.prometheus, prometheus_of(comparison), "--prometheus")
    conventions.answer(args, lambda: to_json(comparison), lambda: parts(comparison))
    return _EXIT_CODES[report.verdict.value]
