"""Which files hold a window profile? Its counts as JSON, the sampled rows beside them."""

import os
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.profile.row_sample import RowSample
from components.profile.window_json import PROFILE_FILE, from_json, to_json
from components.profile.window_profile import WindowProfile
from components.storage import read_bytes, read_json, write_bytes, write_json

SAMPLE_FILE = "window_sample.parquet"
_MOST = b"rows_to_keep"


def save(profile: WindowProfile, folder: str) -> None:
    """Writes both files below a folder; the counts come last, so that they vouch for the rows."""
    rows = profile.sample.rows
    rows = pa.table({}) if rows is None else rows
    sink = pa.BufferOutputStream()
    pq.write_table(rows.replace_schema_metadata({_MOST: str(profile.sample.most)}), sink)
    write_bytes(os.path.join(folder, SAMPLE_FILE), bytes(sink.getvalue().to_pybytes()))
    write_json(os.path.join(folder, PROFILE_FILE), to_json(profile))


def load(folder: str) -> WindowProfile:
    """Returns the profile that `save` wrote.

    Raises:
        DataError: It is of another schema version, or not whole.
    """
    content = read_json(os.path.join(folder, PROFILE_FILE))
    return from_json(content, _sample(read_bytes(os.path.join(folder, SAMPLE_FILE))))


def _sample(content: bytes) -> RowSample:
    rows: Any = pq.read_table(pa.BufferReader(content))
    most = int((rows.schema.metadata or {}).get(_MOST, b"0"))
    rows = rows.replace_schema_metadata(None)
    return RowSample(most, rows if rows.num_columns else None)
