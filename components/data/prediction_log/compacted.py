"""Compacted files of the prediction log: `UUID.parquet`, many segments in one.

A compacted file names the files whose rows it holds. Readers leave those out where both are there,
so rows count once at every moment: before the file is visible, after, and when whoever compacts is
killed before it has removed what it replaced.
"""

import json
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from tfx_loop.core.key_file import SecretKey
from tfx_loop.data.prediction_log.encryption import SegmentCipher, is_encrypted, open_segment
from tfx_loop.data.prediction_log.segment import Segment, canonical
from tfx_loop.data.tables.parquet_files import parquet_table

COMPACTED_SUFFIX = ".parquet"
_REPLACES = b"tfx_loop.replaces"
# What a reader of some columns holds at once, as in a window's rows.parquet.
_ROWS_PER_GROUP = 100_000


def compacted_bytes(table: pa.Table, replaces: Sequence[str], key: SecretKey | None) -> bytes:
    """Returns the content of a compacted file.

    Args:
        table: Rows in the columns of segments.
        replaces: Names of the files of the same folder that they are from.
        key: What it is encrypted with; None leaves it plain.
    """
    held = table.replace_schema_metadata({_REPLACES: json.dumps(sorted(replaces))})
    sink = pa.BufferOutputStream()
    pq.write_table(held, sink, compression="zstd", row_group_size=_ROWS_PER_GROUP)
    content: bytes = sink.getvalue().to_pybytes()
    return SegmentCipher(key).seal(content) if key else content


def parse_compacted(content: bytes, keys: Sequence[SecretKey]) -> tuple[Segment, frozenset[str]]:
    """Returns the rows of a compacted file, and the names of the files that it replaces.

    Raises:
        ConfigError: It is encrypted with a key that is not among those given.
    """
    size = len(content)
    if is_encrypted(content):
        content = open_segment(content, keys).content
    try:
        table = parquet_table(content)
        replaces = json.loads((table.schema.metadata or {}).get(_REPLACES, b"[]"))
        rows = canonical(table.replace_schema_metadata().combine_chunks())
        return Segment(table=rows), frozenset(map(str, replaces))
    except (pa.ArrowException, OSError, ValueError):
        return Segment(table=None, unreadable=True, unreadable_bytes=size), frozenset()
