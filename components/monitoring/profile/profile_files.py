"""Files of profiles: a window's counts, and a reference with its counts by slice and its sample.

Counts lie as JSON for people, and all of a profile packed for programs.
"""

import os
from dataclasses import dataclass
from typing import Any

from tfx_loop.core.errors import DataError
from tfx_loop.core.redaction import OPEN, Redaction
from tfx_loop.core.storage import private_folder, read_bytes, write_bytes, write_json
from tfx_loop.data.tables.opening import is_file
from tfx_loop.data.tables.parquet_files import save_rows
from tfx_loop.data.tables.table_file import open_table
from tfx_loop.monitoring.profile.redacted import public_profile, public_window, with_named_slices
from tfx_loop.monitoring.profile.reference import (
    REFERENCE_PROFILE,
    SAMPLE_FILE,
    WHOLE_PROFILE,
    FrozenProfile,
)
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


def save(
    profile: WindowProfile, folder: str, reference: FrozenProfile, redaction: Redaction = OPEN
) -> None:
    """Writes a window's profile below a folder; of the JSON, `redaction` says what it may tell."""
    public = public_window(with_named_slices(profile, reference, redaction), redaction)
    write_json(os.path.join(folder, PROFILE_FILE), to_json(public))
    # Sampled rows are in it, and what the other file hides.
    write_bytes(os.path.join(folder, PACKED_FILE), to_bytes(profile), private=True)


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


def save_reference(reference: StoredReference, folder: str, redaction: Redaction = OPEN) -> None:
    """Writes a reference with its sample below a folder."""
    private_folder(folder)
    # Two files only where they differ: the public one then says less than windows are counted on.
    public = public_profile(reference.profile, redaction)
    if public != reference.profile:
        WHOLE_PROFILE.write(reference.profile, folder)
    REFERENCE_PROFILE.write(public, folder)
    save_rows(reference.sample, os.path.join(folder, SAMPLE_FILE))
    write_bytes(os.path.join(folder, COUNTS_FILE), to_bytes(reference.counts), private=True)


def load_reference(folder: str, *, with_sample: bool = False) -> StoredReference:
    """Returns a reference; its sample takes longer, and few need it.

    Raises:
        DataError: A file is not there, of another schema version, or not whole.
    """
    profile, sample = load_profile(folder), load_sample(folder) if with_sample else None
    if sample is not None:
        # Windows have values where the sample has hashes: they are compared without.
        sample = sample.drop(sorted(profile.hidden_in_sample & {*sample.column_names}))
    return StoredReference(profile, load(folder, COUNTS_FILE), sample)


def load_profile(folder: str) -> FrozenProfile:
    """Returns a reference's profile alone.

    Raises:
        DataError: It is not there, of another schema version, or not whole.
    """
    profile = WHOLE_PROFILE.find(folder) or REFERENCE_PROFILE.find(folder)
    if profile is None:
        raise DataError(
            f"Expected a reference profile at {REFERENCE_PROFILE.path(folder)}, found none. Name "
            "the folder of an artifact of ReferenceProfiler."
        )
    return profile


def has_sample(folder: str) -> bool:
    """Says whether a reference's sampled rows lie beside it."""
    return is_file(os.path.join(folder, SAMPLE_FILE))


def load_sample(folder: str) -> Any:
    """Returns a reference's sampled rows as a pyarrow table.

    Raises:
        DataError: The file is not there, cut off, or no Parquet.
    """
    return open_table(os.path.join(folder, SAMPLE_FILE)).read()
