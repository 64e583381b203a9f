"""The gateway's flags; those that the model server has, too, mean the same."""

import argparse
import os
from typing import NoReturn

from tfx_loop.deployment.server_access.access_flags import add_access_flags, wrong_access
from tfx_loop.deployment.server_access.listeners import DISABLED_PORT
from tfx_loop.presentation import arguments

PROGRAM = "loop-gateway"
# TF Serving's own ports: gRPC on 8500 and REST on 8501.
_GRPC_PORT = 8500


class _Parser(argparse.ArgumentParser):
    """Answers wrong flags with one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{PROGRAM}: error: {message}. See {PROGRAM} --help.\n")


def parse_flags(words: list[str] | None = None) -> argparse.Namespace:
    """Returns the checked flags; exits with one line when they are wrong."""
    parser = _parser()
    flags = parser.parse_args(words)
    if wrong := _wrong_ports(flags) or _wrong_routes(flags) or wrong_access(flags):
        parser.error(wrong)
    if flags.raw_log_key and not flags.raw_log:
        parser.error("--raw_log_key needs the log that it encrypts: give --raw_log")
    if flags.raw_log and os.path.exists(flags.raw_log) and not os.path.isdir(flags.raw_log):
        parser.error(f"--raw_log: expected a folder, received the file {flags.raw_log}")
    return flags


def _wrong_ports(flags: argparse.Namespace) -> str:
    if flags.port == flags.rest_api_port == DISABLED_PORT:
        return "both servers are disabled: give --port or --rest_api_port"
    if flags.upstream_rest_port is None:
        flags.upstream_rest_port = flags.upstream[1] + 1
    if flags.canary_upstream and flags.canary_upstream_rest_port is None:
        flags.canary_upstream_rest_port = flags.canary_upstream[1] + 1
    return ""


def _wrong_routes(flags: argparse.Namespace) -> str:
    ways = {
        "--canary_upstream": flags.canary_upstream,
        "--canary_version": flags.canary_version,
        "--canary_label": flags.canary_label,
    }
    given = [flag for flag, value in ways.items() if value is not None]
    if flags.model_base_path:
        if not flags.model_name:
            return "--model_base_path has the routes of one model: give --model_name"
        # The record changes with each push; flags would contradict it after the first.
        if given or flags.label or flags.canary_share is not None:
            return "labels and canary stand in the record of --model_base_path: give no others"
        return ""
    if len(given) > 1:
        return f"there is one canary: give one of {', '.join(given)}"
    if given and flags.canary_share is None:
        return f"{given[0]} names a canary without a share: give --canary_share"
    if flags.canary_share is not None and not given:
        return "--canary_share has no canary: give one of " + ", ".join(ways)
    return ""


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        allow_abbrev=False,
        description="Stands in front of TF Serving: passes REST and gRPC on unchanged, logs the "
        "answered predictions, and gives a canary its share.",
    )
    _add_ports(parser)
    _add_routes(parser)
    _add_log(parser)
    _add_limits(parser)
    add_access_flags(parser)
    add = parser.add_argument
    add(
        "--processes",
        type=arguments.whole_above_zero,
        default=1,
        help="processes that share the ports; one for each core (default: 1)",
    )
    add(
        "--ready_file",
        metavar="PATH",
        help='gets {"pid", "rest_api_port", "port"} as JSON when the gateway answers',
    )
    return parser


def _add_ports(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--upstream",
        required=True,
        type=_address,
        metavar="HOST[:PORT]",
        help=f"gRPC address of TF Serving (port {_GRPC_PORT} unless given)",
    )
    add(
        "--upstream_rest_port",
        type=_port,
        help="its REST port (default: the next one, as TF Serving's own ports are)",
    )
    add(
        "--upstream_ca_file",
        metavar="PEM",
        help="speak TLS to upstreams, whose certificates come from one of these authorities",
    )
    add(
        "--port",
        type=_port,
        default=_GRPC_PORT,
        help="gRPC port; 0 takes a free one, -1 disables gRPC (default: 8500)",
    )
    add(
        "--rest_api_port",
        type=_port,
        default=_GRPC_PORT + 1,
        help="REST port; 0 takes a free one, -1 disables REST, health and metrics (default: 8501)",
    )
    add(
        "--host",
        default="127.0.0.1",
        help="address to listen at; 0.0.0.0 for all (default: 127.0.0.1, this machine only)",
    )


def _add_routes(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model_name", default="", help="model that labels and canary are of (default: all)")
    add(
        "--model_base_path",
        metavar="DIR",
        help="take labels, canary and its share from the deployment record there, as it changes",
    )
    add(
        "--label",
        action="append",
        type=_label,
        metavar="NAME=VERSION",
        help="version that a label means; requests without a version go to that of 'stable'; "
        "repeatable",
    )
    add(
        "--canary_upstream",
        type=_address,
        metavar="HOST[:PORT]",
        help="gRPC address of a second TF Serving, which gets the canary's share",
    )
    add("--canary_upstream_rest_port", type=_port, help="its REST port (default: the next one)")
    add(
        "--canary_version",
        type=arguments.whole_at_least_zero,
        metavar="N",
        help="version of --upstream that gets it",
    )
    add("--canary_label", metavar="LABEL", help="label of --upstream that gets it")
    add(
        "--canary_share",
        type=_share_or_none,
        metavar="SHARE",
        help="share of the predictions without a version or label, from 0 to 1, by a hash of id or "
        "key",
    )


def _add_log(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--raw_log",
        metavar="DIR",
        help="log every answered prediction there, byte for byte; `loop log import` makes rows",
    )
    add(
        "--raw_log_key",
        metavar="FILE",
        help="encrypt the log with the first key of this file, which is made where it lacks",
    )
    add(
        "--raw_log_sync",
        choices=("never", "batch", "interval"),
        default="never",
        help="when calls reach the disk: as the system likes, before the answer, or every few "
        "seconds (default: never); a killed gateway loses none in any case",
    )
    add(
        "--raw_log_sync_seconds",
        type=arguments.above_zero,
        default=1.0,
        help="how often, for interval (default: 1)",
    )
    add(
        "--raw_log_sampling_rate",
        type=_share,
        default=1.0,
        help="share of calls that is logged, by a hash of their key (default: 1)",
    )
    add(
        "--raw_log_segment_bytes",
        type=arguments.whole_above_zero,
        default=64 * 1024 * 1024,
        help="size after which a new file is begun (default: 64 MiB)",
    )
    add(
        "--raw_log_max_bytes",
        type=arguments.whole_above_zero,
        default=8 * 1024**3,
        help="of all files; calls beyond are answered, counted and not logged (default: 8 GiB)",
    )
    add(
        "--raw_log_max_call_bytes",
        type=arguments.whole_above_zero,
        default=16 * 1024 * 1024,
        help="of request and answer; larger calls are counted and not logged (default: 16 MiB)",
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    for flag, default, told in (
        ("--max_request_bytes", 16 * 1024 * 1024, "larger bodies and messages are refused"),
        ("--max_requests", 1024, "requests at once in a process; more are refused at once"),
        ("--max_connections", 4096, "connections of clients at once, for each port and process"),
    ):
        add(
            flag,
            type=arguments.whole_above_zero,
            default=default,
            help=f"{told} (default: {default})",
        )
    for flag, seconds, told in (
        ("--timeout_seconds", 60.0, "an upstream that sends nothing for so long is given up"),
        ("--client_timeout_seconds", 30.0, "a client that sends or reads nothing in a request"),
        ("--idle_seconds", 300.0, "a connection without requests is closed"),
        ("--drain_seconds", 10.0, "requests under way may take so long after SIGTERM"),
    ):
        add(flag, type=arguments.above_zero, default=seconds, help=f"{told} (default: {seconds:g})")


def _port(text: str) -> int:
    value = arguments.whole_number(text)
    if not DISABLED_PORT <= value <= 65535:
        raise argparse.ArgumentTypeError(f"expected a port from -1 to 65535, received {text}")
    return value


def _address(text: str) -> tuple[str, int]:
    """Reads HOST, HOST:PORT or [IPV6]:PORT."""
    host, colon, port = text.rpartition(":")
    if not colon or (text.startswith("[") and text.endswith("]")):
        host, port = text, str(_GRPC_PORT)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not host or not port.isdigit() or not 1 <= int(port) <= 65535 or "/" in host:
        raise argparse.ArgumentTypeError(
            f"expected HOST or HOST:PORT, such as 127.0.0.1:8500, received {text!r}"
        )
    return host, int(port)


def _label(text: str) -> tuple[str, int]:
    name, equals, version = text.partition("=")
    if not equals or not name or not version.isdigit():
        raise argparse.ArgumentTypeError(
            f"expected NAME=VERSION, such as stable=7, received {text!r}"
        )
    return name, int(version)


def _share(text: str) -> float:
    value = arguments.number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"expected a share above 0 to 1, received {text}")
    return value


def _share_or_none(text: str) -> float:
    value = arguments.number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a share from 0 to 1, received {text}")
    return value
