"""Makes record batches for tests of the prediction log."""

import numpy as np
import pyarrow as pa

from tfx_loop.data.prediction_log.record import Envelope, make_batch

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
