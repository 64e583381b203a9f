"""The model server's flags, named as TF Serving names them."""

import argparse
import sys
from importlib.metadata import version
from typing import NoReturn

from tfx_loop.core.errors import ConfigError
from tfx_loop.data.prediction_log.record import check_model_name
from tfx_loop.deployment.model_server.log_flags import add_log_flags
from tfx_loop.deployment.model_server.serving_flags import (
    add_serving_flags,
    is_tf_serving,
    truth,
    wrong_serving_flags,
)
from tfx_loop.deployment.server_access.access_flags import add_access_flags, wrong_access
from tfx_loop.deployment.server_access.listeners import DISABLED_PORT
from tfx_loop.presentation import arguments

PROGRAM = "loop-model-server"


class _Parser(argparse.ArgumentParser):
    """Answers wrong flags with one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{PROGRAM}: error: {message}. See {PROGRAM} --help.\n")


def parse_flags(arguments: list[str] | None = None, program: str = PROGRAM) -> argparse.Namespace:
    """Returns the checked flags; exits with one line when they are wrong.

    Args:
        arguments: Those of the command line unless given.
        program: The name that the server was started by.
    """
    parser = _parser()
    as_tf_serving = is_tf_serving(program)
    if as_tf_serving:
        parser.set_defaults(rest_api_port=0)
    flags = parser.parse_args(arguments)
    if flags.version:
        sys.stdout.write(f"{PROGRAM} {version('tfx-loop')}, TensorFlow {version('tensorflow')}\n")
        parser.exit()
    if as_tf_serving:
        # There a port of 0 turns an interface off, as REST's is unless one is given.
        flags.rest_api_port = flags.rest_api_port or DISABLED_PORT
        flags.port = flags.port or DISABLED_PORT
    flags.threads = flags.grpc_max_threads or flags.threads
    if not flags.model_base_path and not flags.model_config_file:
        parser.error("no model is named: give --model_base_path or --model_config_file")
    try:
        check_model_name(flags.model_name)
    except ConfigError as error:
        parser.error(str(error).rstrip("."))
    if flags.port == flags.rest_api_port == DISABLED_PORT and not flags.grpc_socket_path:
        parser.error("both servers are disabled: give --port or --rest_api_port")
    if flags.prediction_log_key and not flags.prediction_log:
        parser.error("--prediction_log_key needs the log that it encrypts: give --prediction_log")
    wrong = wrong_access(flags) or wrong_serving_flags(flags, flags.tls_certificate)
    if wrong:
        parser.error(wrong)
    return flags


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        allow_abbrev=False,
        description="Serves the newest version of a SavedModel or TFLite model over REST and gRPC "
        "as TF Serving does, and logs every answer.",
    )
    add = parser.add_argument
    add("--model_name", default="default", help="name that clients ask for (default: default)")
    add("--model_base_path", help="folder with numbered version folders")
    add(
        "--model_config_file",
        metavar="PATH",
        help="serve the models of this ModelServerConfig (text), with their version policies and "
        "labels; --model_name and --model_base_path are ignored then",
    )
    add(
        "--model_config_file_poll_wait_seconds",
        type=_seconds,
        default=0.0,
        help="time between looks at that file; 0 reads it once (default: 0)",
    )
    add(
        "--port",
        type=_port,
        # Ports, the interval between looks, and number and interval of tries are TF Serving's own
        # defaults, so that clients and scripts for it work unchanged.
        default=8500,
        help="gRPC port; 0 takes a free one, -1 disables gRPC (default: 8500)",
    )
    add(
        "--rest_api_port",
        type=_port,
        default=8501,
        help="REST port; 0 takes a free one, -1 disables REST (default: 8501)",
    )
    add(
        "--host",
        default="127.0.0.1",
        help="address to listen at; 0.0.0.0 for all (default: 127.0.0.1, this machine only)",
    )
    add(
        "--file_system_poll_wait_seconds",
        type=_seconds,
        default=1.0,
        help="time between looks at the base path; 0 looks only once (default: 1)",
    )
    add(
        "--max_num_load_retries",
        type=arguments.whole_at_least_zero,
        default=5,
        help="tries after a version failed to load (default: 5)",
    )
    add(
        "--load_retry_interval_micros",
        type=arguments.whole_at_least_zero,
        default=60_000_000,
        help="time between these tries (default: one minute)",
    )
    add(
        "--prefer_tflite_model",
        nargs="?",
        const=True,
        type=truth,
        default=False,
        help="where a version has both, serve model.tflite, not saved_model.pb (default: false)",
    )
    add(
        "--allow",
        action="append",
        metavar="OP",
        help="let models have this operation, named as the refusal names it; repeatable",
    )
    add(
        "--public_key",
        metavar="PEM",
        help="serve only versions that are signed by one of these keys, or by a certificate of "
        "one of these authorities",
    )
    add_log_flags(parser)
    add_serving_flags(parser)
    add(
        "--max_request_bytes",
        type=arguments.whole_above_zero,
        default=16 * 1024 * 1024,
        help="larger requests are refused (default: 16 MiB)",
    )
    add(
        "--load_in_child",
        action="store_true",
        help="load a version that comes beside traffic in a child process first: what aborts or "
        "hangs there harms no request; it takes seconds of a core, which other requests feel",
    )
    add(
        "--max_waiting_requests",
        type=arguments.whole_above_zero,
        # At a millisecond a prediction the last of them waits for a second; more would time out
        # first. Chosen, not measured.
        default=1024,
        help="predictions that may wait; one more is refused at once, with 429 or "
        "RESOURCE_EXHAUSTED (default: 1024)",
    )
    add(
        "--threads",
        type=arguments.whole_above_zero,
        default=16,
        help="without effect: calls wait without a thread each",
    )
    add_access_flags(parser)
    add(
        "--unconfined",
        action="store_true",
        help="let this process write beside its log, its ready file and temporary files, as "
        "exporters of traces to files do; without it the kernel refuses that where it can",
    )
    add(
        "--access_log",
        action="store_true",
        help="log each answered request: method, path, code, bytes, milliseconds, request id",
    )
    add(
        "--traces",
        action="store_true",
        help="send a span of each request to OpenTelemetry, as its environment variables say "
        "(OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_ENDPOINT); needs its SDK, and the exporter's "
        "package",
    )
    add(
        "--log_format",
        choices=("text", "json"),
        default="text",
        help="form of this process's log lines, on standard error (default: text)",
    )
    add(
        "--ready_file",
        metavar="PATH",
        help='gets {"pid", "rest_api_port", "port"} as JSON when the server answers',
    )
    return parser


def _port(text: str) -> int:
    value = arguments.whole_number(text)
    if not DISABLED_PORT <= value <= 65535:
        raise argparse.ArgumentTypeError(f"expected a port from -1 to 65535, received {text}")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected seconds, received {text!r}") from error
    if not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError(f"expected 0 to 1000000 seconds, received {text}")
    return value
