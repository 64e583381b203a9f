"""Speed, memory and size of the window profile.

    python -m tests.benchmarks.drift.speed [--rows 1000000] [--peer-rows N] [--memory 1 4 16]

Each tool runs in a process of its own, alone, on the same rows: 40 numbers, 5 codes, 5 words and a
request id. Imports and making the data are outside of the times. Peers do what they do for a
window: Evidently compares 100,000 reference rows with them in memory, TFDV makes statistics. Rows a
second and what is compared are of processor time, so that a busy machine may be measured on.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

FEATURES = 50
TARGETS = {"evidently": 20.0, "tfdv": 10.0, "numpy": 0.5}
_NUMBERS, _CODES = 40, 5
_GROUP_ROWS = 1 << 16
_REFERENCE_ROWS = 100_000
_MOST_SECONDS = 3_600
# By the clock, and of processor time.
Seconds = tuple[float, float]


def make_batch(rows: int, seed: int) -> pa.Table:
    """Returns rows of FEATURES features with a request id; one number in fifty is missing."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        "request_id": pa.array([f"{seed:05d}-{number:06d}" for number in range(rows)])
    }
    for number in range(FEATURES):
        if number < _NUMBERS:
            values = rng.normal(size=rows) if number % 2 else rng.lognormal(size=rows)
            missing = rng.random(rows) < 0.02 if number % 10 == 0 else None
            columns[f"f{number:02d}"] = pa.array(values, mask=missing)
        elif number < _NUMBERS + _CODES:
            columns[f"f{number:02d}"] = rng.integers(0, 40, rows)
        else:
            words = pa.array([f"word {code}" for code in range(60)])
            columns[f"f{number:02d}"] = words.take(pa.array(rng.zipf(1.5, rows) % 60))
    return pa.table(columns)


def write_rows(path: Path, rows: int) -> None:
    """Writes a Parquet file of that many rows, a group at a time."""
    first = make_batch(1, 0)
    with pq.ParquetWriter(path, first.schema) as writer:
        for start in range(0, rows, _GROUP_ROWS):
            writer.write_table(make_batch(min(_GROUP_ROWS, rows - start), 1 + start // _GROUP_ROWS))


def _now() -> Seconds:
    return time.perf_counter(), time.process_time()


def _since(begin: Seconds) -> Seconds:
    """Seconds by the clock and of processor time, which does not hang on who else is there."""
    now = _now()
    return now[0] - begin[0], now[1] - begin[1]


def _frozen() -> Any:
    from tfx_loop.monitoring.profile.build import ProfileRequest, build

    table = make_batch(_REFERENCE_ROWS, 99_999)
    return build(table, ProfileRequest(ignore_features=("request_id",)))[0]


def ours(path: str) -> tuple[Seconds, dict[str, Any]]:
    """The window profile with its sample, from Parquet."""
    from tfx_loop.data.tables.table_file import open_table
    from tfx_loop.monitoring.profile.profiler import Profiler
    from tfx_loop.monitoring.profile.window_json import to_bytes, to_json

    profiler = Profiler(_frozen())
    begin = _now()
    profile = profiler.profile_all(open_table(path).batches())
    seconds = _since(begin)
    text = json.dumps(to_json(profile), separators=(",", ":"))
    facts = {"rows": profile.rows, "json_bytes": len(text) / FEATURES}
    whole = to_bytes(profile)
    return seconds, {**facts, "packed_bytes_with_sample": len(whole)}


def numpy(path: str) -> tuple[Seconds, dict[str, Any]]:
    """The bare pass: the same Parquet batches, np.searchsorted on the same edges, np.bincount."""
    from tfx_loop.data.tables.table_file import open_table
    from tfx_loop.monitoring.profile.bins import NumericBins

    bins = {feature.name: feature.bins for feature in _frozen().features}
    edges = {n: np.asarray(b.edges) for n, b in bins.items() if isinstance(b, NumericBins)}
    counts: dict[str, Any] = {name: 0 for name in bins}
    begin = _now()
    for batch in open_table(path).batches(sorted(bins)):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if name in edges:
                values = column.to_numpy(zero_copy_only=False)
                places = np.searchsorted(edges[name], values)
            elif pa.types.is_string(column.type):
                words = pa.array(bins[name].categories)
                found = pa.compute.index_in(column, value_set=words).fill_null(len(words))
                places = found.to_numpy(zero_copy_only=False)
            else:
                places = column.to_numpy(zero_copy_only=False)
            counts[name] = counts[name] + np.bincount(places, minlength=64)
    return _since(begin), {"rows": int(counts["f01"].sum())}


def evidently(path: str) -> tuple[Seconds, dict[str, Any]]:
    """Evidently's DataDriftPreset at its defaults, both frames in memory."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    current = pq.read_table(path).drop(["request_id"]).to_pandas()
    reference = make_batch(_REFERENCE_ROWS, 99_999).drop(["request_id"]).to_pandas()
    begin = _now()
    Report([DataDriftPreset()]).run(current, reference).dict()
    return _since(begin), {"rows": len(current)}


def tfdv(path: str) -> tuple[Seconds, dict[str, Any]]:
    """TFDV's statistics of the same rows as TFRecords of tf.Examples."""
    import tensorflow_data_validation as validation

    records = f"{path}.tfrecord"
    rows = _as_tfrecord(path, records)
    begin = _now()
    found = validation.generate_statistics_from_tfrecord(records)
    seconds = _since(begin)
    os.unlink(records)
    assert found.datasets[0].num_examples == rows
    return seconds, {"rows": rows}


def _as_tfrecord(path: str, target: str) -> int:
    import tensorflow as tf
    from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

    encoder, rows = RecordBatchToExamplesEncoder(), 0
    with tf.io.TFRecordWriter(target) as writer:
        for batch in pq.ParquetFile(path).iter_batches():
            lists = [_as_lists(column) for column in batch.columns[1:]]
            for record in encoder.encode(
                pa.RecordBatch.from_arrays(lists, names=batch.schema.names[1:])
            ):
                writer.write(record)
            rows += batch.num_rows
    return rows


def _as_lists(column: Any) -> Any:
    if pa.types.is_floating(column.type):
        column = column.cast(pa.float32())
    elif pa.types.is_string(column.type):
        column = column.cast(pa.binary())
    present = column.is_valid().to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(present)])
    return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), column.drop_null())


TOOLS = {"ours": ours, "numpy": numpy, "evidently": evidently, "tfdv": tfdv}


def _peak_mb() -> float:
    """This process's own peak; what getrusage says is its parent's, where that was larger."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def in_child(tool: str, path: Path) -> dict[str, Any]:
    """Runs one tool in a process of its own; returns its seconds, peak memory and facts."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.drift.speed"]
    done = subprocess.run(
        [*command, "--child", tool, "--path", str(path)],
        check=True,
        capture_output=True,
        text=True,
        timeout=_MOST_SECONDS,
        cwd=Path(__file__).resolve().parents[3],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"},
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(path: Path, peer_path: Path, tools: list[str]) -> None:
    """Prints each tool's time beside ours on the same rows."""
    print(
        f"{'tool':<11}{'rows':>11}{'seconds':>10}{'processor':>11}{'rows/s':>12}{'peak MB':>9}"
        "  ours is"
    )
    mine: dict[Path, float] = {}
    for tool in tools:
        own = path if tool in ("ours", "numpy") else peer_path
        if own not in mine:
            mine[own] = min(in_child("ours", own)["processor"] for _ in range(2))
        found = in_child(tool, own) if tool != "ours" else in_child("ours", path)
        ratio = found["processor"] / mine[own]
        wanted = TARGETS.get(tool)
        verdict = f"{ratio:6.2f} times as fast" if wanted else ""
        if wanted:
            verdict += f"  ({'holds' if ratio >= wanted else 'MISSED'}: at least {wanted:g})"
        print(
            f"{tool:<11}{found['rows']:>11,}{found['seconds']:>10.2f}{found['processor']:>11.2f}"
            f"{found['rows'] / found['processor']:>12,.0f}{found['peak_mb']:>9,.0f}  {verdict}",
            flush=True,
        )
        if "json_bytes" in found:
            holds = "holds" if found["json_bytes"] < 1_024 else "MISSED"
            print(f"{'':<11}{found['json_bytes']:.0f} bytes a feature ({holds}: under 1,024)")


def memory(path: Path, rows: int, times: list[int]) -> None:
    """Prints the peak for the same file once and several times over, as one folder."""
    peaks = []
    for count in times:
        folder = path.parent / f"times{count}"
        folder.mkdir()
        for number in range(count):
            os.link(path, folder / f"rows-{number:05d}.parquet")
        found = in_child("ours", folder)
        peaks.append(found["peak_mb"])
        print(
            f"ours       {found['rows']:>11,}{found['seconds']:>10.2f}{found['processor']:>11.2f}"
            f"{found['rows'] / found['processor']:>12,.0f}{found['peak_mb']:>9,.0f}",
            flush=True,
        )
        assert found["rows"] == rows * count
    spread = max(peaks) / min(peaks) - 1
    print(f"peak memory differs by {spread:.0%} ({'holds' if spread < 0.15 else 'MISSED'}: flat)")


def main(arguments: list[str] | None = None) -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.drift.speed")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--peer-rows", type=int, help="rows for Evidently and TFDV; --rows if none")
    parser.add_argument("--tools", nargs="+", choices=sorted(TOOLS), default=list(TOOLS))
    parser.add_argument("--memory", type=int, nargs="*", default=[1, 4, 16], metavar="TIMES")
    parser.add_argument("--child", choices=sorted(TOOLS), help=argparse.SUPPRESS)
    parser.add_argument("--path", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.child:
        seconds, facts = TOOLS[chosen.child](chosen.path)
        spent = {"seconds": seconds[0], "processor": seconds[1], "peak_mb": _peak_mb()}
        print(json.dumps({**spent, **facts}))
        return 0
    with tempfile.TemporaryDirectory(prefix="loop-speed-") as scratch:
        path = peer_path = Path(scratch) / "rows.parquet"
        write_rows(path, chosen.rows)
        if chosen.peer_rows and chosen.peer_rows != chosen.rows:
            peer_path = Path(scratch) / "peer.parquet"
            write_rows(peer_path, chosen.peer_rows)
        compare(path, peer_path, chosen.tools)
        if chosen.memory:
            memory(path, chosen.rows, chosen.memory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
