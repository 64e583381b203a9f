"""`loop monitor`: did a file move away from a reference file, or is it broken?

Reads any two Parquet, CSV or TFRecord files, without a pipeline or a model; or what DriftMonitor
counted of several windows, which are judged as one without reading a row again.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

HELP = "did a file move away from a reference file, or is it broken?"
ALARM = 3
_ROWS_SHOWN = 15
_ADVICE = {
    "STABLE": "Nothing to do.",
    "DRIFT": "Look whether the model still holds for what moved; `--ignore` what moves by nature.",
    "DATA_FAULT": "Mend the data before anybody retrains on it; `--ignore` what is meant to be so.",
    "NOT_ENOUGH_DATA": "Wait for more rows, or lower --min-rows.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("--reference", required=True, metavar="FILE", help="what is usual")
    parser.add_argument(
        "--current",
        required=True,
        nargs="+",
        metavar="FILE",
        help="what came since; several are folders of DriftMonitor's reports, judged as one window "
        "against the folder of their ReferenceProfile",
    )
    parser.add_argument("--by", default="", metavar="COLUMN", help="compare by its values, too")
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="COLUMN", help="leave it out; repeatable"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--page", metavar="FILE", help="write the report as an HTML page, too")
    parser.add_argument(
        "--prometheus", metavar="FILE", help="write the numbers as Prometheus gauges, too"
    )
    parser.add_argument("--schema", metavar="FILE", help="TFDV's schema.pbtxt, checked as well")
    parser.add_argument(
        "--multivariate", action="store_true", help="test all numbers together, too (seconds)"
    )
    parser.add_argument("--min-rows", type=int, default=100, help="default: 100")
    parser.add_argument("--q", type=float, default=0.025, help="rate of false alarms (0.025)")
    parser.add_argument(
        "--psi-floor", type=float, default=0.02, help="smaller differences do not matter (0.02)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the samples (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Compares the files; returns 0 without an alarm and 3 with one."""
    from tfx_loop.core.errors import ConfigError
    from tfx_loop.core.storage import write_bytes
    from tfx_loop.monitoring.drift.export import page_of, prometheus_of, to_json
    from tfx_loop.monitoring.drift.settings import DriftSettings
    from tfx_loop.monitoring.drift.several_windows import compare_windows, is_profile
    from tfx_loop.monitoring.file_comparison.files import compare_paths

    settings = DriftSettings(
        q=args.q,
        psi_floor=args.psi_floor,
        min_rows=args.min_rows,
        ignore_features=tuple(args.ignore),
    )
    if is_profile(args.reference):
        if args.by or args.schema:
            raise ConfigError("Expected files for --by and --schema, received counted windows.")
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
        )
        title = f"{Path(args.current[0]).name} against {Path(args.reference).name}"
    content = to_json(comparison)
    if args.page:
        write_bytes(args.page, page_of(comparison, title).encode())
    if args.prometheus:
        write_bytes(args.prometheus, prometheus_of(comparison).encode())
    if args.json:
        json.dump(content, sys.stdout, indent=2, allow_nan=False)
        print()
    else:
        print(as_text(content))
    return ALARM if content["verdict"] in ("DRIFT", "DATA_FAULT") else 0


def as_text(content: dict[str, Any]) -> str:
    """Returns the report for a terminal: a sentence, a ranked table, what to do."""
    rows = content["rows"]
    lines = [
        f"{content['verdict']}: {content['explanation']}",
        f"{rows['current']:,} rows against {rows['reference']:,} of the reference.",
        "",
    ]
    entries = content["features"] + [entry for entry in content["slices"] if entry["drifted"]]
    lines += _table(entries)
    return "\n".join([*lines, "", _ADVICE[content["verdict"]]])


def _table(entries: list[dict[str, Any]]) -> list[str]:
    heads = ("feature", "type", "PSI", "KS", "q", "missing", "")
    shown = [_cells(entry) for entry in entries[:_ROWS_SHOWN]]
    widths = [max(len(row[i]) for row in [heads, *shown]) for i in range(len(heads))]
    lines = [_line(row, widths) for row in [heads, *shown]]
    if (more := len(entries) - len(shown)) > 0:
        lines.append(f"… and {more} more; --json has all.")
    return lines


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    padded = [
        cell.ljust(width) if place in (0, 1, 6) else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()


def _cells(entry: dict[str, Any]) -> tuple[str, ...]:
    name = f"{entry['feature']} [{entry['slice']}]" if entry["slice"] else entry["feature"]
    said = ""
    if entry["fault"]:
        said = f"FAULT {entry['fault']}"
    elif entry["drifted"]:
        said = "DRIFT"
    elif entry["held_by"]:
        said = f"moved, held by {entry['held_by']}"
    elif entry["p_value"] is None:
        said = "not tested"
    if entry["note"]:
        said += f": {entry['note']}"
    return (
        name,
        entry["type"],
        _number(entry["psi"], ".3f"),
        _number(entry["ks"], ".3f"),
        _number(entry["q_value"], ".1e"),
        _number(entry["missing_share"], ".1%"),
        said,
    )


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
