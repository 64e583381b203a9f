"""Files of profiles: a window's counts, and a reference with its counts by slice and its sample.

Counts lie as JSON for people, and all of a profile packed for programs.
"""

import os
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tfx_loop.core.errors import DataError
from tfx_loop.core.storage import read_bytes, write_bytes, write_json
from tfx_loop.data.tables.opening import is_file
from tfx_loop.data.tables.table_file import open_table
from tfx_loop.monitoring.profile.reference import REFERENCE_PROFILE, SAMPLE_FILE, FrozenProfile
from tfx_loop.monitoring.profile.training_counts import COUNTS_FILE
from tfx_loop.monitoring.profile.window_json import PROFILE_FILE, from_bytes, to_bytes, to_json
from tfx_loop.monitoring.profile.window_profile import WindowProfile

PACKED_FILE = "window_profile.packed"


@dataclass(frozen=True)
class StoredReference:
    """What a ReferenceProfile artifact holds.

    Attributes:
        profile: The frozen profile of the training rows.
        counts: The same rows by day and slice, and which of them repeat.
        sample: Some of the rows as a pyarrow table; None where it was not read.
    """

    profile: FrozenProfile
    counts: WindowProfile
    sample: Any = None


def save(profile: WindowProfile, folder: str) -> None:
    """Writes a window's profile below a folder."""
    write_json(os.path.join(folder, PROFILE_FILE), to_json(profile))
    write_bytes(os.path.join(folder, PACKED_FILE), to_bytes(profile))


def load(folder: str, name: str = PACKED_FILE) -> WindowProfile:
    """Returns a packed profile.

    Raises:
        DataError: It is not there, of another schema version, or not whole.
    """
    path = os.path.join(folder, name)
    try:
        return from_bytes(read_bytes(path))
    except FileNotFoundError as error:
        raise DataError(
            f"Expected a packed profile at {path}, found none. Make it again with this release."
        ) from error


def is_reference(folder: str) -> bool:
    """Says whether a path is a ReferenceProfile artifact's folder."""
    return is_file(REFERENCE_PROFILE.path(folder))


def save_reference(reference: StoredReference, folder: str) -> None:
    """Writes a reference with its sample below a folder."""
    REFERENCE_PROFILE.write(reference.profile, folder)
    sink = pa.BufferOutputStream()
    pq.write_table(reference.sample, sink)
    write_bytes(os.path.join(folder, SAMPLE_FILE), bytes(sink.getvalue().to_pybytes()))
    write_bytes(os.path.join(folder, COUNTS_FILE), to_bytes(reference.counts))


def load_reference(folder: str, *, with_sample: bool = False) -> StoredReference:
    """Returns a reference; its sample takes longer, and few need it.

    Raises:
        DataError: A file is not there, of another schema version, or not whole.
    """
    sample = load_sample(folder) if with_sample else None
    return StoredReference(load_profile(folder), load(folder, COUNTS_FILE), sample)


def load_profile(folder: str) -> FrozenProfile:
    """Returns a reference's profile alone.

    Raises:
        DataError: It is not there, of another schema version, or not whole.
    """
    profile = REFERENCE_PROFILE.find(folder)
    if profile is None:
        raise DataError(
            f"Expected a reference profile at {REFERENCE_PROFILE.path(folder)}, found none. Name "
            "the folder of an artifact of ReferenceProfiler."
        )
    return profile


def load_sample(folder: str) -> Any:
    """Returns a reference's sampled rows as a pyarrow table.

    Raises:
        DataError: The file is not there, cut off, or no Parquet.
    """
    return open_table(os.path.join(folder, SAMPLE_FILE)).read()
