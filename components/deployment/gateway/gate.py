"""State that all connections of one process share: admission, identity, routing, the log."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tfx_loop.data.prediction_log.raw_calls import RawCall, position_key
from tfx_loop.data.prediction_log.record import (
    MAX_EVENT_TIME_MS,
    check_event_time,
    check_request_id,
    sampling_position,
)
from tfx_loop.deployment.gateway.counters import LARGE, MEMORY, PROTOCOLS, Counters, outcome_places
from tfx_loop.deployment.gateway.counters import place as counter_place
from tfx_loop.deployment.gateway.counters import plain_place as plain
from tfx_loop.deployment.gateway.limits import Limits
from tfx_loop.deployment.gateway.raw_log import RawLog
from tfx_loop.deployment.gateway.routes import CANARY, Route, RoutingTable
from tfx_loop.deployment.server_access.access import Access
from tfx_loop.deployment.server_access.headers import (
    IDENTITY_HEADERS,
    REQUEST_KEY_HEADER,
)
from tfx_loop.deployment.server_access.trace_context import trace_id_of

_IDENTITY = tuple(header.encode() for header in IDENTITY_HEADERS)
IDENTITY = frozenset(_IDENTITY)
REQUEST_ID, EVENT_TIME, REQUEST_KEY, GOLDEN, TRACEPARENT = _IDENTITY
# A system call for so many ids, 4 KiB, costs no more than one for a single id.
_DRAWN_IDS = 256


@dataclass
class Identity:
    """Which request it is.

    Attributes:
        request_id: The client's, or a new one.
        is_new: Whether it is new.
        request_key: The client's; empty for none.
        event_time_ms: The client's, or now.
        golden: Whether the pusher asks.
        trace_id: The trace that it belongs to; empty for none.
    """

    request_id: str
    is_new: bool
    request_key: str
    event_time_ms: int
    golden: bool = False
    trace_id: str = ""

    @property
    def routing_key(self) -> str:
        """What a request and its repeats are routed by, as in the model server."""
        return self.request_key or self.request_id


@dataclass
class Capture:
    """Bytes of a call that are kept until it is answered.

    Attributes:
        request: Pieces of the request's body.
        response: Of the answer's.
        size: Of both.
        lost: Why it cannot be logged; empty where it can.
    """

    request: list[bytes] = field(default_factory=list)
    response: list[bytes] = field(default_factory=list)
    size: int = 0
    lost: str = ""


class Gate:
    """Shared state of the connections of one process."""

    def __init__(
        self,
        *,
        access: Access,
        guarded: bool,
        takes_tokens: bool,
        limits: Limits,
        counters: Counters,
        log: RawLog | None,
        sampling_rate: float,
        routing: Callable[[], RoutingTable],
        is_golden: Callable[[str], bool],
        own_answer: Callable[[str], tuple[int, bytes, str] | None] = lambda _: None,
    ) -> None:
        """Puts the parts together; call on the event loop.

        Args:
            access: Who may call.
            guarded: Whether tokens or rates are asked for at all.
            takes_tokens: Whether tokens are this gateway's, so that no upstream gets them.
            limits: What a client may take.
            counters: Rows of numbers.
            log: Where calls go; None logs nothing.
            sampling_rate: Share of calls that is logged.
            routing: Returns labels and canary as they are now.
            is_golden: Says whether a header's token is that of the push under way.
            own_answer: Returns code, body and type of the gateway's own paths.
        """
        self.loop = asyncio.get_running_loop()
        self.access, self.guarded, self.takes_tokens = access, guarded, takes_tokens
        self.limits, self.counters, self.log = limits, counters, log
        self.routing, self.own_answer = routing, own_answer
        self.draining = False
        self._sampling_rate = sampling_rate
        self._is_golden = is_golden
        self.outcomes = {protocol: outcome_places(protocol) for protocol in PROTOCOLS}
        self._seconds = {p: counter_place("seconds", p, "0") for p in PROTOCOLS}
        self._flying = {p: counter_place("in_flight", p) for p in PROTOCOLS}
        self._sampled_out = {p: counter_place("sampled_out_calls", p) for p in PROTOCOLS}
        self._captured = plain("captured_bytes")
        self._routed = {
            (protocol, name): counter_place("routed", protocol, name or "stable")
            for protocol in PROTOCOLS
            for name in ("", CANARY)
        }
        self._ids: list[str] = []
        self.in_flight = 0

    def admit(self, authorization: bytes, address: str, admin: bool) -> None:
        """Raises AccessRefused where a call is not to be answered."""
        if self.guarded or admin:
            caller = self.access.authenticate(authorization.decode("latin-1"), address, admin=admin)
            self.access.count(caller)

    def identify(self, headers: Mapping[bytes, bytes]) -> Identity:
        """Returns the identity that a client gave, or a new one.

        Args:
            headers: Of IDENTITY_HEADERS, those that the client sent, in lower case.

        Raises:
            DataError: A header has a value that cannot be.
        """
        given = {name: value.decode("latin-1") for name, value in headers.items()}
        request_id = given.get(REQUEST_ID)
        event_time, key = given.get(EVENT_TIME), given.get(REQUEST_KEY)
        return Identity(
            request_id=self._new_id() if request_id is None else check_request_id(request_id),
            is_new=request_id is None,
            request_key="" if key is None else check_request_id(key, REQUEST_KEY_HEADER),
            # A clock gone wrong must not make records that no reader takes.
            event_time_ms=min(now_ms(), MAX_EVENT_TIME_MS)
            if event_time is None
            else check_event_time(event_time),
            golden=GOLDEN in given and self._is_golden(given[GOLDEN]),
            trace_id=trace_id_of(given[TRACEPARENT]) if TRACEPARENT in given else "",
        )

    def _new_id(self) -> str:
        """Returns 128 random bits as text, many of which are drawn by one system call."""
        if not self._ids:
            drawn = os.urandom(_DRAWN_IDS * 16).hex()
            # 16 bytes are 32 hexadecimal digits.
            self._ids = [drawn[i : i + 32] for i in range(0, len(drawn), 32)]
        return self._ids.pop()

    def begin(self, protocol: str) -> bool:
        """Counts a request that begins; False where there are too many."""
        if self.in_flight >= self.limits.max_requests:
            return False
        self.in_flight += 1
        # Rows are this process's own, in memory that all processes of the gateway share: no lock is
        # needed.
        self.counters.row[self._flying[protocol]] += 1
        return True

    def end(self, protocol: str, outcome: str, started: float) -> None:
        """Counts a request that `begin` let in, by what became of it."""
        self.in_flight -= 1
        row = self.counters.row
        row[self._flying[protocol]] -= 1
        row[self.outcomes[protocol][outcome]] += 1
        self.counters.observe(self._seconds[protocol], time.perf_counter() - started)

    def refuse(self, protocol: str, outcome: str) -> None:
        """Counts a request that never began."""
        self.counters.row[self.outcomes[protocol][outcome]] += 1

    def routed(self, protocol: str, route: Route) -> None:
        """Counts where a request goes."""
        self.counters.row[self._routed[protocol, route.name]] += 1

    def capture(self, identity: Identity, protocol: str) -> Capture | None:
        """Returns where a call's bytes are kept; None where it is known not to be logged."""
        if self.log is None:
            return None
        rate = self._rate(identity)
        # What such calls are sampled by needs no body: those left out cost nothing.
        known = identity.is_new or bool(identity.request_key)
        if rate < 1.0 and known and sampling_position(identity.routing_key) >= rate:
            self.counters.row[self._sampled_out[protocol]] += 1
            return None
        return Capture()

    def keep(self, capture: Capture, pieces: list[bytes], piece: bytes) -> None:
        """Keeps a piece of a body for the log, as long as there is room for it."""
        if capture.lost:
            return
        size = len(piece)
        # What exceeds the limits is given up at once and not at the end: a log must not take the
        # memory that answers need.
        capture.size += size
        row = self.counters.row
        if capture.size > self.limits.max_logged_bytes:
            self._lose(capture, LARGE, size)
        elif row[self._captured] + size > self.limits.max_captured_bytes:
            self._lose(capture, MEMORY, size)
        else:
            row[self._captured] += size
            pieces.append(piece)

    def release(self, capture: Capture) -> None:
        """Gives back the room of a call that is over."""
        if not capture.lost:
            self.counters.row[self._captured] -= capture.size
            capture.lost = "released"
        capture.request, capture.response = [], []

    def _lose(self, capture: Capture, reason: str, size: int) -> None:
        # `size` is the piece that did not fit, which was never counted as captured.
        self.counters.row[self._captured] -= capture.size - size
        capture.lost = reason
        capture.request, capture.response = [], []

    def _rate(self, identity: Identity) -> float:
        # Golden requests are a push's evidence: all are kept, and no window counts them.
        return 1.0 if identity.golden else self._sampling_rate

    def log_call(
        self,
        capture: Capture,
        identity: Identity,
        *,
        protocol: str,
        target: str,
        model_version: int,
        started: float,
        route: Route,
        encodings: tuple[str, str],
        answer: Callable[[], None],
    ) -> None:
        """Logs a call, then answers it; answers at once where it is not logged."""
        assert self.log is not None
        if capture.lost:
            self.log.count_unlogged(protocol, capture.lost)
            answer()
            return
        request, response = b"".join(capture.request), b"".join(capture.response)
        self.release(capture)
        rate = self._rate(identity)
        # An id alone may come with several bodies: those are sampled by id, path and body, as the
        # model server does, so now that the body is whole.
        if rate < 1.0 and not (identity.is_new or identity.request_key):
            key = position_key(identity.request_id, "", False, target, request)
            if sampling_position(key) >= rate:
                self.counters.row[self._sampled_out[protocol]] += 1
                answer()
                return
        call = RawCall(
            protocol=protocol,
            target=target,
            model_version=model_version,
            request_id=identity.request_id,
            request_key=identity.request_key,
            is_new=identity.is_new,
            event_time_ms=identity.event_time_ms,
            answered_time_ms=now_ms(),
            latency_ms=(time.perf_counter() - started) * 1000,
            sampling_rate=rate,
            golden=identity.golden,
            route=route.name,
            request_encoding=encodings[0],
            response_encoding=encodings[1],
            request=request,
            response=response,
            trace_id=identity.trace_id,
        )
        self.log.append(call.encode(), protocol, answer)


def now_ms() -> int:
    """Returns milliseconds since the epoch, UTC."""
    return time.time_ns() // 1_000_000
