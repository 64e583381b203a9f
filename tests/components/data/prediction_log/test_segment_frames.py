"""Compressed segments hold every row in few bytes; what is cut or damaged costs its own rows."""

import functools

import numpy as np
import pyarrow as pa
from example_counts import scaled
from hypothesis import given, settings
from hypothesis import strategies as st
from log_rows import START_MS, appended_segment, batch_of, requests_of

from tfx_loop.data.prediction_log.record import Envelope, make_batch
from tfx_loop.data.prediction_log.segment import parse_segment
from tfx_loop.data.prediction_log.segment_frames import MAGIC, FrameWriter, open_frames
from tfx_loop.data.prediction_log.writer import PredictionLogWriter

REQUESTS = ("alpha", "beta", "gamma", "delta")


@functools.cache
def written():
    return appended_segment(REQUESTS)


@given(data=st.data())
@settings(max_examples=scaled(150), deadline=None)
def test_a_cut_loses_no_append_before_it(data):
    content, ends = written()
    cut = data.draw(st.integers(0, len(content)))
    whole = sum(end <= cut for end in ends)
    segment = parse_segment(content[:cut])
    assert requests_of(segment) == list(REQUESTS[:whole])
    assert segment.unreadable_batches == 0
    # The schema alone, whole, is a segment without rows.
    if cut > ends[0]:
        assert segment.truncated == (cut not in ends)


@given(data=st.data())
@settings(max_examples=scaled(150), deadline=None)
def test_a_changed_byte_costs_its_append_and_changes_no_other_value(data):
    content, ends = written()
    frame = data.draw(st.integers(1, len(REQUESTS) - 1))
    # Behind the length, which says where the next one begins.
    place = data.draw(st.integers(ends[frame - 1] + 4, ends[frame] - 1))
    changed = bytearray(content)
    changed[place] ^= data.draw(st.integers(1, 255))
    segment = parse_segment(bytes(changed))
    whole = parse_segment(content).table
    assert segment.table.equals(whole.filter(pa.array(np.arange(len(REQUESTS)) != frame)))
    assert segment.unreadable_batches == 1
    assert segment.unreadable_bytes == ends[frame] - ends[frame - 1]


@given(st.binary(max_size=300))
@settings(max_examples=scaled(150), deadline=None)
def test_rubbish_behind_the_magic_is_counted_not_raised(content):
    segment = parse_segment(MAGIC + content)
    assert segment.table is None
    assert segment.unreadable_bytes == len(MAGIC + content)


def test_the_dictionary_holds_no_value_of_a_request():
    batch = batch_of("somebody", rows=2, score=0.123)
    opened = open_frames(FrameWriter(batch).head)
    assert opened.damaged == opened.cut_bytes == 0
    frames = FrameWriter(batch)
    without = b"".join([frames.head])
    assert len(parse_segment(without).table) == 0
    for word in (b"somebody", b"JFK", np.float32(0.123).tobytes()):
        assert word in batch.serialize().to_pybytes()
        assert word not in _inflated_head(frames.head)


def _inflated_head(head: bytes) -> bytes:
    import zlib

    return zlib.decompressobj(wbits=-15).decompress(head[len(MAGIC) + 8 :])


def test_ten_numbers_of_a_request_take_less_than_200_bytes(tmp_path):
    rng = np.random.default_rng(1)
    log = PredictionLogWriter(tmp_path)
    for number in range(500):
        envelope = Envelope(
            request_id=rng.bytes(16).hex(),
            event_time_ms=START_MS + number * 37,
            model_name="flights",
            model_version=3,
            variant="float",
            latency_ms=float(rng.gamma(2.0, 0.5)),
            answered_time_ms=START_MS + number * 37 + 2,
            request_key=rng.bytes(8).hex(),
        )
        features = {f"f{place}": rng.normal(size=1).astype(np.float32) for place in range(10)}
        outputs = {"probability": rng.random((1, 1)).astype(np.float32)}
        log.append("flights", START_MS, make_batch(envelope, 1, features, outputs))
    (segment,) = tmp_path.rglob("*.arrows")
    assert segment.stat().st_size / 500 < 200
