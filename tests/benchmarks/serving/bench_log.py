"""Measures bytes a row and rows a second of the prediction log: writer, compaction, reader.

    .venv/bin/python -m tests.benchmarks.serving.bench_log [--rows 20000]

Ten numeric features and one output, as a request of one row and of 32 leave them. Beside the log
stand the same rows as JSON lines, which is what most services log, and as a Parquet file of pandas.
"""

import argparse
import hashlib
import json
import shutil
import tempfile
import time
import uuid
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tfx_loop.data.prediction_log.compaction import compact
from tfx_loop.data.prediction_log.reader import read_window
from tfx_loop.data.prediction_log.record import Envelope, make_batch
from tfx_loop.data.prediction_log.writer import LogSync, PredictionLogWriter

DAY_MS = 86_400_000
START_MS = 1_700_006_400_000


def batches(rows: int, per_request: int, number_type: str) -> list[pa.RecordBatch]:
    """Returns requests with an id of their own, a millisecond apart."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(rows // per_request):
        envelope = Envelope(
            request_id=uuid.UUID(int=int(rng.integers(2**63)) << 64 | number).hex,
            event_time_ms=START_MS + number,
            model_name="bench",
            model_version=3,
            variant="float",
            latency_ms=float(rng.gamma(2.0, 0.5)),
            answered_time_ms=START_MS + number + 1,
            request_key=hashlib.sha256(b"%d" % number).hexdigest()[:16],
        )
        features = {f"f{i}": rng.normal(size=per_request).astype(number_type) for i in range(10)}
        outputs = {"probability": rng.random(per_request).astype("f4")}
        made.append(make_batch(envelope, per_request, features, outputs))
    return made


def size_of(folder: Path) -> int:
    """Returns the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def measure(rows: int, per_request: int, sync: LogSync, folder: Path, number_type: str) -> None:
    """Prints a line."""
    made = batches(rows, per_request, number_type)
    log = PredictionLogWriter(folder, sync=sync)
    began = time.perf_counter()
    for batch in made:
        log.append("bench", START_MS, batch)
    log.close()
    wrote = rows / (time.perf_counter() - began)
    before = size_of(folder) / rows
    began = time.perf_counter()
    read_window(str(folder), "bench", START_MS, START_MS + DAY_MS)
    read_segments = rows / (time.perf_counter() - began)
    began = time.perf_counter()
    compact(folder)
    compacted = rows / (time.perf_counter() - began)
    after = size_of(folder) / rows
    began = time.perf_counter()
    window = read_window(str(folder), "bench", START_MS, START_MS + DAY_MS)
    read_again = rows / (time.perf_counter() - began)
    assert len(window.table) == rows // per_request * per_request
    print(
        f"{per_request:>4} {sync.value:>10} {wrote:>9,.0f} {before:>7.0f} {compacted:>11,.0f} "
        f"{after:>9.0f} {read_segments:>12,.0f} {read_again:>10,.0f}"
    )


def measure_peers(rows: int, folder: Path, number_type: str) -> None:
    """Prints the same rows in the forms that others log."""
    table = pa.Table.from_batches(batches(rows, 1, number_type))
    lines = folder / "rows.jsonl"
    began = time.perf_counter()
    with lines.open("w") as file:
        for row in table.to_pylist():
            file.write(json.dumps(row) + "\n")
            file.flush()
    rate = rows / (time.perf_counter() - began)
    print(f"JSON lines, flushed a row: {rate:,.0f} rows/s, {lines.stat().st_size / rows:.0f} bytes")
    pq.write_table(table, folder / "rows.parquet")
    size = (folder / "rows.parquet").stat().st_size / rows
    print(f"Parquet of all rows at once, snappy: {size:.0f} bytes a row")


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000, help="rows of each line")
    parser.add_argument("--type", default="float32", choices=("float32", "float64"))
    args = parser.parse_args()
    rows = args.rows
    print(f"{rows:,} rows of ten {args.type} features")
    print(
        "rows/request      sync  writer rows/s  bytes/row  compact rows/s  bytes/row  reader rows/s"
    )
    scratch = Path(tempfile.mkdtemp(dir=Path.cwd()))
    try:
        for per_request in (1, 32):
            for sync in (LogSync.NEVER, LogSync.INTERVAL, LogSync.BATCH):
                some = rows // 20 if sync is LogSync.BATCH and per_request == 1 else rows
                measure(some, per_request, sync, scratch / f"{per_request}-{sync.value}", args.type)
        measure_peers(rows, scratch, args.type)
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
