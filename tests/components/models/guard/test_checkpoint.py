"""The index of a SavedModel's variables: tables written here, as TensorFlow writes them."""

import random
import struct

import pytest

from tfx_loop.core.errors import ModelError
from tfx_loop.models.guard.checkpoint import scan_checkpoint

FLOAT, STRING, MAGIC = 1, 7, 0xDB4775248B80FB57


def number(value):
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def field(position, value):
    if isinstance(value, bytes):
        return number(position << 3 | 2) + number(len(value)) + value
    return number(position << 3) + number(value & (1 << 64) - 1)


def entry(shape, size, *, dtype=FLOAT, shard=0, offset=0, more=b""):
    shape = b"".join(field(2, field(1, each)) for each in shape)
    fields = (field(1, dtype), field(2, shape), field(3, shard), field(4, offset), field(5, size))
    return b"".join(fields) + more


def block(entries, compression=0):
    content, before = b"", b""
    for key, value in entries:
        shared = next((i for i, (a, b) in enumerate(zip(key, before)) if a != b), 0)  # noqa: B905
        own = key[shared:]
        content += b"".join(map(number, (shared, len(own), len(value)))) + own + value
        before = key
    return content + struct.pack("<II", 0, 1), bytes([compression]) + bytes(4)


def table(*blocks):
    """Returns an index of blocks of entries."""
    content, handles = b"", []
    for number_, (plain, trailer) in enumerate(blocks):
        handles.append((b"%d" % number_, number(len(content)) + number(len(plain))))
        content += plain + trailer
    ends = []
    for entries in ([], handles):
        plain, trailer = block(entries)
        ends.append(number(len(content)) + number(len(plain)))
        content += plain + trailer
    return content + b"".join(ends).ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def variables(folder, *entries, data=4096, compression=0, shards=1):
    named = [(f"weights/{n}".encode(), each) for n, each in enumerate(entries)]
    header = [(b"", field(1, shards))]
    # Two blocks, so that the second is found as well.
    blocks = [block(header + named[:1], compression), block(named[1:], compression)]
    (folder / "variables.index").write_bytes(table(*blocks))
    for shard in range(shards):
        (folder / f"variables.data-{shard:05d}-of-{shards:05d}").write_bytes(bytes(data))
    return folder


GOOD = entry([2, 3], 24)


@pytest.mark.parametrize(
    "good",
    [
        GOOD,
        entry([], 4, offset=4092),
        entry([0, 5], 0),
        entry([3], 40, dtype=STRING),
        entry([7], 9, dtype=21),
        entry([100, 100], 0, more=field(7, b"")),
    ],
)
def test_variables_that_are_there_pass(tmp_path, good):
    assert not list(scan_checkpoint(variables(tmp_path, GOOD, good)))


@pytest.mark.parametrize(
    "bad",
    [
        entry([127] * 10, 4),
        entry([1 << 62, 0, 4], 0),
        entry([-1, 4], 16),
        entry([1] * 300, 4),
        entry([1 << 30], 4),
        entry([3], 24),
        entry([1 << 20], 40, dtype=STRING),
        entry([1 << 20, 1 << 20], 0, more=field(7, b"")),
        field(1, FLOAT) + field(2, field(3, 1)) + field(5, 4),
    ],
)
def test_what_is_no_tensor_or_larger_than_its_data_is_found(tmp_path, bad):
    (finding,) = scan_checkpoint(variables(tmp_path, GOOD, bad))
    assert finding.part == "variables/variables.index"


@pytest.mark.parametrize("bad", [entry([2], 8, offset=4092), entry([2], 8, shard=3)])
def test_data_that_ends_too_early_is_damage(tmp_path, bad):
    with pytest.raises(ModelError, match="copied to the end"):
        list(scan_checkpoint(variables(tmp_path, GOOD, bad)))


def test_a_missing_file_of_data_is_told_by_who_opens_it(tmp_path):
    variables(tmp_path, GOOD)
    (tmp_path / "variables.data-00000-of-00001").unlink()
    assert not list(scan_checkpoint(tmp_path))


def test_a_compressed_block_is_not_taken_for_a_plain_one(tmp_path):
    with pytest.raises(ModelError, match="a block of"):
        list(scan_checkpoint(variables(tmp_path, GOOD, GOOD, compression=1)))


def test_blocks_that_share_their_bytes_are_read_a_few_times(tmp_path):
    plain, trailer = block([(b"w", GOOD)] * 500)
    handle = number(0) + number(len(plain))
    shared = block([(b"%04d" % n, handle) for n in range(1_000)])
    content = plain + trailer
    ends = number(0) + number(4) + number(len(content)) + number(len(shared[0]))
    content += b"".join(shared) + ends.ljust(40, b"\0") + struct.pack("<Q", MAGIC)
    (tmp_path / "variables.index").write_bytes(content)
    with pytest.raises(ModelError, match="share their bytes"):
        list(scan_checkpoint(tmp_path))


def test_damaged_indices_end_in_one_line(tmp_path):
    variables(tmp_path, GOOD, GOOD, entry([3], 40, dtype=STRING))
    file = tmp_path / "variables.index"
    whole, rng = file.read_bytes(), random.Random(0)
    ends = set()
    for _ in range(300):
        changed = bytearray(whole)
        for _ in range(rng.choice((1, 2, 8))):
            changed[rng.randrange(len(changed) - 8)] = rng.randrange(256)
        file.write_bytes(changed)
        try:
            ends.add(bool(list(scan_checkpoint(tmp_path))))
        except ModelError as error:
            ends.add("damaged" if len(str(error).splitlines()) == 1 else str(error))
    assert ends == {True, False, "damaged"}
