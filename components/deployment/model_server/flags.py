"""The model server's flags, named as TF Serving names them."""

import argparse
from typing import NoReturn

from tfx_loop.core.errors import ConfigError
from tfx_loop.core.network import is_loopback
from tfx_loop.data.prediction_log.record import check_model_name
from tfx_loop.deployment.model_server.log_flags import add_log_flags
from tfx_loop.presentation import arguments

PROGRAM = "loop-model-server"
DISABLED_PORT = -1
# Of each caller, where other machines can call and nothing else is said: far above what one client
# sends in turn, far below what keeps all others out.
_EXPOSED_REQUESTS_PER_SECOND = 1000.0


class _Parser(argparse.ArgumentParser):
    """Answers wrong flags with one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{PROGRAM}: error: {message}. See {PROGRAM} --help.\n")


def parse_flags(arguments: list[str] | None = None) -> argparse.Namespace:
    """Returns the checked flags; exits with one line when they are wrong."""
    parser = _parser()
    flags = parser.parse_args(arguments)
    if not flags.model_base_path and not flags.model_config_file:
        parser.error("no model is named: give --model_base_path or --model_config_file")
    try:
        check_model_name(flags.model_name)
    except ConfigError as error:
        parser.error(str(error).rstrip("."))
    if flags.port == flags.rest_api_port == DISABLED_PORT:
        parser.error("both servers are disabled: give --port or --rest_api_port")
    if flags.prediction_log_key and not flags.prediction_log:
        parser.error("--prediction_log_key needs the log that it encrypts: give --prediction_log")
    if wrong := _wrong_access(flags):
        parser.error(wrong)
    return flags


def _wrong_access(flags: argparse.Namespace) -> str:
    """Returns what is wrong with who may call; sets the rate where none is given."""
    if bool(flags.tls_certificate) != bool(flags.tls_key):
        return "--tls_certificate and --tls_key go together: give both"
    if flags.tls_client_ca and not flags.tls_certificate:
        return (
            "--tls_client_ca asks for certificates over TLS: give --tls_certificate and --tls_key"
        )
    exposed = not is_loopback(flags.host) and not flags.insecure
    if flags.requests_per_second is None:
        flags.requests_per_second = _EXPOSED_REQUESTS_PER_SECOND if exposed else 0.0
    missing = [
        flag
        for flag, given in (
            ("--tls_certificate and --tls_key", flags.tls_certificate),
            ("--token_file or --tls_client_ca", flags.token_file or flags.tls_client_ca),
            ("--requests_per_second above 0", flags.requests_per_second),
        )
        if not given
    ]
    if exposed and missing:
        return (
            f"--host={flags.host} lets other machines call: give {'; '.join(missing)}. Or say "
            "--insecure, where something in front of the server does it"
        )
    return ""


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
        # Ports, the interval between looks and that between tries are TF Serving's own defaults, so
        # that clients and scripts for it work unchanged.
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
        default=0,
        help="tries after a version failed to load (default: 0; TF Serving: 5)",
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
        type=_truth,
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
    add(
        "--max_request_bytes",
        type=arguments.whole_above_zero,
        default=16 * 1024 * 1024,
        help="larger requests are refused (default: 16 MiB)",
    )
    add(
        "--threads",
        type=arguments.whole_above_zero,
        default=16,
        help="gRPC requests at once (default: 16)",
    )
    _add_access(parser)
    add(
        "--ready_file",
        metavar="PATH",
        help='gets {"pid", "rest_api_port", "port"} as JSON when the server answers',
    )
    return parser


def _add_access(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--tls_certificate", metavar="PEM", help="serve over TLS with this certificate chain")
    add("--tls_key", metavar="PEM", help="key of that certificate, without a password")
    add(
        "--tls_client_ca",
        metavar="PEM",
        help="mutual TLS: clients show a certificate of one of these authorities",
    )
    add(
        "--token_file",
        metavar="PATH",
        help="clients send one of these bearer tokens; a line is TOKEN or NAME TOKEN",
    )
    add(
        "--admin_token_file",
        metavar="PATH",
        help="tokens that may also make admin calls (:reload); without it nobody may",
    )
    add(
        "--requests_per_second",
        type=_rate,
        metavar="N",
        help="limit of each token, or of each address without tokens; 0 sets none (default: 0, "
        f"where other machines can call {_EXPOSED_REQUESTS_PER_SECOND:.0f})",
    )
    add(
        "--insecure",
        action="store_true",
        help="let other machines call without TLS, tokens or limits",
    )
    add(
        "--unconfined",
        action="store_true",
        help="let this process write beside its log, its ready file and temporary files, as "
        "exporters of traces to files do; without it the kernel refuses that where it can",
    )


def _port(text: str) -> int:
    value = arguments.whole_number(text)
    if not DISABLED_PORT <= value <= 65535:
        raise argparse.ArgumentTypeError(f"expected a port from -1 to 65535, received {text}")
    return value


def _truth(text: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in known:
        raise argparse.ArgumentTypeError(f"expected true or false, received {text!r}")
    return known[text.lower()]


def _seconds(text: str) -> float:
    return _number(text, "seconds")


def _rate(text: str) -> float:
    return _number(text, "requests a second")


def _number(text: str, unit: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected {unit}, received {text!r}") from error
    if not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError(f"expected 0 to 1000000 {unit}, received {text}")
    return value
