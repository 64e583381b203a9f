"""An encrypted log holds what a plain one holds, and gives it to nobody without the key."""

import functools

import pytest
from example_counts import scaled
from hypothesis import example, given, settings
from hypothesis import strategies as st
from log_rows import DAY_MS, START_MS, appended_segment, batch_of, requests_of

from tfx_loop.core.errors import ConfigError
from tfx_loop.core.key_file import SecretKey
from tfx_loop.data.prediction_log.losses import LogLosses
from tfx_loop.data.prediction_log.reader import read_window
from tfx_loop.data.prediction_log.segment import parse_segment
from tfx_loop.data.prediction_log.writer import PredictionLogWriter

KEY, OTHER = SecretKey(b"k" * 32), SecretKey(b"o" * 32)


def write(directory, requests=("alpha", "beta", "gamma"), key=KEY, *, close=True):
    log = PredictionLogWriter(directory, key=key)
    for request in requests:
        log.append("flights", START_MS, batch_of(request))
    if close:
        log.close()
    (segment,) = directory.rglob("*.arrows")
    return segment


def read(directory, *keys):
    return read_window(str(directory), "flights", START_MS, START_MS + DAY_MS, keys=keys)


@functools.cache
def written():
    return appended_segment(("alpha", "beta", "gamma"), KEY)


@pytest.mark.parametrize("close", [True, False])
def test_what_was_written_is_read_with_the_key(tmp_path, close):
    segment = write(tmp_path, close=close)
    window = read(tmp_path, OTHER, KEY)
    assert window.table.column("request_id").to_pylist() == ["alpha", "beta", "gamma"]
    assert window.losses == LogLosses()
    content = segment.read_bytes()
    assert not any(word in content for word in (b"alpha", b"request_id", b"feature", KEY.value))


def test_equal_rows_leave_different_bytes(tmp_path):
    both = [write(tmp_path / name, ["alpha", "alpha"]).read_bytes() for name in "ab"]
    assert both[0] != both[1]
    assert len(both[0]) == len(both[1])


@pytest.mark.parametrize("keys", [(), (OTHER,)])
def test_without_the_key_the_log_is_refused_and_never_read_as_empty(tmp_path, keys):
    write(tmp_path)
    with pytest.raises(ConfigError, match=KEY.name.hex()):
        read(tmp_path, *keys)


def test_plain_segments_are_read_beside_encrypted_ones(tmp_path):
    write(tmp_path / "flights", key=None, requests=["plain"]).rename(tmp_path / "moved.arrows")
    segment = write(tmp_path / "log")
    (tmp_path / "moved.arrows").rename(segment.with_name("moved.arrows"))
    assert len(read(tmp_path / "log", KEY).table) == 4


@given(cut=st.integers(0, 10_000))
@example(cut=0)
@example(cut=3)
@example(cut=20)
# The head alone.
@example(cut=32)
@settings(max_examples=scaled(150), deadline=None)
def test_a_cut_loses_no_frame_before_it(cut):
    content, ends = written()
    cut = min(cut, len(content))
    whole = sum(end <= cut for end in ends)
    segment = parse_segment(content[:cut], [KEY])
    assert requests_of(segment) == ["alpha", "beta", "gamma"][:whole]
    assert segment.truncated == (cut > 0 and cut not in ends)
    assert not segment.unreadable_batches


@given(data=st.data())
@settings(max_examples=scaled(150), deadline=None)
def test_a_changed_byte_costs_its_frame_and_is_counted(data):
    content, ends = written()
    # Behind the lengths: a changed length moves all that follows.
    frame = data.draw(st.sampled_from([1, 2]))
    place = data.draw(st.integers(ends[frame - 1] + 4, ends[frame] - 1))
    changed = bytearray(content)
    changed[place] ^= data.draw(st.integers(1, 255))
    segment = parse_segment(bytes(changed), [KEY])
    left = ["alpha", "beta", "gamma"]
    del left[frame]
    assert requests_of(segment) == left
    assert segment.unreadable_batches == 1
    assert segment.unreadable_bytes == ends[frame] - ends[frame - 1]


@given(content=st.binary(max_size=200))
@settings(max_examples=scaled(100), deadline=None)
def test_rubbish_behind_the_head_never_raises(content):
    whole, _ = written()
    segment = parse_segment(whole[:32] + content, [KEY])
    assert segment.table is None


def test_a_frame_taken_from_another_place_or_file_does_not_count(tmp_path):
    content, ends = written()
    swapped = content[: ends[0]] + content[ends[1] :] + content[ends[0] : ends[1]]
    assert requests_of(parse_segment(swapped, [KEY])) == ["alpha"]
    other = write(tmp_path, close=False).read_bytes()
    grafted = content[: ends[1]] + other[ends[1] :]
    assert requests_of(parse_segment(grafted, [KEY])) == ["alpha", "beta"]
