"""The index of a SavedModel's variables, held against the data that it speaks of.

TensorFlow allocates what the index says before it looks at the data, and ends the process where a
shape is none. The index is a table of sorted keys (tensorflow/tsl/lib/io/format.cc, LevelDB's
format) whose values are entries of tensorflow/core/protobuf/tensor_bundle.proto.
"""

import math
import struct
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tfx_loop.core.errors import ModelError
from tfx_loop.models.guard import limits
from tfx_loop.models.guard.findings import Finding, Harm
from tfx_loop.models.guard.messages import parse

# By tensorflow/core/framework/types.proto; texts, handles and variants have no size of their own.
ELEMENT_BYTES = {
    1: 4, 2: 8, 3: 4, 4: 1, 5: 2, 6: 1, 8: 8, 9: 8, 10: 1, 11: 1, 12: 1, 13: 4, 14: 2, 15: 2, 16: 2,
    17: 2, 18: 16, 19: 2, 22: 4, 23: 8, 24: 1, 25: 1, 29: 1, 30: 1,
}  # fmt: skip
_INDEX = "variables.index"
# Two handles of a block, each of two numbers of up to ten bytes, and the magic number.
_FOOTER_BYTES, _MAGIC = 48, struct.pack("<Q", 0xDB4775248B80FB57)
# Behind a block stands how it is compressed: TensorFlow compresses none of an index.
_PLAIN = 0
# Blocks that share bytes: a file is read a few times over at most.
_READ_SIZES = 4
_MAX_DIMENSIONS, _MAX_ELEMENTS = 254, (1 << 63) - 1
_EXPORT = "Export the model again"


def scan_checkpoint(folder: Path) -> Iterator[Finding]:
    """Yields variables that are no tensors, or larger than the data that stands for them.

    Args:
        folder: `variables` of a SavedModel; without an index there is nothing to restore.

    Raises:
        ModelError: The index is damaged, or the data ends before it should.
    """
    index = folder / _INDEX
    if not index.is_file():
        return
    if (size := index.stat().st_size) > limits.MAX_CHECKPOINT_INDEX_BYTES:
        yield _exhausts(f"{size >> 20} MiB of names")
        return
    content = index.read_bytes()
    if not content.endswith(_MAGIC):
        # TensorFlow reads no part of it, and says so.
        return
    try:
        entries = list(_Table(content).entries())
        header = next((value for length, value in entries if not length), b"")
        shards = parse("BundleHeader", header, index).shards
        # A table is full of offsets: whatever is crooked shows as one that leads nowhere.
    except (ValueError, IndexError, struct.error) as error:
        raise ModelError(
            f"Expected a SavedModel in {folder.parent}, received a damaged {index.name} ({error}). "
            "Was it copied to the end? Export it again."
        ) from error
    # Only of those that are named: a header may speak of as many as there are numbers.
    held = cache(lambda shard: _bytes_of(folder, shard, shards))
    for length, value in entries:
        if length:
            entry = parse("BundleEntry", value, index)
            if (found := _misfit(entry)) is not None:
                yield _exhausts(found)
                return
            _check_data(entry, held, folder)


def _misfit(entry: Any) -> str | None:
    """Returns why what an entry makes is no tensor, or is not held by its data."""
    sizes = [dim.size for dim in entry.shape.dim]
    elements = math.prod(sizes)
    shown = ", ".join(map(str, sizes[:6]))
    if min(sizes, default=0) < 0 or len(sizes) > _MAX_DIMENSIONS or entry.shape.unknown_rank:
        return f"a variable of the shape [{shown}]"
    # TensorFlow multiplies one size after the other, a zero last or not.
    if math.prod(max(size, 1) for size in sizes) > _MAX_ELEMENTS:
        return f"a variable of the shape [{shown}], of more elements than can be counted"
    width = ELEMENT_BYTES.get(entry.dtype)
    if entry.slices:
        # Its parts have entries of their own; put together they may be a partition of nothing.
        fits = elements * (width or 1) <= limits.MAX_UNPACKED_BYTES
    elif width is not None:
        fits = elements * width == entry.size
    else:
        # A text takes a byte for its length at the least.
        fits = elements <= entry.size
    return None if fits else f"a variable of the shape [{shown}] from {entry.size} bytes"


def _check_data(entry: Any, held: Callable[[int], int | None], folder: Path) -> None:
    """Checks that the data is there; a file that is missing is told by TensorFlow, by its name."""
    size = held(entry.shard)
    if size is None or entry.slices:
        return
    end = entry.offset + entry.size
    if entry.offset < 0 or entry.size < 0 or end > size:
        raise ModelError(
            f"Expected the data of all variables in {folder}, received {size} bytes where one ends "
            f"at {end}. Was it copied to the end? Export it again."
        )


def _bytes_of(folder: Path, shard: int, shards: int) -> int | None:
    if not 0 <= shard < shards:
        return 0
    data = folder / f"variables.data-{shard:05d}-of-{shards:05d}"
    return data.stat().st_size if data.is_file() else None


class _Table:
    """Keys and values of a table; keys are not put together, as only their lengths matter."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._left = _READ_SIZES * len(content)

    def entries(self) -> Iterator[tuple[int, bytes]]:
        """Yields the length of each key, and its value."""
        content = self._content
        if len(content) < _FOOTER_BYTES:
            raise ValueError("no whole footer")
        _, position = _handle(content, len(content) - _FOOTER_BYTES)
        (offset, size), _ = _handle(content, position)
        for _, value in self._block(offset, size):
            (offset, size), _ = _handle(value, 0)
            yield from self._block(offset, size)

    def _block(self, offset: int, size: int) -> Iterator[tuple[int, bytes]]:
        block = self._content[offset : offset + size]
        if len(block) < size or size < 4 or self._content[offset + size] != _PLAIN:
            raise ValueError(f"a block of {size} bytes at {offset}")
        self._left -= size
        if self._left < 0:
            raise ValueError("blocks that share their bytes")
        (restarts,) = struct.unpack_from("<I", block, size - 4)
        end = size - 4 * (restarts + 1)
        position = key = 0
        while position < end:
            shared, position = _number(block, position)
            own, position = _number(block, position)
            length, position = _number(block, position)
            if shared > key or position + own + length > end:
                raise ValueError("an entry beyond its block")
            key = shared + own
            position += own + length
            yield key, block[position - length : position]


def _handle(content: bytes, position: int) -> tuple[tuple[int, int], int]:
    offset, position = _number(content, position)
    size, position = _number(content, position)
    return (offset, size), position


def _number(content: bytes, position: int) -> tuple[int, int]:
    """Returns a number of base 128, the lowest digit first, and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        digit = content[position]
        position += 1
        number |= (digit & 0x7F) << shift
        if digit < 0x80:
            return number, position
    raise ValueError("a number of more than ten bytes")


def _exhausts(found: str) -> Finding:
    return Finding(part=f"variables/{_INDEX}", found=found, harm=Harm.EXHAUSTS, remedy=_EXPORT)
