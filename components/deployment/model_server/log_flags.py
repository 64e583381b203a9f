"""Flags of the prediction log, and the writer and gateway that they ask for."""

import argparse
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from tfx_loop.core.errors import ConfigError
from tfx_loop.presentation import arguments

if TYPE_CHECKING:
    from tfx_loop.data.prediction_log.writer import PredictionLogWriter
    from tfx_loop.deployment.model_server.engine import PredictionEngine
    from tfx_loop.deployment.model_server.logging_gateway import LoggingGateway

_LOG = logging.getLogger(__name__)


def add_log_flags(parser: argparse.ArgumentParser) -> None:
    """Adds `--prediction_log` and all that begins so."""
    add = parser.add_argument
    add("--prediction_log", metavar="DIR", help="log every answer below this folder")
    add(
        "--prediction_log_key",
        metavar="FILE",
        help="encrypt the log with the first key of this file, which is made where it lacks",
    )
    add(
        "--prediction_log_sync",
        choices=("never", "batch", "interval"),
        default="never",
        help="when rows reach the disk: as the system likes, before the answer, or every few "
        "seconds (default: never); a killed server loses none in any case",
    )
    add(
        "--prediction_log_sync_seconds",
        type=_seconds_above_zero,
        default=1.0,
        help="how often, for interval (default: 1)",
    )
    add(
        "--prediction_log_unwritable",
        choices=("refuse", "serve"),
        default="refuse",
        help="requests that cannot be logged, as the disk is full, are refused with 503, or served "
        "and counted (default: refuse)",
    )
    add(
        "--prediction_log_sampling_rate",
        type=_share,
        default=1.0,
        help="share of requests that is logged, by a hash of their key (default: 1)",
    )
    add(
        "--prediction_log_redact",
        action="append",
        metavar="FEATURE",
        help="never write this feature, and quote none of its values in error replies; repeatable",
    )
    add(
        "--prediction_log_compact_seconds",
        type=arguments.whole_at_least_zero,
        default=3600,
        help="how often segments are made into Parquet, by a process of its own; 0 never does "
        "(default: 3600)",
    )
    add(
        "--prediction_log_keep_days",
        type=arguments.whole_at_least_zero,
        default=0,
        help="days of events that are kept, today's included; 0 keeps all (default: 0)",
    )
    add(
        "--prediction_log_schema",
        metavar="PATH",
        help="schema.pbtxt, or a Schema artifact or Transform graph that holds it: types of the "
        "features of tf.Examples, where the model's graph does not tell them",
    )


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"expected a share above 0 to 1, received {text}")
    return value


def _seconds_above_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"expected seconds above 0, received {text}")
    return value


def open_log(flags: argparse.Namespace) -> "PredictionLogWriter | None":
    """Returns the writer of the log; raises RuntimeError where there can be none."""
    from tfx_loop.core.key_file import read_keys
    from tfx_loop.data.prediction_log.writer import LogSync, PredictionLogWriter

    if flags.prediction_log is None:
        return None
    try:
        key_file = flags.prediction_log_key
        return PredictionLogWriter(
            flags.prediction_log,
            key=read_keys(key_file, make=True)[0] if key_file else None,
            sync=LogSync(flags.prediction_log_sync),
            sync_seconds=flags.prediction_log_sync_seconds,
        )
    except ConfigError as error:
        raise RuntimeError(f"--prediction_log_key: {error}") from error
    except OSError as error:
        raise RuntimeError(
            f"--prediction_log={flags.prediction_log} cannot be written: {error}"
        ) from error


def compact_forever(
    flags: argparse.Namespace,
    model_names: Callable[[], Iterable[str]],
    writer: "PredictionLogWriter",
    stop: threading.Event,
) -> None:
    """Compacts the log of each model again and again, until `stop`."""
    while not stop.wait(flags.prediction_log_compact_seconds):
        writer.roll()
        for model_name in model_names():
            _compact(flags, model_name)


def _compact(flags: argparse.Namespace, model_name: str) -> None:
    command = [sys.executable, "-m", "tfx_loop.data.prediction_log.compaction"]
    command += [flags.prediction_log, model_name, str(flags.prediction_log_keep_days)]
    command.append(flags.prediction_log_key or "")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        told = done.stderr.strip().splitlines()[-1:] or ["no word"]
        _LOG.error("prediction_log model=%s state=not_compacted error=%s", model_name, told[0])
    else:
        _LOG.info(
            "prediction_log model=%s state=compacted result=%s", model_name, done.stdout.strip()
        )


def make_gateway(
    flags: argparse.Namespace,
    model_name: str,
    writer: "PredictionLogWriter | None",
    clock_ms: Callable[[], int],
    engine: "PredictionEngine | None" = None,
) -> "LoggingGateway":
    """Returns what answers and logs; raises DataError for a schema that is none."""
    from tfx_loop.data.schema_file import read_schema
    from tfx_loop.deployment.model_server.features import FeatureColumns, schema_types
    from tfx_loop.deployment.model_server.log_policy import LogPolicy, Unwritable
    from tfx_loop.deployment.model_server.logging_gateway import LoggingGateway

    path = flags.prediction_log_schema
    schema = schema_types(read_schema(path)) if path else None
    return LoggingGateway(
        model_name,
        writer,
        clock_ms,
        LogPolicy(
            sampling_rate=flags.prediction_log_sampling_rate,
            unwritable=Unwritable(flags.prediction_log_unwritable),
        ),
        FeatureColumns(schema, flags.prediction_log_redact or ()),
        engine,
    )
