"""Records of a TFRecord file, their checksums verified.

Format: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details, read
without TensorFlow, whose import takes longer than most of these files.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_loop.core.errors import DataError
from tfx_loop.data.tables.opening import open_inflated, open_unpacked

# Length and its masked checksum, then the record, then the record's.
_HEAD = struct.Struct("<QI")
_CHECK = struct.Struct("<I")
# Checked together: the loop below takes a step for each byte of the longest record.
_BATCH_BYTES = 32 << 20
# Nothing that a table's row could be; a damaged length must not fill memory.
_MOST_BYTES = 1 << 31


def read_records(path: str, batch_records: int) -> Iterator[list[bytes]]:
    """Yields the records of a file, checked, in batches of at most 32 MB and `batch_records`.

    Raises:
        DataError: The file is cut off, or a checksum does not fit.
    """
    batch: list[bytes] = []
    checks: list[int] = []
    size, number = 0, 0
    try:
        with _opened(path) as file:
            while record := _next(file, path, number + len(batch)):
                batch.append(record[0])
                checks.append(record[1])
                size += len(record[0])
                if len(batch) >= batch_records or size >= _BATCH_BYTES:
                    _check(batch, checks, path, number)
                    yield batch
                    number += len(batch)
                    batch, checks, size = [], [], 0
    except (EOFError, zlib.error, OSError) as error:
        raise _damaged(path, number + len(batch), str(error)) from error
    if batch:
        _check(batch, checks, path, number)
        yield batch


def is_tfrecord(path: str) -> bool:
    """Says whether a file starts as a TFRecord file does."""
    return any(_begins_with_record(opened, path) for opened in (open_unpacked, open_inflated))


def _begins_with_record(opened: Callable[[str], Any], path: str) -> bool:
    try:
        with opened(path) as file:
            head = file.read(_HEAD.size)
    except (EOFError, zlib.error, OSError):
        return False
    if len(head) < _HEAD.size:
        return False
    check: int = _HEAD.unpack(head)[1]
    return _crc_of_length(head[:8]) == check


def _opened(path: str) -> Any:
    """Returns the bytes of the records, unpacked where they are none as they are."""
    plain = _begins_with_record(open_unpacked, path)
    return open_unpacked(path) if plain else open_inflated(path)


def masked_crc32c(records: list[bytes]) -> npt.NDArray[np.uint32]:
    """Returns the masked CRC-32C of each record, of shape (records,), by whole columns of bytes.

    The i-th bytes of all records are taken in one step (Castagnoli's polynomial, RFC 3720).
    """
    lengths = np.array([len(record) for record in records], dtype=np.int64)
    order = np.argsort(-lengths, kind="stable")
    lengths = lengths[order]
    flat = np.frombuffer(b"".join(records[place] for place in order), dtype=np.uint8)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
    # CRC-32C begins with all ones and is inverted at its end (RFC 3720, appendix B.4).
    state = np.full(len(records), 0xFFFFFFFF, dtype=np.uint32)
    longest = int(lengths[0]) if len(lengths) else 0
    # Records long enough to have an i-th byte come first.
    having = np.searchsorted(-lengths, -np.arange(longest), side="left")
    for place in range(longest):
        some = int(having[place])
        part = state[:some]
        byte = flat[starts[:some] + place]
        state[:some] = _TABLE[(part ^ byte) & np.uint32(0xFF)] ^ (part >> np.uint32(8))
    crc = state ^ np.uint32(0xFFFFFFFF)
    # The mask of TFRecord, rotated right by 15 bits plus a constant: a CRC of data that holds CRCs
    # is weak.
    masked = ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)
    result = np.empty(len(records), dtype=np.uint32)
    result[order] = masked
    return result


def _crc_table() -> npt.NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        # Castagnoli's polynomial 0x1EDC6F41, bits reversed.
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1)
    return table.astype(np.uint32)


_TABLE = _crc_table()


def _next(file: Any, path: str, number: int) -> tuple[bytes, int] | None:
    head = file.read(_HEAD.size)
    if not head:
        return None
    if len(head) < _HEAD.size:
        raise _damaged(path, number, "it ends inside a record's head")
    length, check = _HEAD.unpack(head)
    if length > _MOST_BYTES or _crc_of_length(head[:8]) != check:
        raise _damaged(path, number, "the checksum of its length does not fit")
    body = file.read(length + _CHECK.size)
    if len(body) < length + _CHECK.size:
        raise _damaged(path, number, "it ends inside a record")
    return body[:length], _CHECK.unpack(body[length:])[0]


def _crc_of_length(head: bytes) -> int:
    # As `masked_crc32c`, of the 8 bytes of a length: no array is worth while for one.
    crc = 0xFFFFFFFF
    for byte in head:
        crc = _STEPS[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    # TFRecord's mask (tensorflow/core/lib/hash/crc32c.h), so that a CRC of data that holds CRCs is
    # no fixed point.
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


_STEPS = _TABLE.tolist()


def _check(batch: list[bytes], checks: list[int], path: str, number: int) -> None:
    wrong = np.flatnonzero(masked_crc32c(batch) != np.array(checks, dtype=np.uint32))
    if len(wrong):
        raise _damaged(path, number + int(wrong[0]), "its checksum does not fit")


def _damaged(path: str, number: int, why: str) -> DataError:
    return DataError(
        f"Expected whole TFRecords in {path}, received a cut or damaged record {number}: {why}. "
        "Write the file again."
    )
