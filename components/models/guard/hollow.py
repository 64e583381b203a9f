"""Files with holes, which take as much to copy or read as if they were whole."""

from collections.abc import Iterator
from pathlib import Path

from tfx_loop.models.guard import limits
from tfx_loop.models.guard.findings import Finding, Harm

# stat(2): st_blocks counts these, whatever the file system's own blocks are.
_BLOCK_BYTES = 512


def scan_holes(path: Path, part: str) -> Iterator[Finding]:
    """Yields a file that is hardly there: larger than the disk that it takes, by as much as a bomb.

    Raises:
        OSError: It cannot be looked at.
    """
    known = path.stat()
    held = known.st_blocks * _BLOCK_BYTES
    if known.st_size > limits.FREE_BYTES and known.st_size > limits.MAX_RATIO * max(held, 1):
        yield Finding(
            part=part,
            found=f"{known.st_size >> 20} MiB, of which {held} bytes are on the disk",
            harm=Harm.EXHAUSTS,
            remedy="Save the model again",
        )
