"""Heads of gRPC's calls and answers, read once for all that have the same headers."""

import functools
from dataclasses import dataclass

from tfx_loop.core.errors import DataError
from tfx_loop.deployment.gateway.gate import IDENTITY, REQUEST_ID
from tfx_loop.deployment.gateway.model_spec import PREDICTIONS, ROUTED
from tfx_loop.deployment.server_access.grpc_wire import timeout_seconds
from tfx_loop.deployment.server_access.headers import VERSION_HEADER
from tfx_loop.deployment.server_access.http2_frames import Headers, encode_headers

# grpc.github.io/grpc/core/md_doc_statuscodes.html
CANCELLED, INVALID_ARGUMENT, DEADLINE_EXCEEDED, PERMISSION_DENIED = 1, 3, 4, 7
RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE, UNAUTHENTICATED = 8, 13, 14, 16
_VERSION = VERSION_HEADER.encode()


@dataclass(frozen=True)
class RequestHead:
    """What the headers of a call say; calls with the same headers share it.

    Attributes:
        path: `/package.Service/Method`.
        block: All headers but id and authorization, encoded.
        given: Those that name the request.
        authorization: With its field, encoded; empty without.
        encoding: What messages may be compressed with.
        timeout_seconds: 0 for none.
        predicts: Whether the answer is predictions.
        routed: Whether the request has a ModelSpec.
    """

    path: str
    block: bytes
    given: dict[bytes, bytes]
    authorization: tuple[bytes, bytes]
    encoding: str
    timeout_seconds: float
    predicts: bool
    routed: bool


@functools.lru_cache(maxsize=1024)
def read_head(headers: Headers) -> RequestHead:
    """Returns what the headers of a call say; raises DataError for no request."""
    kept, given = [], dict[bytes, bytes]()
    path = authorization = encoding = timeout = b""
    for name, value in headers:
        if name == b":path":
            path = value
        elif name in IDENTITY:
            given[name] = value
            if name == REQUEST_ID:
                continue
        elif name == b"authorization":
            authorization = value
            continue
        elif name == b"grpc-encoding":
            encoding = value
        elif name == b"grpc-timeout":
            timeout = value
        kept.append((name, value))
    if not path.startswith(b"/"):
        raise DataError("Expected a request with a path, received headers without one.")
    text = path.decode("latin-1")
    return RequestHead(
        path=text,
        block=encode_headers(tuple(kept)),
        given=given,
        authorization=(
            authorization,
            encode_headers(((b"authorization", authorization),)) if authorization else b"",
        ),
        encoding=encoding.decode("latin-1"),
        timeout_seconds=timeout_seconds(timeout.decode("latin-1")) or 0.0,
        predicts=text in PREDICTIONS,
        routed=text in ROUTED,
    )


@dataclass(frozen=True)
class AnswerHead:
    """What headers or trailers of an answer say; answers with the same share it.

    Attributes:
        block: All of them, encoded.
        status: gRPC's code; empty where they have none.
        encoding: What messages may be compressed with.
        version: Of the model; 0 where they do not say.
        has_id: Whether the request's id is among them.
    """

    block: bytes
    status: bytes
    encoding: str
    version: int
    has_id: bool


@functools.lru_cache(maxsize=1024)
def read_answer(headers: Headers) -> AnswerHead:
    """Returns what headers or trailers of an answer say."""
    held = dict(headers)
    version = held.get(_VERSION, b"")
    return AnswerHead(
        block=encode_headers(headers),
        status=held.get(b"grpc-status", b""),
        encoding=held.get(b"grpc-encoding", b"").decode("latin-1"),
        # An int64 has 19 digits; Python takes seconds for a number of a million.
        version=int(version[:19]) if version.isdigit() else 0,
        has_id=REQUEST_ID in held,
    )


def is_client_error(status: bytes) -> bool:
    """Says whether a status is the client's doing, as a code of 4xx is."""
    # INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, FAILED_PRECONDITION,
    # OUT_OF_RANGE, UNIMPLEMENTED, UNAUTHENTICATED.
    return status in (b"3", b"5", b"6", b"7", b"9", b"11", b"12", b"16")
