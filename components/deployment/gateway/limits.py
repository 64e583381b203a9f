"""Limits of the gateway: sizes, requests, connections and time-outs of clients and upstreams."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a client may take.

    Attributes:
        max_request_bytes: Of a body, or of a gRPC message.
        max_requests: Under way at once in a process; more are refused at once.
        max_connections: Of clients at once in a process, for each protocol.
        timeout_seconds: An answer that makes no progress for this long is given up.
        client_seconds: A request that makes no progress for this long is given up.
        idle_seconds: A connection without requests is closed.
        max_logged_bytes: Of request and answer together; larger calls are not logged.
        max_captured_bytes: Of all calls under way that are kept for the log, in a process.
    """

    max_request_bytes: int = 16 * 1024 * 1024
    # Beyond what an upstream works on at once, requests only wait, and hold memory while they do.
    max_requests: int = 1024
    max_connections: int = 4096
    timeout_seconds: float = 60.0
    client_seconds: float = 30.0
    idle_seconds: float = 300.0
    max_logged_bytes: int = 16 * 1024 * 1024
    max_captured_bytes: int = 256 * 1024 * 1024
