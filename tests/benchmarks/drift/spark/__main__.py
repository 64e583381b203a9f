"""Runs the window profile in process, on FnApiRunner and on Spark; prints speed and equality.

python -m tests.benchmarks.drift.spark [--rows 400000 12800000] [--features 20]
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import PipelineOptions

from tests.benchmarks.drift.spark import cluster as spark
from tfx_loop.data.tables.table_file import open_table
from tfx_loop.monitoring.profile.beam_profile import ProfileWindow, ReadBatches, check_rows, whole
from tfx_loop.monitoring.profile.build import ProfileRequest, build
from tfx_loop.monitoring.profile.layout import Layout
from tfx_loop.monitoring.profile.profiler import Profiler
from tfx_loop.monitoring.profile.reference import FrozenProfile
from tfx_loop.monitoring.profile.window_json import digest, from_bytes, to_bytes
from tfx_loop.monitoring.profile.window_profile import WindowProfile

LAYOUT = Layout(window="hour")
_FILE_ROWS = 100_000
_RUN_SECONDS = 480
_SPAN_MS = 6 * 3_600_000


@dataclass(frozen=True)
class Run:
    """One run: who ran it, on how many rows, how long, and what came out."""

    runner: str
    rows: int
    seconds: float
    digest: str


def make_rows(rows: int, features: int, seed: int) -> pa.Table:
    """Returns a prediction log's rows: numbers, codes, words, and a tenth of values missing."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        "request_id": [f"{seed:04d}-{number:08d}" for number in range(rows)],
        "event_time_ms": rng.integers(0, _SPAN_MS, rows),
        "model_version": np.full(rows, 3),
    }
    for number in range(features):
        if number % 5 == 3:
            columns[f"f{number}"] = rng.integers(0, 40, rows)
        elif number % 5 == 4:
            columns[f"f{number}"] = pa.array([f"word {code}" for code in rng.integers(0, 90, rows)])
        else:
            values = rng.normal(size=rows)
            columns[f"f{number}"] = pa.array(values, mask=rng.random(rows) < 0.1)
    return pa.table(columns)


def write_files(folder: Path, rows: int, features: int) -> list[str]:
    """Writes Parquet files of 100,000 rows; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range((rows + _FILE_ROWS - 1) // _FILE_ROWS):
        count = min(_FILE_ROWS, rows - number * _FILE_ROWS)
        path = folder / f"rows-{number:05d}-{count}.parquet"
        if not path.exists():
            pq.write_table(make_rows(count, features, number), path)
        paths.append(str(path))
    return paths


def in_process(paths: list[str], reference: FrozenProfile) -> WindowProfile:
    """Profiles the files one after the other, with NumPy alone."""
    batches = (batch for path in paths for batch in open_table(path).batches())
    return Profiler(reference, LAYOUT).profile_all(batches)


def on_beam(paths: list[str], reference: FrozenProfile, options: list[str]) -> WindowProfile:
    """Profiles the files with Beam on the runner that the options name."""
    with tempfile.TemporaryDirectory() as scratch:
        pipeline = beam.Pipeline(options=PipelineOptions(options))
        _ = (
            pipeline
            | beam.Create(paths)
            | beam.Reshuffle()
            | beam.ParDo(ReadBatches()).with_output_types(pa.RecordBatch)
            | ProfileWindow(reference, LAYOUT)
            | beam.Map(_packed)
            | beam.io.WriteToText(f"{scratch}/part", shard_name_template="-SSSSS")
        )
        result = pipeline.run()
        state = result.wait_until_finish(duration=_RUN_SECONDS * 1_000)
        if state != "DONE":
            raise RuntimeError(f"Expected the pipeline to be DONE in time, received {state}.")
        lines = [line for file in Path(scratch).iterdir() for line in file.read_text().splitlines()]
        profiles = [((0, ""), from_bytes(line.encode())) for line in lines]
    rows = sum(open_table(path).rows for path in paths)
    return check_rows(whole(profiles, reference), rows)


def _packed(pair: Any) -> str:
    return to_bytes(pair[1]).decode()


def timed(name: str, rows: int, work: Callable[[], WindowProfile]) -> Run:
    """Runs once and says so."""
    begin = time.perf_counter()
    found = digest(work())
    run = Run(name, rows, time.perf_counter() - begin, found)
    print(
        f"{name:<14} {rows:>10,} rows {run.seconds:>8.1f} s {rows / run.seconds:>12,.0f} rows/s  "
        f"{found[7:19]}",
        flush=True,
    )
    return run


def line_through(runs: list[Run]) -> tuple[float, float]:
    """Returns start-up seconds and seconds a row, from the smallest and the largest run."""
    first, last = min(runs, key=lambda r: r.rows), max(runs, key=lambda r: r.rows)
    slope = (last.seconds - first.seconds) / max(last.rows - first.rows, 1)
    return first.seconds - slope * first.rows, slope


def report(runs: list[Run], cluster_seconds: float, first: Run) -> int:
    """Prints start-up, speed, where the cluster pays, and whether all are equal to the bit."""
    by_runner: dict[str, list[Run]] = {}
    for run in runs:
        by_runner.setdefault(run.runner, []).append(run)
    lines = {name: line_through(found) for name, found in by_runner.items()}
    print(
        f"\ncluster up in {cluster_seconds:.1f} s (master, {spark.WORKERS} workers, job server); "
        f"its first job, of {first.rows:,} rows, took {first.seconds:.1f} s"
    )
    for name, (start, slope) in lines.items():
        speed = f"{1 / slope:,.0f} rows/s" if slope > 0 else "not told apart from noise"
        print(f"{name:<14} start-up {start:6.1f} s, then {speed}")
    for name in lines:
        if name == "spark":
            continue
        start, slope = (a - b for a, b in zip(lines["spark"], lines[name], strict=True))
        if min(lines["spark"][1], lines[name][1]) <= 0:
            print(f"spark against {name}: times too noisy for a line; give larger --rows")
        elif slope < 0:
            print(f"spark pays against {name} from {max(start, 0) / -slope:,.0f} rows a run")
        else:
            print(f"spark never pays against {name} on this machine: a row costs it more")
    runs = [*runs, first]
    digests = {run.rows: {other.digest for other in runs if other.rows == run.rows} for run in runs}
    equal = all(len(found) == 1 for found in digests.values())
    print("bit-identical on every runner" if equal else f"DIFFERENT: {digests}")
    return 0 if equal else 1


def main(arguments: list[str] | None = None) -> int:
    """Runs the benchmark; 0 where all runners agree or there is no cluster to be had."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.drift.spark")
    parser.add_argument("--rows", type=int, nargs="+", default=[400_000, 12_800_000])
    parser.add_argument("--features", type=int, default=20)
    parser.add_argument("--keep-logs", action="store_true")
    chosen = parser.parse_args(arguments)
    # Ended from outside, it still stops the cluster.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        spark.fetch_jars()
    except spark.Unavailable as missing:
        print(f"SKIPPED: no Spark cluster here, {missing}.")
        return 0
    scratch = Path(tempfile.mkdtemp(prefix="loop-spark-"))
    try:
        trained = make_rows(50_000, chosen.features, 9_999)
        names = ("request_id", "event_time_ms", "model_version")
        reference, _ = build(trained, ProfileRequest(ignore_features=names))
        sizes = {rows: write_files(scratch / "rows", rows, chosen.features) for rows in chosen.rows}
        runs = [
            timed("numpy", rows, lambda paths=paths: in_process(paths, reference))  # type: ignore[misc]
            for rows, paths in sizes.items()
        ]
        local = ["--runner=FnApiRunner"]
        runs += [
            timed("FnApiRunner", rows, lambda paths=paths: on_beam(paths, reference, local))  # type: ignore[misc]
            for rows, paths in sizes.items()
        ]
        with spark.running(scratch / "cluster") as cluster:
            remote = [
                "--runner=PortableRunner",
                f"--job_endpoint={cluster.job_endpoint}",
                f"--artifact_endpoint={cluster.artifact_endpoint}",
                "--environment_type=EXTERNAL",
                f"--environment_config={cluster.worker_pool}",
                "--job_server_timeout=60",
                # Otherwise every task of every stage starts a Python worker of its own.
                "--environment_cache_millis=600000",
            ]
            # The first job also starts the Python workers: no line goes through it.
            rows = min(sizes)
            first = timed("spark, first", rows, lambda: on_beam(sizes[rows], reference, remote))
            runs += [
                timed("spark", rows, lambda paths=paths: on_beam(paths, reference, remote))  # type: ignore[misc]
                for rows, paths in sizes.items()
            ]
            return report(runs, cluster.start_seconds, first)
    finally:
        if not chosen.keep_logs:
            shutil.rmtree(scratch, ignore_errors=True)
        else:
            print(f"logs in {scratch}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
