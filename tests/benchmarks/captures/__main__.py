"""Gigabytes of captures through the import in Beam: the rate, and rejects against what was planted.

    python -m tests.benchmarks.captures --gigabytes 10 --workers 2

Half of the bytes are calls of one flight, half calls of sixteen. Each hour has its share of lines
that must not become rows, and the run fails where a count differs by one.
"""

import argparse
import json
import random
import resource
import shutil
import time
from pathlib import Path

from tests.helpers.captured_lines import HOUR_MS, TIME_MS, capture, hour_folder, side
from tfx_loop.contracts.capture_source import CaptureSource
from tfx_loop.data.prediction_log.importers.beam_import import import_log
from tfx_loop.data.prediction_log.importers.import_order import ImportOrder

# Some 34 MB an hour, in files of some 4 MB: what a busy endpoint writes.
_FILES_AN_HOUR, _LINES_A_FILE = 8, 3_000
_MARK = "@@@@@@@@"
# Lines a file that must not become rows, by the reason that they must be counted by.
_PLANTED = {
    "no_endpointOutput": 5,
    "no_endpointInput": 3,
    "unknown_encoding": 2,
    "unknown_version": 2,
    "failed_call": 4,
    "no_rows": 1,
    "no_json": 2,
    "cut_line": 1,
}


def flight(draw: random.Random) -> dict[str, object]:
    """Returns the features of one flight."""
    return {
        "carrier": draw.choice(["UA", "AA", "B6", "DL", "EV"]),
        "origin": draw.choice(["EWR", "JFK", "LGA"]),
        "dest": draw.choice(["IAH", "MIA", "BQN", "ATL", "ORD"]),
        "distance": float(draw.randrange(80, 5000)),
        "sched_dep_hour": draw.randrange(24),
        "sched_dep_minute": draw.randrange(60),
        **{
            name: round(draw.uniform(0, 100), 2)
            for name in (
                *("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust"),
                *("precip", "pressure", "visib"),
            )
        },
        "departures_this_hour": draw.randrange(60),
    }


def template(draw: random.Random) -> tuple[str, int]:
    """Returns the content of a file, with a mark in each event's id, and how many rows it makes."""
    lines, rows = [], 0
    for number in range(_LINES_A_FILE):
        size = 16 if number % 16 == 0 else 1
        asked = {"instances": [flight(draw) for _ in range(size)]}
        answered = {"predictions": [round(draw.random(), 6) for _ in range(size)]}
        lines.append(json.dumps(capture(asked, answered, _time(draw), f"{_MARK}{number:08d}")))
        rows += size
    one, answer = {"instances": [flight(draw)]}, {"predictions": [0.5]}
    planted = {
        "no_endpointOutput": capture(one, None),
        "no_endpointInput": capture(None, answer),
        "unknown_encoding": capture(one, side("0.5", "PROTOBUF")),
        "unknown_version": capture(one, answer, version="1"),
        "failed_call": capture(one, {"error": "the graph failed"}),
        "no_rows": capture(one, {"predictions": [0.5, 0.5]}),
    }
    for reason, record in planted.items():
        lines += [json.dumps(record)] * _PLANTED[reason]
    lines += ["no json"] * _PLANTED["no_json"]
    draw.shuffle(lines)
    return "\n".join([*lines, lines[0][:100]]), rows


def _time(draw: random.Random) -> int:
    return TIME_MS + 1000 * draw.randrange(3600)


def write_captures(folder: Path, gigabytes: float) -> tuple[int, int, int]:
    """Writes captures; returns bytes, rows and files."""
    content, rows = template(random.Random(0))
    size = files = 0
    while size < gigabytes * 1e9:
        hour, part = divmod(files, _FILES_AN_HOUR)
        time_ms = TIME_MS + hour * HOUR_MS
        path = folder / "endpoint" / "AllTraffic" / hour_folder(time_ms) / f"{part:02d}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        moved = content.replace(_MARK, f"{files:08d}").replace(_stamp(TIME_MS), _stamp(time_ms))
        path.write_text(moved)
        size, files = size + len(moved), files + 1
    return size, rows * files, files


def _stamp(time_ms: int) -> str:
    return f'"inferenceTime": "{hour_folder(time_ms).replace("/", "-", 2).replace("/", "T")}:'


def main() -> int:
    """Prints the rate; returns 1 where a count is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=0.5)
    parser.add_argument("--workers", type=int, default=1, help="processes of Beam's runner")
    parser.add_argument("--out", type=Path, default=Path("out/bench/captures"))
    args = parser.parse_args()
    shutil.rmtree(args.out, ignore_errors=True)
    size, rows, files = write_captures(args.out / "captures", args.gigabytes)
    order = ImportOrder(
        kind="sagemaker",
        files=[str(args.out / "captures")],
        log_dir=str(args.out / "log"),
        model_name="flights",
        capture=CaptureSource(prefix="captures", output_names=("probability",)),
    )
    beam_args = ["--runner=FnApiRunner"]
    if args.workers > 1:
        beam_args += ["--direct_running_mode=multi_processing"]
        beam_args += [f"--direct_num_workers={args.workers}"]
    begin = time.perf_counter()
    counts = import_log(order, beam_args)
    seconds = time.perf_counter() - begin
    expected = {reason: number * files for reason, number in sorted(_PLANTED.items())}
    written = sum(path.stat().st_size for path in (args.out / "log").rglob("*.parquet"))
    # Kilobytes, of this process and the largest of its children.
    peak = max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    cpu = sum(
        sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(f"{size / 1e9:.2f} GB of captures in {files} files, {args.workers} worker(s)")
    print(f"{seconds:.0f} s, {size / seconds / 1e6:.1f} MB/s, {rows / seconds:,.0f} rows/s")
    print(f"{cpu:.0f} s of processor time with writing the captures, {peak / 1e3:.0f} MB at most")
    print(f"{counts.rows:,} rows of {rows:,}, {written / max(counts.rows, 1):.0f} bytes a row")
    print(f"rejected: {counts.rejected}")
    if counts.rows != rows or counts.rejected != expected:
        print(f"WRONG: expected {rows:,} rows and {expected}")
        return 1
    print("every line is accounted for")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
