"""The process of the model server: start, run, stop."""

import argparse
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tfx_loop.core.child_process import sandbox
from tfx_loop.core.errors import LoopError
from tfx_loop.deployment.model_server.flags import DISABLED_PORT, PROGRAM, parse_flags
from tfx_loop.deployment.model_server.log_flags import compact_forever, make_gateway, open_log
from tfx_loop.models.guard import guard

if TYPE_CHECKING:
    from tfx_loop.data.prediction_log.writer import PredictionLogWriter
    from tfx_loop.deployment.model_server.access import Access
    from tfx_loop.deployment.model_server.logging_gateway import Servable
    from tfx_loop.deployment.model_server.service import ModelService
    from tfx_loop.deployment.model_server.tls import TlsFiles
    from tfx_loop.deployment.model_server.versions import Versions

_LOG = logging.getLogger(PROGRAM)
# For requests that run; Kubernetes by default kills after 30.
_GRACE_SECONDS = 10
# The port is bound already: this only ends a start that hangs.
_START_SECONDS = 30


def main(arguments: list[str] | None = None) -> NoReturn:
    """Serves until SIGTERM or SIGINT, then ends the process."""
    flags = parse_flags(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
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


def _serve(flags: argparse.Namespace, stop: threading.Event) -> None:
    access, tls = _make_access(flags), _check_tls(flags)
    writer = open_log(flags)
    listener = _listen(flags.host, flags.rest_api_port)
    if not flags.unconfined:
        _confine(flags)
    versions = _make_versions(flags)
    poller = threading.Thread(
        target=_poll_forever,
        args=(versions, flags.file_system_poll_wait_seconds, stop),
        daemon=True,
        name="versions",
    )
    _poll(versions)
    poller.start()
    if writer is not None and flags.prediction_log_compact_seconds:
        args = (flags, writer, stop)
        threading.Thread(target=compact_forever, args=args, daemon=True, name="log").start()
    service = _make_service(flags, versions, writer)
    rest = None
    if listener is not None:
        app = _make_app(service, flags, access)
        rest = _start_rest(app, tls, listener)
    grpc_server, grpc_port = _start_grpc(service, flags, access, tls)
    rest_port = None if listener is None else listener.getsockname()[1]
    _announce(flags, versions, rest_port, grpc_port)
    # Looked at once a second: signals are handled between the waits.
    while not stop.wait(1.0):
        if rest is not None and not rest[1].is_alive():
            raise RuntimeError("the REST server ended by itself; see the lines above")
    _LOG.info("stopping: requests that run are finished")
    if grpc_server is not None:
        grpc_server.stop(_GRACE_SECONDS).wait()
    if rest is not None:
        rest[0].should_exit = True
        rest[1].join(_GRACE_SECONDS + 5)
    if writer is not None:
        writer.close()
    _LOG.info("stopped")


def _confine(flags: argparse.Namespace) -> None:
    """Has the kernel refuse writes that serving does not need, before any model is opened."""
    folders = [
        tempfile.gettempdir(),
        flags.prediction_log,
        flags.ready_file and os.path.dirname(os.path.abspath(flags.ready_file)),
    ]
    if refused := sandbox.confine_writes([folder for folder in folders if folder]):
        _LOG.warning("server confined=no kernel_refused=%s", refused)


def _make_access(flags: argparse.Namespace) -> "Access":
    from tfx_loop.deployment.model_server.access import Access

    return Access(
        clock=time.monotonic,
        token_file=flags.token_file,
        admin_token_file=flags.admin_token_file,
        requests_per_second=flags.requests_per_second,
    )


def _check_tls(flags: argparse.Namespace) -> "TlsFiles | None":
    from tfx_loop.deployment.model_server.tls import TlsFiles

    if not flags.tls_certificate:
        return None
    tls = TlsFiles(
        certificate=flags.tls_certificate, key=flags.tls_key, client_ca=flags.tls_client_ca or ""
    )
    tls.check()
    return tls


def _listen(host: str, port: int) -> socket.socket | None:
    if port == DISABLED_PORT:
        return None
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's delay (40 ms an answer) off only then.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise RuntimeError(f"cannot listen at {host}:{port} (--rest_api_port): {error}") from error
    return listener


def _make_versions(flags: argparse.Namespace) -> "Versions[Servable]":
    from tfx_loop.models.signing.signer import Trust

    trust = Trust.read(flags.public_key) if flags.public_key else None
    # TensorFlow takes seconds to import: only now that all else is known to be right.
    from tfx_loop.contracts.deployment_record import CANDIDATE_PREFIX
    from tfx_loop.deployment.model_server.loading import load_version
    from tfx_loop.deployment.model_server.routing import routing_reader
    from tfx_loop.deployment.model_server.version_folders import list_versions
    from tfx_loop.deployment.model_server.versions import LoadRetries, Versions

    return Versions(
        flags.model_name,
        list_folders=lambda: list_versions(flags.model_base_path),
        list_candidates=lambda: list_versions(flags.model_base_path, CANDIDATE_PREFIX),
        read_routing=routing_reader(flags.model_base_path, flags.model_name),
        load=lambda version, folder: load_version(
            version, folder, flags.prefer_tflite_model, trust
        ),
        clock=time.monotonic,
        retries=LoadRetries(
            max_retries=flags.max_num_load_retries,
            interval_seconds=flags.load_retry_interval_micros / 1e6,
        ),
    )


def _make_service(
    flags: argparse.Namespace, versions: "Versions[Servable]", writer: "PredictionLogWriter | None"
) -> "ModelService":
    from tfx_loop.contracts.deployment_record import PUSH_LOCK
    from tfx_loop.core.conditional_files import FolderFiles
    from tfx_loop.core.expiring_lock import lock_token
    from tfx_loop.core.redaction import Redaction
    from tfx_loop.deployment.model_server.service import ModelService

    gateway = make_gateway(flags, writer, _clock_ms)
    files = FolderFiles(Path(flags.model_base_path))
    return ModelService(
        flags.model_name,
        versions,
        gateway,
        _clock_ms,
        push_token=lambda: lock_token(files.read(PUSH_LOCK)),
        poll=versions.poll,
        redaction=Redaction(features=frozenset(flags.prediction_log_redact or ())),
    )


def _poll_forever(versions: "Versions[Servable]", seconds: float, stop: threading.Event) -> None:
    while seconds > 0 and not stop.wait(seconds):
        _poll(versions)


def _poll(versions: "Versions[Servable]") -> None:
    try:
        versions.poll()
    except Exception:
        # A file system that is away comes back: what is loaded serves on, and is looked at again.
        _LOG.exception("cannot look at the base path")


def _make_app(service: "ModelService", flags: argparse.Namespace, access: "Access") -> Any:
    from tfx_loop.deployment.model_server.rest import make_app

    return make_app(service, flags.max_request_bytes, access)


def _start_rest(
    app: Any, tls: "TlsFiles | None", listener: socket.socket
) -> tuple[Any, threading.Thread]:
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        # A header that any client can write must not choose whose rate is counted.
        proxy_headers=False,
        **(tls.uvicorn_settings() if tls is not None else {}),
        timeout_keep_alive=60,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = uvicorn.Server(config)
    # Off the main thread uvicorn leaves signals alone, and both servers stop in order.
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True, name="rest")
    thread.start()
    deadline = time.monotonic() + _START_SECONDS
    # uvicorn has no event to wait for.
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the REST server did not start; see the lines above")
        time.sleep(0.01)
    return server, thread


def _start_grpc(
    service: "ModelService",
    flags: argparse.Namespace,
    access: "Access",
    tls: "TlsFiles | None",
) -> tuple[Any, int | None]:
    if flags.port == DISABLED_PORT:
        return None, None
    from tfx_loop.deployment.model_server.grpc_service import make_server

    server = make_server(service, flags.max_request_bytes, flags.threads, access)
    host = f"[{flags.host}]" if ":" in flags.host else flags.host
    address = f"{host}:{flags.port}"
    try:
        if tls is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, tls.grpc_credentials())
    except RuntimeError as error:
        raise RuntimeError(f"cannot listen at {host}:{flags.port} (--port): {error}") from error
    if port == 0:
        raise RuntimeError(f"cannot listen at {host}:{flags.port} (--port)")
    server.start()
    return server, port


def _announce(
    flags: argparse.Namespace,
    versions: "Versions[Servable]",
    rest_port: int | None,
    grpc_port: int | None,
) -> None:
    from tfx_loop.core.storage import write_json

    known = [status for status in versions.statuses() if status.version not in versions.beside]
    serving = [status.version for status in known if status.state.name == "AVAILABLE"]
    state = f"version {serving[0]}" if serving else f"no version yet in {flags.model_base_path}"
    log = f", logging to {flags.prediction_log}" if flags.prediction_log else ""
    if rest_port is not None:
        scheme = "https" if flags.tls_certificate else "http"
        address = f"{scheme}://{flags.host}:{rest_port}/v1/models/{flags.model_name}"
        print(f"REST server ready at {address} ({state}{log})", flush=True)
    if grpc_port is not None:
        print(f"gRPC server ready at {flags.host}:{grpc_port} ({state}{log})", flush=True)
    if flags.ready_file:
        write_json(
            flags.ready_file,
            {"pid": os.getpid(), "rest_api_port": rest_port, "port": grpc_port},
        )


def _clock_ms() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    main()
