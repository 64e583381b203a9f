"""Files of a window profile: the counts as JSON for people, all of it packed for programs."""

import os

from tfx_loop.core.errors import DataError
from tfx_loop.core.storage import read_bytes, write_bytes, write_json
from tfx_loop.monitoring.profile.window_json import PROFILE_FILE, from_bytes, to_bytes, to_json
from tfx_loop.monitoring.profile.window_profile import WindowProfile

PACKED_FILE = "window_profile.packed"


def save(profile: WindowProfile, folder: str) -> None:
    """Writes both files below a folder."""
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
