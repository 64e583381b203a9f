"""`loop log`: the prediction log as files."""

import argparse
import logging
from dataclasses import asdict
from pathlib import Path

from tfx_loop.core.errors import DataError
from tfx_loop.pipelines.cli import conventions
from tfx_loop.presentation import arguments

HELP = "compact the prediction log to Parquet, or import other servers' logs into it"
_COMPACT, _IMPORT = "compact", "import"
_KINDS = ("tf-serving", "kserve", "sagemaker", "gateway")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("action", choices=(_COMPACT, _IMPORT), help="what to do")
    parser.add_argument("log", metavar="DIR", help="folder that the servers log to")
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="what is imported; patterns are allowed, and of captures a folder or "
        "s3://BUCKET/PREFIX/ENDPOINT",
    )
    parser.add_argument(
        "--model",
        action="append",
        metavar="NAME",
        help="compact this model alone, repeatable; the name that imported rows get",
    )
    parser.add_argument(
        "--kind",
        choices=_KINDS,
        help="of the files: PredictionLog TFRecords of TF Serving or BulkInferrer, CloudEvents of "
        "KServe, DataCapture of SageMaker, *.calls of loop-gateway",
    )
    parser.add_argument(
        "--time",
        type=_milliseconds,
        metavar="ISO",
        help="of imported calls whose log has none, such as 2026-11-30",
    )
    parser.add_argument(
        "--features",
        default="",
        metavar="A,B",
        help="names of imported columns that have none: those of CSV, of plain lists, and of the "
        "one matrix that a model takes; a record of another width is rejected",
    )
    _add_captures(parser)
    parser.add_argument(
        "--keep-days",
        type=arguments.whole_at_least_zero,
        default=0,
        metavar="N",
        help="remove days of events before the last N, today's included (default: 0, keep all)",
    )
    parser.add_argument(
        "--key", default="", metavar="FILE", help="file of keys that the log is encrypted with"
    )
    conventions.add_json(parser)


def _add_captures(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--outputs",
        default="",
        metavar="A,B",
        help="names of the columns that captured answers, and answers of REST, have without one",
    )
    parser.add_argument(
        "--names-of",
        default="",
        metavar="MODEL",
        help="SavedModel whose signature names captured columns where --features and --outputs do "
        "not, inputs in alphabetical order",
    )
    parser.add_argument(
        "--variant",
        action="append",
        default=[],
        metavar="NAME",
        help="captured variant, or pattern, whose answers clients got; others count as shadows; "
        "repeatable, and needed where there are several",
    )
    parser.add_argument(
        "--sampling",
        type=float,
        default=100.0,
        metavar="PERCENT",
        help="share of the requests that was captured (default: 100)",
    )


def _milliseconds(text: str) -> int:
    from tfx_loop.data.prediction_log.importers.calls import milliseconds

    try:
        return milliseconds(text)
    except DataError as error:
        raise argparse.ArgumentTypeError(
            f"expected a time in ISO 8601, such as 2026-11-30T12:00:00Z, received {text!r}"
        ) from error


def run(args: argparse.Namespace) -> int:
    """Compacts or imports; raises DataError where there is no log, or nothing to import."""
    return _import(args) if args.action == _IMPORT else _compact(args)


def _import(args: argparse.Namespace) -> int:
    # Before Beam is imported: Google's packages warn of each other then.
    conventions.quiet_libraries()
    # Beam logs the traceback of an error that it raises as well, which is told in one line.
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    from tfx_loop.contracts.capture_source import CaptureSource
    from tfx_loop.data.prediction_log.importers.beam_import import import_log
    from tfx_loop.data.prediction_log.importers.calls import REASONS
    from tfx_loop.data.prediction_log.importers.import_order import ImportOrder

    if args.kind is None or not args.files or len(args.model or ()) != 1:
        args.command.error(
            "expected what is imported, received too little: loop log import DIR FILE... --kind "
            f"{'|'.join(_KINDS)} --model NAME"
        )
    features, outputs = _names(args.features), _names(args.outputs)
    if args.names_of:
        from tfx_loop.models.saved_model.column_names import signature_columns

        columns = signature_columns(Path(args.names_of))
        features, outputs = features or columns.inputs, outputs or columns.outputs
    order = ImportOrder(
        kind=args.kind,
        files=args.files,
        log_dir=args.log,
        model_name=args.model[0],
        default_time_ms=args.time,
        feature_names=features,
        output_names=outputs,
        capture=CaptureSource(
            prefix=args.files[0],
            variants=tuple(args.variant),
            sampling_percentage=args.sampling,
            feature_names=features,
            output_names=outputs,
        ),
        key_file=args.key,
    )
    counts = import_log(order)
    rejected = [
        f"{number:,} {'record' if number == 1 else 'records'} rejected: {why} ({REASONS[why]})"
        for why, number in counts.rejected.items()
    ]
    if not counts.rows:
        raise DataError(
            f"Expected records of {args.kind} in {', '.join(args.files)}, received none that "
            f"became rows ({'; '.join(rejected) or 'the files are empty'}). Check --kind, "
            "--time and the files."
        )
    told = [f"{counts.rows:,} {'row' if counts.rows == 1 else 'rows'} imported", *rejected]
    told += [f"{counts.copies} files left out: copies of others"] if counts.copies else []
    conventions.answer(args, lambda: asdict(counts), lambda: told)
    return conventions.SUCCESS


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def _compact(args: argparse.Namespace) -> int:
    from tfx_loop.core.key_file import read_keys
    from tfx_loop.data.prediction_log.compaction import compact

    result = compact(
        args.log, models=args.model or (), keys=read_keys(args.key), keep_days=args.keep_days
    )
    a_row = f", {result.bytes_after / result.rows:.0f} bytes a row" if result.rows else ""
    told = [
        f"{result.rows:,} rows of {result.files} files: {result.bytes_before:,} bytes became "
        f"{result.bytes_after:,}{a_row}"
    ]
    told += [f"{result.live} segments are still written"] if result.live else []
    told += [f"{result.damaged} damaged files were left as they are"] if result.damaged else []
    told += [f"{result.expired} files were removed for their age"] if result.expired else []
    conventions.answer(args, lambda: asdict(result), lambda: told)
    return conventions.SUCCESS
