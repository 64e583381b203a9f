"""Makes record batches for tests of the prediction log."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tfx_loop.data.prediction_log.encryption import is_encrypted, open_segment
from tfx_loop.data.prediction_log.record import Envelope, make_batch
from tfx_loop.data.prediction_log.segment_frames import is_framed, open_frames
from tfx_loop.data.prediction_log.writer import PredictionLogWriter

DAY_MS = 86_400_000
START_MS = 1_362_096_000_000  # 2013-03-01T00:00Z


def batch_of(
    request_id: str,
    rows: int = 1,
    event_time_ms: int = START_MS,
    answered_time_ms: int = 0,
    score: float = 0.5,
    version: int = 1,
) -> pa.RecordBatch:
    """Returns the batch of one request with a text, a float and an integer feature."""
    envelope = Envelope(
        request_id=request_id,
        event_time_ms=event_time_ms,
        model_name="flights",
        model_version=version,
        variant="float",
        latency_ms=1.0,
        answered_time_ms=answered_time_ms,
    )
    features = {
        "temp": np.linspace(0, 1, rows, dtype=np.float32),
        "hour": np.arange(rows, dtype=np.int64),
        "origin": np.array([b"JFK"] * rows, dtype=object),
    }
    outputs = {"probability": np.full((rows, 1), score, dtype=np.float32)}
    return make_batch(envelope, rows, features, outputs)


def words_in(content: bytes, *keys) -> bytes:
    """Returns a segment, decrypted with the keys and inflated, for a search of what it says."""
    if keys and is_encrypted(content):
        content = open_segment(content, keys).content
    return open_frames(content).content if is_framed(content) else content


def requests_of(segment: Any) -> list[str]:
    """Returns the ids of the requests in a segment that was read, none for one without rows."""
    return segment.table.column("request_id").to_pylist() if segment.table else []


def appended_segment(requests: Sequence[str], key: Any = None) -> tuple[bytes, list[int]]:
    """Returns the bytes of a segment of one append a request, and where each of them ends."""
    ends = []
    with tempfile.TemporaryDirectory() as folder:
        log = PredictionLogWriter(folder, key=key)
        for request in requests:
            log.append("flights", START_MS, batch_of(request))
            (segment,) = Path(folder).rglob("*.arrows")
            ends.append(segment.stat().st_size)
        return segment.read_bytes(), ends
