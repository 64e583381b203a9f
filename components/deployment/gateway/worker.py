"""One process of the gateway: its event loop, its listeners, what is looked at now and then."""

import argparse
import asyncio
import contextlib
import hmac
import json
import logging
import signal
import socket
import ssl
from collections.abc import Callable
from typing import Any

from tfx_loop.core.errors import ConfigError, LoopError
from tfx_loop.core.key_file import read_keys
from tfx_loop.data.prediction_log.writer import LogSync
from tfx_loop.deployment.gateway.counters import Counters
from tfx_loop.deployment.gateway.gate import Gate, now_ms
from tfx_loop.deployment.gateway.grpc_client import GrpcClient
from tfx_loop.deployment.gateway.grpc_upstream import GrpcUpstream
from tfx_loop.deployment.gateway.limits import Limits
from tfx_loop.deployment.gateway.raw_log import RawLog, RawLogSettings
from tfx_loop.deployment.gateway.recorded_routes import record_reader
from tfx_loop.deployment.gateway.rest_client import RestClient
from tfx_loop.deployment.gateway.rest_upstream import RestUpstream, UpstreamAddress
from tfx_loop.deployment.gateway.routes import CANARY, Route, RoutingTable
from tfx_loop.deployment.server_access.access_flags import access_of, tls_of
from tfx_loop.deployment.server_access.listeners import DISABLED_PORT

_LOG = logging.getLogger(__name__)
# Deadlines end to this: finer costs time with many connections, coarser is felt.
_SWEEP_SECONDS = 0.25
_PROBE_SECONDS = 2.0
# A push waits for the servers that it moves; a second is short beside the loading of a model.
_ROUTING_SECONDS = 1.0
# Connections that the kernel holds while the loop is busy: as many as may be asked at once.
_BACKLOG = 1024


class GatewayWorker:
    """A process that serves."""

    def __init__(self, flags: argparse.Namespace, counters: Counters) -> None:
        """Puts the parts together; call on the event loop. Raises LoopError and OSError."""
        self._loop = asyncio.get_running_loop()
        self._counters = counters
        self._flags = flags
        self._log = self._open_log()
        self._table, self._read_table = _routing(flags)
        self._gate = Gate(
            access=access_of(flags),
            guarded=bool(flags.token_file or flags.requests_per_second),
            takes_tokens=bool(flags.token_file or flags.admin_token_file),
            limits=Limits(
                max_request_bytes=flags.max_request_bytes,
                max_requests=flags.max_requests,
                max_connections=flags.max_connections,
                timeout_seconds=flags.timeout_seconds,
                client_seconds=flags.client_timeout_seconds,
                idle_seconds=flags.idle_seconds,
                max_logged_bytes=flags.raw_log_max_call_bytes,
            ),
            counters=counters,
            log=self._log,
            sampling_rate=flags.raw_log_sampling_rate,
            routing=lambda: self._table,
            is_golden=_golden_check(flags.model_base_path),
            own_answer=self._own_answer,
        )
        self._rest, self._grpc = list[RestUpstream](), list[GrpcUpstream]()
        self._rest_clients, self._grpc_clients = set[RestClient](), set[GrpcClient]()
        self._add_upstreams()
        self._stop = asyncio.Event()

    async def serve(
        self, rest: socket.socket | None, grpc: socket.socket | None, ready: Callable[[], None]
    ) -> None:
        """Serves on listening sockets until SIGTERM or SIGINT, then finishes what is under way."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop.set)
        tls = tls_of(self._flags)
        servers = []
        for listener, make, protocols in (
            (rest, self._rest_client, ("http/1.1",)),
            (grpc, self._grpc_client, ("h2",)),
        ):
            if listener is not None:
                context = tls.context(protocols) if tls is not None else None
                servers.append(
                    await self._loop.create_server(
                        make, sock=listener, ssl=context, backlog=_BACKLOG
                    )
                )
        work = [self._every(_SWEEP_SECONDS, self._sweep), self._probe()]
        if self._read_table is not None:
            work.append(self._every(_ROUTING_SECONDS, self._take_table))
        tasks = [self._loop.create_task(one) for one in work]
        ready()
        await self._stop.wait()
        await self._drain(servers)
        for task in tasks:
            task.cancel()
        if self._log is not None:
            self._log.close()

    def _open_log(self) -> RawLog | None:
        flags = self._flags
        if not flags.raw_log:
            return None
        keys = read_keys(flags.raw_log_key, make=True) if flags.raw_log_key else ()
        settings = RawLogSettings(
            directory=flags.raw_log,
            sync=LogSync(flags.raw_log_sync),
            sync_seconds=flags.raw_log_sync_seconds,
            segment_bytes=flags.raw_log_segment_bytes,
            max_bytes=flags.raw_log_max_bytes,
            key=keys[0] if keys else None,
        )
        try:
            return RawLog(settings, self._counters, now_ms)
        except OSError as error:
            raise RuntimeError(f"--raw_log={flags.raw_log} cannot be written: {error}") from error

    def _add_upstreams(self) -> None:
        flags = self._flags
        tls, grpc_tls = _upstream_tls(flags.upstream_ca_file), _upstream_tls(flags.upstream_ca_file)
        if grpc_tls is not None:
            grpc_tls.set_alpn_protocols(["h2"])
        places = [(flags.upstream, flags.upstream_rest_port)]
        if flags.canary_upstream:
            places.append((flags.canary_upstream, flags.canary_upstream_rest_port))
        for (host, port), rest_port in places:
            rest = UpstreamAddress(self._gate, "rest", host, rest_port, tls)
            grpc = UpstreamAddress(self._gate, "grpc", host, port, grpc_tls)
            self._rest.append(RestUpstream(self._gate, rest))
            self._grpc.append(GrpcUpstream(self._gate, grpc))

    def _rest_client(self) -> RestClient:
        return RestClient(self._gate, self._rest, self._rest_clients)

    def _grpc_client(self) -> GrpcClient:
        return GrpcClient(self._gate, self._grpc, self._grpc_clients)

    @property
    def _clients(self) -> list[RestClient | GrpcClient]:
        return [*self._rest_clients, *self._grpc_clients]

    @property
    def _addresses(self) -> list[UpstreamAddress]:
        used = list[UpstreamAddress]()
        if self._flags.rest_api_port != DISABLED_PORT:
            used += [upstream.address for upstream in self._rest]
        if self._flags.port != DISABLED_PORT:
            used += [upstream.address for upstream in self._grpc]
        return used

    def _own_answer(self, path: str) -> tuple[int, bytes, str] | None:
        path = path.partition("?")[0]
        upstreams = {address.name: address.up for address in self._addresses}
        if path == "/gateway/metrics":
            return 200, self._counters.exposition(upstreams), "text/plain; version=0.0.4"
        if path == "/gateway/healthz":
            return 200, b'{"state": "alive"}', "application/json"
        if path == "/gateway/readyz":
            ready = all(upstreams.values()) and not self._gate.draining
            state = {"ready": ready, "draining": self._gate.draining, "upstreams": upstreams}
            return 200 if ready else 503, json.dumps(state).encode(), "application/json"
        return None

    async def _every(self, seconds: float, work: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                work()
            except Exception:
                # What serves must not end because what tidies up did.
                _LOG.exception("a look at what is under way failed")

    def _sweep(self) -> None:
        now = self._loop.time()
        for client in self._clients:
            client.sweep(now)

    def _take_table(self) -> None:
        assert self._read_table is not None
        self._table = self._read_table()

    async def _probe(self) -> None:
        """Looks whether upstreams can be reached, so that readiness is known without requests."""
        while True:
            for address in self._addresses:
                with contextlib.suppress(OSError):
                    await address.connect(_Probe())
            await asyncio.sleep(_PROBE_SECONDS)

    async def _drain(self, servers: list[Any]) -> None:
        _LOG.info("stopping: requests under way are finished")
        self._gate.draining = True
        for server in servers:
            server.close()
        until = self._loop.time() + self._flags.drain_seconds
        while self._loop.time() < until:
            if not self._clients:
                break
            for client in self._clients:
                # Clients whose last answer left are closed in each look, so looks are close
                # together.
                client.drain()
            await asyncio.sleep(0.02)
        left = self._gate.in_flight
        for client in self._clients:
            client.abort()
        for rest in self._rest:
            rest.close()
        for grpc in self._grpc:
            grpc.close()
        # One turn of the loop, in which transports that were closed just now say goodbye.
        await asyncio.sleep(0)
        _LOG.info("stopped cancelled_requests=%d", left)


class _Probe(asyncio.Protocol):
    """A connection that is closed when it is made."""

    def connection_made(self, transport: Any) -> None:
        transport.close()


def _upstream_tls(ca_file: str | None) -> ssl.SSLContext | None:
    if not ca_file:
        return None
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ConfigError(
            f"Expected certificates (PEM) in --upstream_ca_file={ca_file}, received: {error}."
        ) from error


def _routing(
    flags: argparse.Namespace,
) -> tuple[RoutingTable, Callable[[], RoutingTable] | None]:
    if flags.model_base_path:
        read = record_reader(flags.model_base_path, flags.model_name)
        return read(), read
    canary = None
    if flags.canary_share is not None:
        canary = Route(
            name=CANARY,
            changed=True,
            upstream=1 if flags.canary_upstream else 0,
            version=flags.canary_version,
            label=flags.canary_label or "",
        )
    return (
        RoutingTable(
            model=flags.model_name,
            labels=dict(flags.label or ()),
            canary=canary,
            canary_share=flags.canary_share or 0.0,
        ),
        None,
    )


def _golden_check(base_path: str | None) -> Callable[[str], bool]:
    """Returns what tells the requests of the push that holds a base path."""
    if not base_path:
        return lambda token: False
    from pathlib import Path

    from tfx_loop.contracts.deployment_record import PUSH_LOCK
    from tfx_loop.core.conditional_files import FolderFiles
    from tfx_loop.core.expiring_lock import lock_token

    files = FolderFiles(Path(base_path))

    def is_golden(token: str) -> bool:
        try:
            held = lock_token(files.read(PUSH_LOCK)) if token else ""
        except (OSError, LoopError) as error:
            _LOG.warning("golden state=not_marked error=%s", error)
            return False
        # In constant time: how far a token matches must not show in how long the answer takes.
        return bool(held) and hmac.compare_digest(held.encode(), token.encode())

    return is_golden
