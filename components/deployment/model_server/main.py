"""The process of the model server: start, run, stop."""

import argparse
import gc
import logging
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from tfx_loop.core.errors import LoopError
from tfx_loop.deployment.model_server.access_log import start_logging
from tfx_loop.deployment.model_server.flags import PROGRAM, parse_flags
from tfx_loop.deployment.model_server.log_flags import compact_forever, open_log
from tfx_loop.deployment.model_server.serving_flags import tell_idle_flags
from tfx_loop.deployment.model_server.serving_metrics import WAITING, ServingMetrics
from tfx_loop.deployment.server_access.access_flags import access_of, tls_of
from tfx_loop.deployment.server_access.confinement import confine, folder_of
from tfx_loop.deployment.server_access.listeners import listen, listen_unix
from tfx_loop.models.guard import guard

if TYPE_CHECKING:
    from tfx_loop.data.prediction_log.writer import PredictionLogWriter
    from tfx_loop.deployment.model_server.served_models import ServedModels
    from tfx_loop.deployment.model_server.service import ModelService

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
    # Of a library that TensorFlow's stubs bring: it warns of Python 3.10, which TFX 1.16 needs.
    warnings.filterwarnings("ignore", category=FutureWarning, module="google")
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
    tracer = None
    if flags.traces:
        from tfx_loop.deployment.model_server.tracing import start_tracer

        tracer = start_tracer()
    writer = open_log(flags)
    listener = listen(flags.host, flags.rest_api_port, "--rest_api_port")
    grpc_listener = listen(flags.host, flags.port, "--port")
    unix_listener = listen_unix(flags.grpc_socket_path, "--grpc_socket_path")
    folders = [flags.prediction_log, folder_of(flags.ready_file, "--ready_file")]
    folders.append(
        flags.grpc_socket_path and os.path.dirname(os.path.abspath(flags.grpc_socket_path))
    )
    if not flags.unconfined:
        confine(_LOG, folders)
    metrics = ServingMetrics()
    models = _make_models(flags, writer, metrics)
    from tfx_loop.deployment.model_server.interfaces import Interfaces

    # TensorFlow's import leaves 400,000 objects, and a full collection would look at each while no
    # request is answered: half a second and more, as a rule when a version was loaded. What is
    # there before the first model stays out of it; models themselves are collected.
    gc.freeze()
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
    interfaces = Interfaces(
        models=models, flags=flags, access=access, tls=tls, metrics=metrics, tracer=tracer
    )
    rest = interfaces.start_rest(listener) if listener is not None else None
    bound = [each for each in (grpc_listener, unix_listener) if each is not None]
    grpc_server = interfaces.start_grpc(bound) if bound else None
    rest_port, grpc_port = (
        None if each is None else each.getsockname()[1] for each in (listener, grpc_listener)
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
    if tracer is not None:
        tracer.close()
    _LOG.info("stopped")


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

    engine = PredictionEngine(flags.max_waiting_requests)
    metrics.watch(WAITING, lambda: engine.waiting)
    maker = ModelMaker(flags, writer, _clock_ms, engine, metrics)
    polled = file and flags.model_config_file_poll_wait_seconds > 0
    models = ServedModels(maker.make, (lambda: read_config_file(file)) if polled else None)
    models.configure(configs)
    return models


def _poll_forever(poll: Callable[[], None], seconds: float, stop: threading.Event) -> None:
    while seconds > 0 and not stop.wait(seconds):
        poll()


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
