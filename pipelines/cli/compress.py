"""`loop compress`: the smallest variant of a model that keeps to a budget, without a pipeline.

Exit code 0 says that a variant keeps to the budget and was written, 3 that none does (report and
page are written, no model), 1 an error, 2 wrong arguments.
"""

import argparse
import os
import sys
from pathlib import Path

from tfx_loop.pipelines.cli import conventions
from tfx_loop.presentation import arguments
from tfx_loop.presentation.progress import Progress

HELP = "the smallest variant of a SavedModel, .keras or .h5 that keeps to a budget"
# Spelled out here, as the modules that hold them take seconds to import.
_FEWEST_ROWS = 30
_EPOCHS = 10
_TARGETS = ("smallest", "smallest_zipped", "fastest", "edge_tpu")
_RUNGS = (
    "int8",
    "qat_int8",
    "selective_int8",
    "int16x8",
    "float16",
    "dynamic_range",
    "float",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    _add_task(parser)
    _add_own_data(parser)
    _add_search(parser)
    conventions.add_allow(parser)
    conventions.add_json(parser)


def _add_task(parser: argparse.ArgumentParser) -> None:
    """Declares the model, its rows, and what may be lost."""
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="SavedModel folder, .keras or .h5 file"
    )
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="FILE",
        help="Parquet, CSV, TFRecord of tf.Examples, .npz with x (or an array an input) and y, or "
        "a folder of images with a sub-folder for each class; a column of JPEG or PNG goes to an "
        "input of images",
    )
    parser.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="[OUTPUT=]COLUMN",
        help="column or array of the labels (default: y of an .npz); of a model with several "
        "outputs one for each that has a budget (default: the column of the output's name); "
        "repeatable",
    )
    parser.add_argument(
        "--budget",
        type=_drop,
        action="append",
        required=True,
        metavar="[OUTPUT=]DROP",
        help="what may be lost of the metric, in its unit: 0.005 or 0.5%% is half a point of "
        "accuracy; of a model with several outputs one for each; repeatable",
    )
    parser.add_argument(
        "--relative",
        action="store_true",
        help="budgets are shares of the model's own value of the metric: 2%% of a mean absolute "
        "error of 3.5 is 0.07",
    )
    parser.add_argument("--target", choices=_TARGETS, default="smallest", help="what is to be won")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new or empty")
    parser.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="[OUTPUT=]NAME",
        help="TFMA's or Keras's name (default: accuracy of classes, R2Score of numbers); "
        "repeatable",
    )
    parser.add_argument(
        "--evaluate",
        metavar="MODULE:FUNCTION",
        help="a metric of yours in place of a named one: it takes labels and answers, arrays of as "
        "many rows, and returns a number",
    )
    parser.add_argument(
        "--lower-is-better",
        action="store_true",
        help="of that metric: it is a loss or a cost",
    )
    parser.add_argument(
        "--output", metavar="NAME", help="output that the label belongs to, of a model with several"
    )
    parser.add_argument(
        "--classes",
        type=Path,
        metavar="FILE",
        help="class names in the order of the model's outputs, a line each, for labels that are "
        "text (default: from the model, or sorted where the model's answers confirm it)",
    )
    conventions.add_columns(parser, "--slice", "show losses by the values of this column")
    parser.add_argument(
        "--slice-budget",
        type=arguments.at_least_zero,
        metavar="DROP",
        help="what may be lost on each slice of 50 rows and more",
    )
    parser.add_argument(
        "--signature", metavar="NAME", help="of a SavedModel (default: the one that takes numbers)"
    )


def _add_own_data(parser: argparse.ArgumentParser) -> None:
    """Declares functions of the user's that make the rows."""
    parser.add_argument(
        "--loader",
        default="",
        metavar="MODULE:FUNCTION",
        help="makes the rows: it takes the path of --data and returns (x, y), or arrays by name",
    )
    parser.add_argument(
        "--train",
        type=Path,
        metavar="FILE",
        help="rows like those of --data, and none of these, to train a tf_keras file on with "
        "quantisation emulated (rung qat_int8) where plain int8 loses too much",
    )
    parser.add_argument(
        "--epochs",
        type=arguments.whole_above_zero,
        default=_EPOCHS,
        metavar="N",
        help=f"passes over them (default: {_EPOCHS})",
    )
    parser.add_argument(
        "--preprocess",
        default="unit",
        metavar="NAME",
        help="what images become: unit (0 to 1, the default), signed (-1 to 1), bytes (0 to 255), "
        "or MODULE:FUNCTION from images to rows",
    )
    parser.add_argument(
        "--custom-objects",
        action="append",
        default=[],
        metavar="MODULE:NAME",
        help="layer or function of yours that a Keras file names; losses and metrics need none; "
        "repeatable",
    )


def _add_search(parser: argparse.ArgumentParser) -> None:
    """Declares which variants are tried, and within which limits."""
    conventions.add_seed(parser, "splits the rows")
    parser.add_argument(
        "--rungs",
        type=_rungs,
        default=(),
        metavar="A,B",
        help=f"variants to try, of {', '.join(_RUNGS)} (default: all)",
    )
    parser.add_argument(
        "--max-bytes",
        type=arguments.whole_above_zero,
        metavar="N",
        help="a variant's file may take at most this",
    )
    parser.add_argument(
        "--max-latency-ms",
        type=arguments.above_zero,
        metavar="MS",
        help="the median of one call of a variant may take at most this, on this machine",
    )
    parser.add_argument(
        "--io",
        choices=("float", "int8", "uint8"),
        default="float",
        help="what an int8 model takes and gives (default: float)",
    )
    parser.add_argument(
        "--rows",
        type=arguments.whole_at_least(_FEWEST_ROWS),
        metavar="N",
        help="use at most N rows, drawn with the seed",
    )
    parser.add_argument(
        "--timeout",
        type=arguments.above_zero,
        default=600.0,
        metavar="SECONDS",
        help="of each conversion (default: 600)",
    )
    parser.add_argument(
        "--memory",
        type=arguments.whole_above_zero,
        default=8192,
        metavar="MB",
        help="of the process that converts (default: 8192)",
    )


def run(args: argparse.Namespace) -> int:
    """Compresses; returns 0 when a variant keeps to the budget, else 3."""
    from tfx_loop.models.formats import detect

    # A wrong path is told before seconds go into importing TensorFlow.
    detect(args.model)
    from tfx_loop.contracts.optimization_report import OPTIMIZATION_REPORT, OptimizationVerdict
    from tfx_loop.core.errors import ChildFailed
    from tfx_loop.models.guard import guard
    from tfx_loop.optimization.compression_target import CompressionTarget
    from tfx_loop.optimization.file_compression.request import (
        CompressionRequest,
        requested_outputs,
    )
    from tfx_loop.optimization.file_compression.run import compress
    from tfx_loop.optimization.quantizer.candidates import VariantLimits
    from tfx_loop.optimization.reporting.terminal import rungs_parts

    first, *others = requested_outputs(args.budget, args.label, args.metric, args.output)
    request = CompressionRequest(
        model=args.model,
        data=args.data,
        out=args.out,
        budget=first.budget,
        relative=args.relative,
        label=first.label or None,
        target=CompressionTarget(args.target),
        metric=first.metric,
        output=first.output or None,
        others=tuple(others),
        classes=args.classes,
        slice_columns=tuple(dict.fromkeys(args.slice)),
        slice_budget=args.slice_budget,
        signature=args.signature,
        custom_objects=tuple(dict.fromkeys(args.custom_objects)),
        seed=args.seed,
        evaluate=args.evaluate,
        higher_is_better=not args.lower_is_better,
        loader=args.loader,
        train=args.train,
        epochs=args.epochs,
        preprocess=args.preprocess,
        limits=VariantLimits(max_bytes=args.max_bytes, max_latency_ms=args.max_latency_ms),
        rungs=args.rungs,
        io=args.io,
        max_rows=args.rows,
        timeout_seconds=args.timeout,
        memory_mb=args.memory,
    )
    progress = Progress(sys.stderr)
    try:
        with guard.exceptions(args.allow), progress.counted("compressing"):
            report = compress(request, progress.say)
    except ChildFailed as error:
        said = str(error).replace("timeout_seconds", "--timeout").replace("memory_mb", "--memory")
        raise ChildFailed(said, cause=error.cause, log_tail=error.log_tail) from error
    files = ", ".join(sorted(os.listdir(args.out)))
    conventions.answer(
        args,
        lambda: OPTIMIZATION_REPORT.content(report),
        lambda: [*rungs_parts(report), f"{report.explanation}.\n{args.out}: {files}"],
    )
    kept = report.verdict is OptimizationVerdict.KEPT
    return conventions.SUCCESS if kept else conventions.ATTENTION


def _drop(text: str) -> tuple[str | None, float]:
    """Returns the output, None where it is not named, and what it may lose."""
    output, _, value = text.rpartition("=")
    share = value.strip().endswith("%")
    drop = arguments.at_least_zero(value.strip().removesuffix("%"))
    return output or None, drop / 100 if share else drop


def _rungs(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in _RUNGS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(
            f"expected rungs of {', '.join(_RUNGS)}, received {text!r}"
        )
    return names
