"""Frames and header blocks of HTTP/2 (RFC 9113, RFC 7541), as far as gRPC needs them.

Header blocks are read with the table that the peer fills (hpack), and written without one: a block
that needs no state can be made once and sent on any connection. A block without new entries means
the same as long as the table does, so the few different ones of a gRPC client are decoded once.
"""

import struct

import hpack
from hpack.table import HeaderTable

# What a client begins a connection with (RFC 9113, 3.4).
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# Frame types (RFC 9113, 6) and their flags; END_STREAM and ACK are the same bit in different
# frames.
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 5, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY_FLAG = 0x1, 0x1, 0x4, 0x8, 0x20
# Error codes (RFC 9113, 7); CALM is ENHANCE_YOUR_CALM.
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 2, 3
FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CALM = 6, 7, 8, 9, 11
# Settings (RFC 9113, 6.5.2).
SETTING_STREAMS, SETTING_WINDOW, SETTING_FRAME, SETTING_LIST = 3, 4, 5, 6
# Length and type share the first word, as struct has no 24 bits.
FRAME_HEAD = struct.Struct(">IBI")
WORD = struct.Struct(">I")
SETTING = struct.Struct(">HI")
# The largest window, and the mask of a stream's number (RFC 9113, 6.9.1 and 4.1).
MAX_WINDOW = 2**31 - 1
DEFAULT_WINDOW = 65_535
# Of the connection: replenished as bytes come, since streams have bounds of their own.
CONNECTION_WINDOW = 1 << 30
REPLENISH = 1 << 24
# What one stream may send before its bytes went on: its share of this process's memory.
STREAM_WINDOW = 256 * 1024
# Larger frames need fewer turns; a frame is kept until it is whole.
MAX_FRAME = 64 * 1024
MAX_BLOCK = 64 * 1024
# A client's calls have a few different heads; whoever sends others empties the cache.
_CACHED_BLOCKS = 64

Headers = tuple[tuple[bytes, bytes], ...]


class Http2Error(Exception):
    """The peer breaks the protocol: the connection ends with a code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Returns a frame."""
    return FRAME_HEAD.pack(len(payload) << 8 | kind, flags, stream) + payload


def encode_headers(headers: Headers) -> bytes:
    """Returns a header block that neither needs nor changes a table (RFC 7541, 6.2.2)."""
    parts = list[bytes]()
    for name, value in headers:
        parts += (b"\x00", _length(len(name)), name, _length(len(value)), value)
    return b"".join(parts)


def _length(size: int) -> bytes:
    # An integer with a prefix of 7 bits (RFC 7541, 5.1); the bit in front says no Huffman code.
    if size < 127:
        return bytes((size,))
    parts, size = bytearray((127,)), size - 127
    while size > 127:
        parts.append(size & 127 | 128)
        size >>= 7
    parts.append(size)
    return bytes(parts)


class _CountingTable(HeaderTable):
    """A table that counts its changes."""

    changes = 0

    def add(self, name: bytes, value: bytes) -> None:
        """Adds an entry."""
        self.changes += 1
        super().add(name, value)


class HeaderReader:
    """Reads the header blocks of one peer, in their order."""

    def __init__(self) -> None:
        """Knows no entry yet."""
        self._decoder = hpack.Decoder(max_header_list_size=MAX_BLOCK)
        self._table = self._decoder.header_table = _CountingTable()
        self._known: dict[bytes, Headers] = {}

    def read(self, block: bytes) -> Headers:
        """Returns the headers of a block; raises Http2Error."""
        if (headers := self._known.get(block)) is not None:
            return headers
        before = self._table.changes
        # A change of the table's size stands at the beginning only, and moves entries, too.
        resized = bool(block) and block[0] & 0xE0 == 0x20
        try:
            found = self._decoder.decode(block, raw=True)
        except (hpack.HPACKError, IndexError, ValueError) as error:
            raise Http2Error(COMPRESSION_ERROR, f"a header block: {error}") from error
        headers = tuple((bytes(name), bytes(value)) for name, value in found)
        if resized or self._table.changes != before or len(self._known) >= _CACHED_BLOCKS:
            self._known.clear()
        if not resized and self._table.changes == before:
            self._known[block] = headers
        return headers


def unpadded(payload: bytes, flags: int) -> bytes:
    """Returns what a frame holds without its padding; raises Http2Error."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise Http2Error(PROTOCOL_ERROR, "more padding than payload")
    return payload[1 : len(payload) - payload[0]]


def read_word(payload: bytes) -> int:
    """Returns the number that a frame begins with; raises Http2Error."""
    if len(payload) < 4:
        raise Http2Error(FRAME_SIZE_ERROR, "a frame that is too short")
    value: int = WORD.unpack_from(payload)[0]
    return value
