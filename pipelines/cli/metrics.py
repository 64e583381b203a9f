"""`loop metrics`: the numbers of reports as metrics of CloudWatch."""

import argparse
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from tfx_loop.core.errors import DataError
from tfx_loop.pipelines.cli import conventions

if TYPE_CHECKING:
    from tfx_loop.monitoring.drift.telemetry import Gauge

HELP = "send the numbers of drift and quality reports to CloudWatch"
_NAMESPACE = "tfx-loop"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument(
        "reports",
        nargs="+",
        metavar="REPORT",
        help="folder of a DriftMonitor's or QualityMonitor's artifact",
    )
    parser.add_argument("--region", required=True, help="of CloudWatch, such as eu-west-1")
    parser.add_argument(
        "--namespace", default=_NAMESPACE, help=f"of the metrics (default: {_NAMESPACE})"
    )
    parser.add_argument(
        "--model", default="", metavar="NAME", help="whose quality it is; drift reports say it"
    )
    parser.add_argument(
        "--dimension",
        action="append",
        default=[],
        type=_dimension,
        metavar="NAME=VALUE",
        help="of every metric, such as EndpointName=taxi; repeatable",
    )
    conventions.add_json(parser)


def _dimension(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (sign and name and value):
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, received {text!r}")
    return name, value


def run(args: argparse.Namespace) -> int:
    """Sends them; raises DataError for a folder without a report, ServingError for a refusal."""
    from tfx_loop.deployment.sagemaker_pusher.client import CLOUDWATCH, Aws
    from tfx_loop.monitoring.drift.cloudwatch import metric_data

    found = [gauge for report in args.reports for gauge in _gauges(report, args.model)]
    now = datetime.now(timezone.utc)
    aws, sent = Aws(args.region), 0
    for batch in metric_data(found, now, dict(args.dimension)):
        aws.call(CLOUDWATCH, "put_metric_data", Namespace=args.namespace, MetricData=batch)
        sent += len(batch)
    told = {"namespace": args.namespace, "region": args.region, "metrics": sent}
    line = f"{sent:,} metrics sent to {args.namespace} in {args.region}"
    conventions.answer(args, lambda: told, lambda: [line])
    return conventions.SUCCESS


def _gauges(folder: str, model_name: str) -> Iterator["Gauge"]:
    from tfx_loop.contracts.drift_report import DRIFT_REPORT
    from tfx_loop.contracts.quality_report import QUALITY_REPORT
    from tfx_loop.monitoring.drift.quality_telemetry import quality_gauges
    from tfx_loop.monitoring.drift.telemetry import gauges

    place = Path(folder)
    drift = (place / DRIFT_REPORT.name).is_file()
    quality = (place / QUALITY_REPORT.name).is_file()
    if not drift and not quality:
        raise DataError(
            f"Expected {DRIFT_REPORT.name} or {QUALITY_REPORT.name} in {folder}, found neither. "
            "Name the folder of a DriftMonitor's or QualityMonitor's artifact."
        )
    if drift:
        yield from gauges(DRIFT_REPORT.read(folder))
    if quality:
        yield from quality_gauges(QUALITY_REPORT.read(folder), model_name)
