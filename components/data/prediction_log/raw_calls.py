"""Calls as a gateway saw them, byte for byte: the record of one, and the segments that hold them.

    file   = magic, frame, frame, …
    frame  = length and CRC-32 of what follows (4 bytes each, big-endian), records
    record = lengths of head, request and response (4 bytes each, big-endian), then these three

The head is text, a field a line. A frame is what was written at once, before any of its calls was
acknowledged. Nothing is parsed or compressed here: this is on the way of every request, and
`importers/gateway_log.py` makes rows of it afterwards.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tfx_loop.core.errors import DataError
from tfx_loop.core.key_file import SecretKey
from tfx_loop.data.prediction_log.encryption import is_encrypted, open_segment

MAGIC = b"LOOPRAW1"
RAW_SUFFIX = ".calls"
REST, GRPC = "rest", "grpc"
_UNLOGGED = "unlogged"
# Length and CRC-32, in network order, as in segment_frames.py.
_FRAME = struct.Struct(">II")
_RECORD = struct.Struct(">III")
# Those of releases before this one had no trace.
_FIELDS, _WITHOUT_TRACE = 15, 14


class RawCall(NamedTuple):
    """One answered call; a tuple, as one is made for every request.

    Attributes:
        protocol: `rest` or `grpc`.
        target: The path that was asked for, as the client wrote it.
        model_version: As route or answer say; 0 where neither does.
        request_id: The client's, or the gateway's.
        request_key: The client's; empty for none.
        is_new: Whether the gateway made the id, so that no other request has it.
        event_time_ms: The client's, or when the call came, UTC.
        answered_time_ms: When the answer was complete, UTC.
        latency_ms: From the request's head to the answer's end, milliseconds.
        sampling_rate: The share of calls that was logged.
        golden: Whether the pusher asked.
        route: `canary` where the call was sent there; else empty.
        request_encoding: Content-Encoding of the request, or grpc-encoding.
        response_encoding: The same of the answer.
        request: The body; of gRPC with the five bytes in front of each message.
        response: The same of the answer.
        trace_id: The trace that the call belongs to; empty for none.
    """

    protocol: str
    target: str
    model_version: int
    request_id: str
    request_key: str
    is_new: bool
    event_time_ms: int
    answered_time_ms: int
    latency_ms: float
    sampling_rate: float
    golden: bool
    route: str
    request_encoding: str
    response_encoding: str
    request: bytes
    response: bytes
    trace_id: str = ""

    def encode(self) -> bytes:
        """Returns the record. No field of the head may hold a line break."""
        head = (
            f"{self.protocol}\n{self.target}\n{self.model_version}\n{self.request_id}\n"
            f"{self.request_key}\n{self.is_new:d}\n{self.event_time_ms}\n{self.answered_time_ms}\n"
            f"{self.latency_ms:.3f}\n{self.sampling_rate!r}\n{self.golden:d}\n{self.route}\n"
            f"{self.request_encoding}\n{self.response_encoding}\n{self.trace_id}"
        ).encode("utf-8", "backslashreplace")
        lengths = _RECORD.pack(len(head), len(self.request), len(self.response))
        return b"".join((lengths, head, self.request, self.response))


@dataclass(frozen=True, kw_only=True)
class UnloggedCalls:
    """Calls that were answered and are in no segment.

    Attributes:
        calls: How many.
        first_ms: When the first was answered, UTC.
        last_ms: When the last was.
    """

    calls: int
    first_ms: int
    last_ms: int

    def encode(self) -> bytes:
        """Returns the record."""
        head = f"{_UNLOGGED}\n{self.calls}\n{self.first_ms}\n{self.last_ms}".encode()
        return _RECORD.pack(len(head), 0, 0) + head


def position_key(request_id: str, request_key: str, is_new: bool, target: str, body: bytes) -> str:
    """Returns what a call and its repeats share: what it is sampled by, and identified in the log.

    The client's key; the id where the gateway made it; else id and content together, as meshes hand
    one id on to many calls. 96 bits: a billion calls collide with a probability of 6e-12.
    """
    if request_key or is_new:
        return request_key or request_id
    digest = hashlib.blake2b(f"{len(request_id)}:{request_id}{target}\n".encode(), digest_size=12)
    digest.update(body)
    return digest.hexdigest()


class RawFrames:
    """Frames of one segment, for a `SegmentFile`."""

    head = MAGIC

    def frame(self, content: bytes) -> bytes:
        """Returns the frame of some records."""
        return _FRAME.pack(len(content), zlib.crc32(content)) + content


@dataclass(frozen=True)
class RawSegment:
    """What a segment holds.

    Attributes:
        frames: The whole ones.
        damaged: How many were changed.
        cut_bytes: Bytes of a frame that is not whole, at the end.
    """

    frames: list[bytes]
    damaged: int = 0
    cut_bytes: int = 0


def open_raw_segment(content: bytes, keys: Sequence[SecretKey] = ()) -> RawSegment:
    """Returns the frames of a segment, be it finished or still written.

    Raises:
        ConfigError: It is encrypted, and its key is not given.
        DataError: It is no segment of a gateway.
    """
    damaged = cut = 0
    if content and is_encrypted(content):
        opened = open_segment(content, keys)
        content, damaged, cut = opened.content, opened.damaged, opened.cut_bytes
    if content[: len(MAGIC)] != MAGIC[: len(content)]:
        raise DataError(f"Expected a segment of loop-gateway, received a file of {content[:8]!r}.")
    frames = list[bytes]()
    start = len(MAGIC)
    while start + _FRAME.size <= len(content):
        length, check = _FRAME.unpack_from(content, start)
        end = start + _FRAME.size + length
        if end > len(content):
            break
        held = content[start + _FRAME.size : end]
        # The length held, so the next frame is found: a changed byte costs this frame alone.
        if zlib.crc32(held) == check:
            frames.append(held)
        else:
            damaged += 1
        start = end
    return RawSegment(frames, damaged, cut + max(0, len(content) - start))


def read_records(frame: bytes) -> Iterator[RawCall | UnloggedCalls]:
    """Yields the records of a frame; raises DataError for what is none."""
    start = 0
    while start < len(frame):
        try:
            head, request, response = _RECORD.unpack_from(frame, start)
            start += _RECORD.size
            parts = list[bytes]()
            for size in (head, request, response):
                parts.append(frame[start : start + size])
                start += size
            if start > len(frame):
                raise ValueError("a record that ends beyond its frame")
            yield _record(parts[0].decode().split("\n"), parts[1], parts[2])
        except (struct.error, ValueError) as error:
            raise DataError(f"Expected a record of a gateway's call, received: {error}.") from error


def _record(fields: list[str], request: bytes, response: bytes) -> RawCall | UnloggedCalls:
    if fields[0] == _UNLOGGED:
        calls, first_ms, last_ms = map(int, fields[1:])
        return UnloggedCalls(calls=calls, first_ms=first_ms, last_ms=last_ms)
    if len(fields) not in (_FIELDS, _WITHOUT_TRACE) or fields[0] not in (REST, GRPC):
        raise ValueError(f"{len(fields)} fields of {fields[0]!r:.40}")
    return RawCall(
        protocol=fields[0],
        target=fields[1],
        model_version=int(fields[2]),
        request_id=fields[3],
        # In the order in which `RawCall.encode` writes them.
        request_key=fields[4],
        is_new=fields[5] == "1",
        event_time_ms=int(fields[6]),
        answered_time_ms=int(fields[7]),
        latency_ms=float(fields[8]),
        sampling_rate=float(fields[9]),
        golden=fields[10] == "1",
        route=fields[11],
        request_encoding=fields[12],
        response_encoding=fields[13],
        request=request,
        response=response,
        trace_id=fields[_WITHOUT_TRACE] if len(fields) == _FIELDS else "",
    )
