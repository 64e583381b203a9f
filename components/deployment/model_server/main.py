"""The process of the model server: start, run, stop."""

import argparse
import logging
import os
import signal
import socket
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from tfx_loop.core.child_process import sandbox
from tfx_loop.core.errors import LoopError
from tfx_loop.deployment.model_server.access_log import start_logging
from tfx_loop.deployment.model_server.flags import DISABLED_PORT, PROGRAM, parse_flags
from tfx_loop.deployment.model_server.log_flags import compact_forever, open_log
from tfx_loop.deployment.model_server.serving_flags import tell_idle_flags
from tfx_loop.deployment.model_server.serving_metrics import DEFAULT_PATH, ServingMetrics
from tfx_loop.deployment.model_server.text_messages import read_monitoring_config, ssl_context
from tfx_loop.deployment.server_access.access_flags import access_of, tls_of
from tfx_loop.models.guard import guard

if TYPE_CHECKING:
    from tfx_loop.data.prediction_log.writer import PredictionLogWriter
    from tfx_loop.deployment.model_server.grpc_server import GrpcServer
    from tfx_loop.deployment.model_server.http_server import HttpServer
    from tfx_loop.deployment.model_server.served_models import ServedModels
    from tfx_loop.deployment.model_server.service import ModelService
    from tfx_loop.deployment.server_access.access import Access
    from tfx_loop.deployment.server_access.tls import TlsFiles

_LOG = logging.getLogger(PROGRAM)
# For requests that run; Kubernetes by default kills after 30.
_GRACE_SECONDS = 10


def main(arguments: list[str] | None = None) -> NoReturn:
    """Serves until SIGTERM or SIGINT, then ends the process."""
    flags = parse_flags(arguments, sys.argv[0])
    start_logging(flags.log_format)
    # A thread that loads a model keeps others from the interpreter for as long: a tenth of
    # Python's default.
    sys.setswitchinterval(0.0005)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    _set_threads(flags)
    tell_idle_flags(flags, _LOG.warning)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    code = 0
    try:
        with guard.exceptions(flags.allow or ()):
            _serve(flags, stop)
    except (OSError, RuntimeError, LoopError) as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        code = 1
    # All is finished and closed. Taking TensorFlow and its threads down in order would only cost
    # seconds, and has been seen to hang.
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _set_threads(flags: argparse.Namespace) -> None:
    """Has TensorFlow, which is not imported yet, take so many threads."""
    both = flags.tensorflow_session_parallelism
    if within := flags.tensorflow_intra_op_parallelism or both:
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(within))
    if between := flags.tensorflow_inter_op_parallelism or both:
        os.environ.setdefault("TF_NUM_INTEROP_THREADS", str(between))


def _serve(flags: argparse.Namespace, stop: threading.Event) -> None:
    access, tls = access_of(flags), tls_of(flags)
    writer = open_log(flags)
    listener = _listen(flags.host, flags.rest_api_port, "--rest_api_port")
    grpc_listener = _listen(flags.host, flags.port, "--port")
    unix_listener = _listen_unix(flags.grpc_socket_path)
    if not flags.unconfined:
        _confine(flags)
    metrics = ServingMetrics()
    models = _make_models(flags, writer, metrics)
    models.poll_models()
    for poll, wait in (
        (models.poll_models, flags.file_system_poll_wait_seconds),
        (models.poll_config, flags.model_config_file_poll_wait_seconds),
    ):
        args: tuple[Any, ...] = (poll, wait, stop)
        threading.Thread(target=_poll_forever, args=args, daemon=True, name="versions").start()
    if writer is not None and flags.prediction_log_compact_seconds:
        args = (flags, lambda: list(models.services), writer, stop)
        threading.Thread(target=compact_forever, args=args, daemon=True, name="log").start()
    rest = None
    if listener is not None:
        rest = _start_rest(models, flags, access, tls, listener, metrics)
    grpc_server = None
    grpc_listeners = [bound for bound in (grpc_listener, unix_listener) if bound is not None]
    if grpc_listeners:
        grpc_server = _start_grpc(models, flags, access, tls, grpc_listeners, metrics)
    rest_port, grpc_port = (
        None if bound is None else bound.getsockname()[1] for bound in (listener, grpc_listener)
    )
    _announce(flags, models, rest_port, grpc_port)
    # Looked at once a second: signals are handled between the waits.
    while not stop.wait(1.0):
        for server in (rest, grpc_server):
            if server is not None and not server.is_alive:
                raise RuntimeError("a server ended by itself; see the lines above")
    _LOG.info("stopping: requests that run are finished")
    if grpc_server is not None:
        grpc_server.stop(_GRACE_SECONDS)
    if rest is not None:
        rest.stop(_GRACE_SECONDS)
    if writer is not None:
        writer.close()
    _LOG.info("stopped")


def _confine(flags: argparse.Namespace) -> None:
    """Has the kernel refuse writes that serving does not need, before any model is opened."""
    folders = [
        tempfile.gettempdir(),
        flags.prediction_log,
        flags.ready_file and os.path.dirname(os.path.abspath(flags.ready_file)),
        flags.grpc_socket_path and os.path.dirname(os.path.abspath(flags.grpc_socket_path)),
    ]
    if refused := sandbox.confine_writes([folder for folder in folders if folder]):
        _LOG.warning("server confined=no kernel_refused=%s", refused)


def _listen(host: str, port: int, flag: str) -> socket.socket | None:
    if port == DISABLED_PORT:
        return None
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's delay (40 ms an answer) off only then.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise RuntimeError(f"cannot listen at {host}:{port} ({flag}): {error}") from error
    return listener


def _listen_unix(path: str | None) -> socket.socket | None:
    if not path:
        return None
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # What a server that was killed left behind; a plain file stays, and is an error.
        if os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode):
            os.unlink(path)
        listener.bind(path)
    except OSError as error:
        raise RuntimeError(f"cannot listen at {path} (--grpc_socket_path): {error}") from error
    return listener


def _make_models(
    flags: argparse.Namespace, writer: "PredictionLogWriter | None", metrics: ServingMetrics
) -> "ServedModels":
    from tfx_loop.deployment.model_server.model_config import (
        ModelConfig,
        local_folder,
        read_config_file,
    )

    file = flags.model_config_file
    configs: Sequence[ModelConfig] = (
        read_config_file(file)
        if file
        else [ModelConfig(name=flags.model_name, base_path=local_folder(flags.model_base_path))]
    )
    # TensorFlow takes seconds to import: only now that all else is known to be right.
    from tfx_loop.deployment.model_server.engine import PredictionEngine
    from tfx_loop.deployment.model_server.model_setup import ModelMaker
    from tfx_loop.deployment.model_server.served_models import ServedModels

    maker = ModelMaker(
        flags, writer, _clock_ms, PredictionEngine(flags.max_waiting_requests), metrics
    )
    polled = file and flags.model_config_file_poll_wait_seconds > 0
    models = ServedModels(maker.make, (lambda: read_config_file(file)) if polled else None)
    models.configure(configs)
    return models


def _poll_forever(poll: Callable[[], None], seconds: float, stop: threading.Event) -> None:
    while seconds > 0 and not stop.wait(seconds):
        poll()


def _start_rest(
    models: "ServedModels",
    flags: argparse.Namespace,
    access: "Access",
    tls: "TlsFiles | None",
    listener: socket.socket,
    metrics: ServingMetrics,
) -> "HttpServer":
    from tfx_loop.deployment.model_server.access_log import AccessLog
    from tfx_loop.deployment.model_server.http_server import HttpLimits, HttpServer
    from tfx_loop.deployment.model_server.rest import RestHandler, RestOptions

    path = None
    if flags.monitoring_config_file:
        prometheus = read_monitoring_config(flags.monitoring_config_file).prometheus_config
        path = (prometheus.path or DEFAULT_PATH) if prometheus.enable else None
    options = RestOptions(
        inflated_bytes=flags.max_request_bytes,
        metrics_path=path,
        cors=flags.rest_api_enable_cors_support,
    )
    log = AccessLog() if flags.access_log else None
    server = HttpServer(
        RestHandler(models, options, access, metrics, log),
        listener,
        HttpLimits(body_bytes=flags.max_request_bytes),
        tls.context() if tls is not None else None,
    )
    server.start()
    return server


def _start_grpc(
    models: "ServedModels",
    flags: argparse.Namespace,
    access: "Access",
    tls: "TlsFiles | None",
    listeners: Sequence[socket.socket],
    metrics: ServingMetrics,
) -> "GrpcServer":
    from tfx_loop.deployment.model_server.access_log import AccessLog
    from tfx_loop.deployment.model_server.grpc_server import GrpcServer
    from tfx_loop.deployment.model_server.grpc_service import GrpcOptions, add_services
    from tfx_loop.deployment.model_server.http_server import HttpLimits

    context = tls.context(["h2"]) if tls is not None else None
    if flags.ssl_config_file:
        context = ssl_context(flags.ssl_config_file)
    server = GrpcServer(
        listeners,
        HttpLimits(body_bytes=flags.max_request_bytes),
        access,
        context,
        AccessLog() if flags.access_log else None,
    )
    options = GrpcOptions(
        tensor_content=flags.enable_serialization_as_tensor_content,
        health=flags.enable_grpc_healthcheck_service,
    )
    add_services(models, options, metrics, server)
    server.start()
    return server


def _announce(
    flags: argparse.Namespace,
    models: "ServedModels",
    rest_port: int | None,
    grpc_port: int | None,
) -> None:
    from tfx_loop.core.storage import write_json

    state = "; ".join(_state_of(service) for service in models.services.values()) or "no model"
    log = f", logging to {flags.prediction_log}" if flags.prediction_log else ""
    if rest_port is not None:
        scheme = "https" if flags.tls_certificate else "http"
        name = next(iter(models.services), "NAME")
        address = f"{scheme}://{flags.host}:{rest_port}/v1/models/{name}"
        print(f"REST server ready at {address} ({state}{log})", flush=True)
    if grpc_port is not None:
        print(f"gRPC server ready at {flags.host}:{grpc_port} ({state}{log})", flush=True)
    if flags.ready_file:
        write_json(
            flags.ready_file,
            {"pid": os.getpid(), "rest_api_port": rest_port, "port": grpc_port},
        )


def _state_of(service: "ModelService") -> str:
    serving = service.serving_version()
    if serving is None:
        return f"no version yet in {service.config.base_path}"
    return f"version {serving}"


def _clock_ms() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    main()
