"""`loop skew`: did the server see what training saw, for the same rows?

Drift compares other rows and needs a test. This compares the same rows, found by their keys: what
differs beyond rounding is a fault in one of two feature pipelines. Exit status: 3 for any.
"""

import argparse
import dataclasses
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from components.drift_monitor.skew import SkewReport

HELP = "did the server see what training saw, for the same rows?"
ALARM = 3
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
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="COLUMN", help="may differ; repeatable"
    )
    parser.add_argument(
        "--tolerated",
        type=float,
        default=0.001,
        metavar="SHARE",
        help="of rows that may differ in a feature (default: 0.001)",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Compares the rows; returns 0 without skew and 3 with it."""
    from components.drift_monitor.skew import SkewVerdict, find_skew

    keys = dict(_pair(key) for key in args.key)
    served = _served(args.served, list(keys.values()))
    report = find_skew(
        _frame(args.training),
        served.rename(columns={theirs: ours for ours, theirs in keys.items()}),
        list(keys),
        ignore=args.ignore,
        tolerated=args.tolerated,
    )
    if args.json:
        content: dict[str, Any] = dataclasses.asdict(report)
        print(json.dumps({**content, "verdict": report.verdict.value}, indent=2))
    else:
        print(as_text(report))
    return ALARM if report.verdict is SkewVerdict.SKEWED else 0


def _pair(key: str) -> tuple[str, str]:
    training, _, served = key.partition("=")
    return training, served or training


def _frame(path: str) -> "pd.DataFrame":
    from components.tables.table_file import open_table

    return open_table(path).read().to_pandas()


def _served(path: str, keys: list[str]) -> "pd.DataFrame":
    """Returns the rows of a file; of a prediction log the features and what names a row."""
    from components.prediction_log.record import FEATURE_PREFIX

    frame = _frame(path)
    logged = [name for name in frame.columns if name.startswith(FEATURE_PREFIX)]
    if not logged:
        return frame
    kept = frame[[*(key for key in keys if key in frame), *logged]]
    return kept.rename(columns=lambda name: name.removeprefix(FEATURE_PREFIX))


def as_text(report: "SkewReport") -> str:
    """Returns the report for a terminal."""
    lines = [f"{report.verdict.value}: {report.reason}, {report.rows:,} rows on both sides."]
    if report.absent:
        lines.append(f"On one side alone: {', '.join(report.absent)}.")
    shown = [feature for feature in report.features if feature.differing][:_ROWS_SHOWN]
    width = max((len(feature.feature) for feature in shown), default=0)
    lines += [
        f"{feature.feature:<{width}}  {feature.differing:7.2%} differ, such as {feature.example}"
        for feature in shown
    ]
    return "\n".join(lines)
