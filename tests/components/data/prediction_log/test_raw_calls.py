"""Records of a gateway's calls, and the frames that hold them."""

import contextlib
import struct

import pytest
from example_counts import scaled
from hypothesis import given, settings
from hypothesis import strategies as st

from tfx_loop.core.errors import DataError
from tfx_loop.data.prediction_log.raw_calls import (
    RawCall,
    RawFrames,
    UnloggedCalls,
    open_raw_segment,
    position_key,
    read_records,
)

line = st.text(st.characters(codec="ascii", min_codepoint=32), max_size=30)
calls = st.builds(
    RawCall,
    protocol=st.sampled_from(["rest", "grpc"]),
    target=line,
    model_version=st.integers(0, 2**63 - 1),
    request_id=line,
    request_key=line,
    is_new=st.booleans(),
    event_time_ms=st.integers(0, 2**53),
    answered_time_ms=st.integers(0, 2**53),
    latency_ms=st.integers(0, 10**6).map(lambda n: n / 1000),
    sampling_rate=st.floats(0.001, 1),
    golden=st.booleans(),
    route=st.sampled_from(["", "canary"]),
    request_encoding=line,
    response_encoding=line,
    request=st.binary(max_size=100),
    response=st.binary(max_size=100),
    trace_id=st.sampled_from(["", "4b" * 16]),
)
records = st.one_of(
    calls,
    st.builds(
        UnloggedCalls,
        calls=st.integers(1, 10**9),
        first_ms=st.integers(0, 2**53),
        last_ms=st.integers(0, 2**53),
    ),
)


def segment(groups):
    frames = RawFrames()
    return frames.head + b"".join(
        frames.frame(b"".join(record.encode() for record in group)) for group in groups
    )


def read(content):
    opened = open_raw_segment(content)
    return opened, [record for frame in opened.frames for record in read_records(frame)]


@settings(max_examples=scaled(30))
@given(st.lists(st.lists(records, min_size=1, max_size=4), max_size=4))
def test_records_are_read_as_they_were_written(groups):
    opened, found = read(segment(groups))
    assert found == [record for group in groups for record in group]
    assert (opened.damaged, opened.cut_bytes) == (0, 0)


@settings(max_examples=scaled(30))
@given(st.lists(calls, min_size=2, max_size=5), st.data())
def test_a_cut_or_changed_frame_costs_its_own_records_alone(held, data):
    content = segment([[call] for call in held])
    last = len(RawFrames().frame(held[-1].encode()))
    cut, found = read(content[: -data.draw(st.integers(1, last - 1))])
    assert found == held[:-1]
    assert cut.cut_bytes > 0
    place = len(content) - data.draw(st.integers(1, last - 8))
    changed = bytearray(content)
    changed[place] ^= 0x40
    opened, found = read(bytes(changed))
    assert (found, opened.damaged) == (held[:-1], 1)


@settings(max_examples=scaled(30))
@given(st.binary(min_size=1, max_size=300))
def test_any_bytes_are_a_segment_or_a_data_error(content):
    for held in (content, RawFrames.head + content, RawFrames.head + RawFrames().frame(content)):
        with contextlib.suppress(DataError):
            read(held)


def test_a_call_of_releases_without_traces_is_read():
    call = RawCall(
        *("rest", "/p", 1, "id", "", True, 1, 2, 0.5, 1.0, False, "", "", ""), b"q", b"a"
    )
    head = call.encode()[12:-2].rpartition(b"\n")[0]
    record = struct.pack(">III", len(head), 1, 1) + head + b"qa"
    assert list(read_records(record)) == [call]


def test_a_call_is_told_by_its_key_its_new_id_or_its_content():
    assert position_key("id", "key", False, "/p", b"x") == "key"
    assert position_key("id", "", True, "/p", b"x") == "id"
    by_content = {
        position_key(*call)
        for call in (
            ("id", "", False, "/p", b"x"),
            ("id", "", False, "/p", b"y"),
            ("id", "", False, "/q", b"x"),
            ("ie", "", False, "/p", b"x"),
        )
    }
    assert len(by_content) == 4
    with pytest.raises(DataError, match="segment of loop-gateway"):
        open_raw_segment(b"PAR1 and so on")
