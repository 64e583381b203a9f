"""The processes of the gateway: start, run, stop."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from tfx_loop.core.errors import LoopError
from tfx_loop.core.storage import private_folder
from tfx_loop.deployment.gateway.flags import PROGRAM, parse_flags
from tfx_loop.deployment.server_access.confinement import confine, folder_of
from tfx_loop.deployment.server_access.listeners import listen

if TYPE_CHECKING:
    from tfx_loop.deployment.gateway.counters import Counters

_LOG = logging.getLogger(PROGRAM)
# A process that ends at once, again and again, must not take the machine with it.
_RESTART_SECONDS = 1.0


def main(words: list[str] | None = None) -> NoReturn:
    """Serves until SIGTERM or SIGINT, then ends the process."""
    flags = parse_flags(words)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    code = 0
    try:
        _start(flags)
    except (OSError, RuntimeError, LoopError) as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        code = 1
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _start(flags: argparse.Namespace) -> None:
    from tfx_loop.deployment.gateway.counters import Counters
    from tfx_loop.deployment.server_access.access_flags import access_of, tls_of

    # What is wrong with files is said once, by the first process.
    access_of(flags), tls_of(flags)
    shared = flags.processes > 1
    rest = listen(flags.host, flags.rest_api_port, "--rest_api_port", shared=shared)
    grpc = listen(flags.host, flags.port, "--port", shared=shared)
    ports = [None if one is None else one.getsockname()[1] for one in (rest, grpc)]
    # After the ports are bound and before any thread or child: Landlock holds for those to come.
    _confine(flags)
    counters = Counters(flags.processes)
    if not shared:
        _serve(flags, counters, 0, rest, grpc, lambda: _announce(flags, *ports))
        return
    _supervise(flags, counters, ports)


def _confine(flags: argparse.Namespace) -> None:
    """Has the kernel refuse writes that serving does not need."""
    folders = [
        flags.raw_log,
        folder_of(flags.raw_log_key, "--raw_log_key"),
        folder_of(flags.ready_file, "--ready_file"),
    ]
    if flags.raw_log and not os.path.isdir(flags.raw_log):
        try:
            private_folder(flags.raw_log)
        except OSError as error:
            raise RuntimeError(f"--raw_log={flags.raw_log} cannot be written: {error}") from error
    confine(_LOG, folders)


def _serve(
    flags: argparse.Namespace,
    counters: "Counters",
    process: int,
    rest: socket.socket | None,
    grpc: socket.socket | None,
    ready: Callable[[], None],
) -> None:
    import uvloop

    from tfx_loop.deployment.gateway.worker import GatewayWorker

    counters.take_row(process)

    async def run() -> None:
        await GatewayWorker(flags, counters).serve(rest, grpc, ready)

    uvloop.install()
    asyncio.run(run())


def _supervise(flags: argparse.Namespace, counters: "Counters", ports: list[int | None]) -> None:
    """Keeps as many processes as were asked for, until it is told to stop."""
    stopping = False
    children: dict[int, int] = {}

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    for process in range(flags.processes):
        children[_fork(flags, counters, process, ports)] = process
    _announce(flags, *ports)
    while children:
        try:
            child, status = os.wait()
        except InterruptedError:
            continue
        process = children.pop(child, -1)
        if process < 0:
            continue
        counters.leave_row(process)
        if not stopping:
            _LOG.error("process=%d state=ended status=%d restarts=yes", child, status)
            time.sleep(_RESTART_SECONDS)
        # Asked again: the word to stop may come while it waits.
        if not stopping:
            children[_fork(flags, counters, process, ports)] = process


def _fork(
    flags: argparse.Namespace, counters: "Counters", process: int, ports: list[int | None]
) -> int:
    child = os.fork()
    if child:
        return child
    code = 0
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        rest, grpc = (
            # Each process binds for itself (SO_REUSEPORT), so that the kernel spreads connections.
            None if port is None else listen(flags.host, port, flag, shared=True)
            for port, flag in zip(ports, ("--rest_api_port", "--port"), strict=True)
        )
        _serve(flags, counters, process, rest, grpc, lambda: None)
    except (OSError, RuntimeError, LoopError) as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        code = 1
    finally:
        logging.shutdown()
        sys.stderr.flush()
        os._exit(code)


def _announce(flags: argparse.Namespace, rest_port: int | None, grpc_port: int | None) -> None:
    from tfx_loop.core.storage import write_json

    log = f", logging to {flags.raw_log}" if flags.raw_log else ""
    upstream = "{}:{}".format(*flags.upstream)
    if rest_port is not None:
        scheme = "https" if flags.tls_certificate else "http"
        print(
            f"REST gateway ready at {scheme}://{flags.host}:{rest_port} (to {upstream}{log})",
            flush=True,
        )
    if grpc_port is not None:
        print(f"gRPC gateway ready at {flags.host}:{grpc_port} (to {upstream}{log})", flush=True)
    if flags.ready_file:
        write_json(
            flags.ready_file, {"pid": os.getpid(), "rest_api_port": rest_port, "port": grpc_port}
        )


if __name__ == "__main__":
    main()
