"""Removal of rows from the files that hold them: segments of the log, Parquet files of rows.

A file is replaced whole, by one without the rows: at no time is there half a file, and no row that
stays is lost. A server may be appending to a segment meanwhile. It notices that its file is gone
and writes anew (segment_file.py), and what it wrote between the look and the replacement is looked
at again. Nobody appends to an object of a bucket: it is replaced under the condition that nobody
else did so meanwhile.
"""

import contextlib
import fcntl
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tfx_loop.core.errors import DataError
from tfx_loop.core.key_file import SecretKey
from tfx_loop.data.prediction_log.encryption import (
    SegmentCipher,
    is_encrypted,
    key_of,
    open_segment,
)
from tfx_loop.data.prediction_log.erasure_subject import Mask, Subject
from tfx_loop.data.prediction_log.labels import LABEL_FILE_COLUMNS
from tfx_loop.data.prediction_log.record import IDENTITY
from tfx_loop.data.prediction_log.row_files import LocalFile, RowFile, is_parquet, is_segment
from tfx_loop.data.prediction_log.segment import parse_segment
from tfx_loop.data.prediction_log.segment_frames import FrameWriter
from tfx_loop.data.tables.parquet_files import parquet_bytes, parquet_table

# Looked at again until nothing was appended; a server stops as soon as its file has no name.
_MOST_LOOKS = 10


@dataclass(frozen=True, kw_only=True)
class ErasedFile:
    """A file that rows were removed from.

    Attributes:
        path: Which.
        rows: How many were.
        identities: Request id and place of each of those rows, where they have them.
    """

    path: str
    rows: int
    identities: frozenset[tuple[str, int]] = frozenset()


def has_column(file: RowFile, subject: Subject, keys: Sequence[SecretKey] = ()) -> bool:
    """Says whether a file that `erase` could read has the subject's column."""
    content, _ = file.read()
    if is_segment(file):
        table = parse_segment(content, keys).table
        names = [] if table is None else table.column_names
    else:
        plain = open_segment(content, keys).content if is_encrypted(content) else content
        names = pq.read_schema(pa.BufferReader(plain)).names
    return not set(subject.columns).isdisjoint(names)


def erase(
    file: RowFile, subject: Subject, keys: Sequence[SecretKey] = (), *, dry_run: bool = False
) -> ErasedFile | None:
    """Removes a subject's rows from a file; None where it has none.

    Args:
        file: A segment or Parquet.
        subject: Whose rows.
        keys: What segments may be encrypted with.
        dry_run: Only say what would be removed.

    Raises:
        ConfigError: It is encrypted with a key that is not among those given.
        DataError: It cannot be read, so that nobody knows what is in it.
    """
    if is_segment(file):
        if isinstance(file, LocalFile):
            return _erase_in_segment(file, subject, keys, dry_run)
        content, tag = file.read()
        return _erase_once(file, content, tag, subject, keys, dry_run)
    content, tag = file.read()
    key = key_of(content, keys) if is_encrypted(content) else None
    try:
        plain = open_segment(content, keys).content if key else content
        table = parquet_table(plain)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(file, str(error)) from error
    return _without(file, tag, table, subject.rows_of(table), key, dry_run)


def erase_labels(
    file: RowFile, rows: Collection[tuple[str, int]], *, dry_run: bool = False
) -> ErasedFile | None:
    """Removes the labels of rows from a label file; None where it is none or has none of them.

    Args:
        file: A segment or Parquet.
        rows: Request ids and places.
        dry_run: Only say what would be removed.
    """
    if not is_parquet(file):
        return None
    content, tag = file.read()
    if is_encrypted(content):
        return None
    if {*pq.read_schema(pa.BufferReader(content)).names} != {*LABEL_FILE_COLUMNS}:
        return None
    table = parquet_table(content)
    columns = [table.column(name).to_pylist() for name in IDENTITY]
    theirs = np.array([row in rows for row in zip(*columns, strict=True)], dtype=bool)
    return _without(file, tag, table, theirs, None, dry_run)


def _without(
    file: RowFile, tag: str, table: pa.Table, theirs: Mask, key: SecretKey | None, dry_run: bool
) -> ErasedFile | None:
    if not theirs.any():
        return None
    if not dry_run:
        # With the schema's metadata: a compacted file says there which files it replaces.
        content = parquet_bytes(table.filter(pa.array(~theirs)), compression="zstd")
        file.replace(SegmentCipher(key).seal(content) if key else content, tag)
    return _erased(file, table, theirs)


def _erase_in_segment(
    file: LocalFile, subject: Subject, keys: Sequence[SecretKey], dry_run: bool
) -> ErasedFile | None:
    with file.place.open("rb") as opened:
        # Compaction leaves locked segments alone; where a server has the lock, it does so as well.
        with contextlib.suppress(OSError):
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        erased, looked_at = None, -1
        for _ in range(_MOST_LOOKS):
            opened.seek(0)
            content = opened.read()
            if len(content) == looked_at:
                return erased
            looked_at = len(content)
            found = _erase_once(file, content, "", subject, keys, dry_run)
            if found is None or dry_run:
                # Nothing of theirs: rows that come after this look came after the request.
                return found or erased
            erased = found
            # The file that was read has no name now; what was appended to it counts still.
            if os.fstat(opened.fileno()).st_size == looked_at:
                return erased
    raise _unreadable(file, "it is appended to all the time")


def _erase_once(
    file: RowFile,
    content: bytes,
    tag: str,
    subject: Subject,
    keys: Sequence[SecretKey],
    dry_run: bool,
) -> ErasedFile | None:
    """Replaces a segment by one without the rows; None where it has none of them."""
    segment = parse_segment(content, keys)
    if segment.unreadable or segment.unreadable_batches:
        raise _unreadable(file, f"{segment.unreadable_bytes} damaged bytes")
    if segment.table is None or not (theirs := subject.rows_of(segment.table)).any():
        return None
    if not dry_run:
        kept = segment.table.filter(pa.array(~theirs))
        file.replace(_segment_of(kept, content, keys), tag)
    return _erased(file, segment.table, theirs)


def _segment_of(rows: pa.Table, before: bytes, keys: Sequence[SecretKey]) -> bytes:
    """Returns a segment of rows, encrypted as it was before."""
    # Columns that the format adds to older segments are null, and stay so.
    batches = rows.combine_chunks().to_batches()
    if not batches:
        return b""
    frames = FrameWriter(batches[0])
    parts = [frames.head, *(frames.frame(batch.serialize().to_pybytes()) for batch in batches)]
    content = b"".join(parts)
    return SegmentCipher(key_of(before, keys)).seal(content) if is_encrypted(before) else content


def _erased(file: RowFile, table: pa.Table, theirs: Mask) -> ErasedFile:
    identities: frozenset[tuple[str, int]] = frozenset()
    if {*IDENTITY} <= {*table.column_names}:
        columns = [table.column(name).filter(pa.array(theirs)).to_pylist() for name in IDENTITY]
        identities = frozenset(zip(*columns, strict=True))
    return ErasedFile(path=str(file), rows=int(theirs.sum()), identities=identities)


def _unreadable(file: RowFile, why: str) -> DataError:
    return DataError(
        f"Expected rows that can be read in {file}, received: {why}. What is in it is not known, "
        "so remove the file, or repair it."
    )
