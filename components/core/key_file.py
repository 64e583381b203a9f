"""Secret keys in a file of its owner's alone, which is made where it lacks.

One key a line, 32 random bytes as hexadecimal digits, the newest first: the first one is used for
what is written, all of them for what is read. So a key is changed by a new first line. A key never
stands in settings, metadata, reports or logs; its name does, which tells nothing about it.
"""

import hashlib
import hmac
import os
import secrets
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tfx_loop.core.errors import ConfigError
from tfx_loop.core.storage import private_folder

# A key of AES-256 (and of HMAC-SHA-256, as long as its digest).
_BYTES = 32
# 64 bits tell the few keys of a file apart, and say nothing of the 256 of the key.
NAME_BYTES = 8


@dataclass(frozen=True)
class SecretKey:
    """One key.

    Attributes:
        value: 32 bytes.
        name: 8 bytes of a keyed hash, which tell keys apart.
    """

    value: bytes = field(repr=False)
    name: bytes = field(init=False)

    def __post_init__(self) -> None:
        digest = hmac.new(self.value, b"name of a key", hashlib.sha256).digest()
        object.__setattr__(self, "name", digest[:NAME_BYTES])


def read_keys(path: str | Path, *, make: bool = False) -> tuple[SecretKey, ...]:
    """Returns the keys of a file, the newest first.

    Args:
        path: The file; `~` stands for the user's home. Empty means no keys.
        make: Make it with a new key where it is not there.

    Raises:
        ConfigError: It is not there, others may read it, or it holds no keys.
    """
    if not path:
        return ()
    file = Path(path).expanduser()
    if make and not file.exists():
        _make(file)
    try:
        with file.open(encoding="ascii") as source:
            mode = stat.S_IMODE(os.fstat(source.fileno()).st_mode)
            lines = [line.strip() for line in source if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "no text"
        raise ConfigError(f"Expected a file of keys at {file}, received: {said}.") from error
    # Any right of group or others, as ssh asks it of private keys.
    if mode & 0o077:
        raise ConfigError(
            f"Expected a file of keys that its owner alone may read, received mode {mode:03o} of "
            f"{file}. Run chmod 600 on it, and think about who has read it."
        )
    try:
        keys = tuple(SecretKey(bytes.fromhex(line)) for line in lines)
    except ValueError:
        keys = ()
    if not keys or any(len(key.value) != _BYTES for key in keys):
        # Never the lines themselves: an error ends in logs.
        raise ConfigError(
            f"Expected keys of {2 * _BYTES} hexadecimal digits, one a line, in {file}, received "
            f"{len(lines)} lines of something else. Name a file that is not there to get a new one."
        )
    return keys


def _make(file: Path) -> None:
    """Makes a file with one new key; of two processes that do so at once both use the first's."""
    if not file.parent.is_dir():
        private_folder(file.parent)
    # mkstemp's files are 0600 from the start: there is no moment in which others may read.
    handle, scratch = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as target:
            target.write(f"{secrets.token_hex(_BYTES)}\n")
            target.flush()
            os.fsync(target.fileno())
        try:
            os.link(scratch, file)
        except FileExistsError:
            return
    finally:
        os.unlink(scratch)
