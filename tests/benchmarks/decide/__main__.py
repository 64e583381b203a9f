"""Does the decision pay? Run as `python -m tests.benchmarks.decide`; see --help.

Prints tables of the total cost of every policy and writes them to `out/bench-decide/`. Settings
were chosen on the seeds from 100 on (`--development`), never on taxi or flights.
"""

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import threadpoolctl

from tests.benchmarks.decide.experiment import Outcome, run_stream
from tests.benchmarks.decide.report import tabulate
from tests.benchmarks.decide.streams import GENERATED, Stream, flights, generated, taxi

TRAINING_COSTS = (0.01, 0.02, 0.05)
DEVELOPMENT_SEED = 100
WINDOW_ROWS = 1_000


def main(arguments: list[str] | None = None) -> None:
    """Runs the benchmark."""
    options = _parse(arguments)
    jobs = _jobs(options)
    started, outcomes = time.perf_counter(), []
    with ProcessPoolExecutor(options.processes, initializer=_pin_to_one_thread) as pool:
        running = [pool.submit(_run, job, options.out) for job in jobs]
        for done, future in enumerate(as_completed(running), 1):
            outcomes += future.result()
            _write(options.out, outcomes, "unfinished\n", time.perf_counter() - started)
            seconds = time.perf_counter() - started
            print(f"\r{done} of {len(jobs)} streams, {seconds:.0f} s", end="", file=sys.stderr)
    print(file=sys.stderr)
    outcomes.sort(key=lambda outcome: (outcome.kind, outcome.stream, outcome.seed))
    text = tabulate(outcomes)
    _write(options.out, outcomes, text, time.perf_counter() - started)
    print(text)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-decide", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="seeds of each generated stream")
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--out", type=Path, default=Path("out/bench-decide"))
    parser.add_argument(
        "--quick", action="store_true", help="small windows, one seed, no real data"
    )
    parser.add_argument(
        "--development", action="store_true", help="the seeds that settings are chosen on"
    )
    return parser.parse_args(arguments)


def _jobs(options: argparse.Namespace) -> list[tuple]:
    """Names the streams: real ones first, for they take longest."""
    first = DEVELOPMENT_SEED if options.development else 0
    seeds = range(first, first + (1 if options.quick else options.seeds))
    rows = 200 if options.quick else WINDOW_ROWS
    drawn: list[tuple] = [
        ("generated", kind, generator, seed, rows)
        for seed in seeds
        for kind, generators in GENERATED.items()
        for generator in (generators[1:2] if options.quick else generators)
    ]
    if options.quick or options.development:
        return drawn
    return [(real, seed) for real in ("flights", "taxi") for seed in range(3)] + drawn


def _run(job: tuple, out: Path) -> list[Outcome]:
    return run_stream(_stream(job, out / "streams"), TRAINING_COSTS)


def _pin_to_one_thread() -> None:
    threadpoolctl.threadpool_limits(limits=1)


def _stream(job: tuple, cache: Path) -> Stream:
    if job[0] == "generated":
        return generated(*job[1:], cache=cache)
    return taxi(job[1]) if job[0] == "taxi" else flights(job[1], fraction=1.0)


def _write(out: Path, outcomes: list[Outcome], text: str, seconds: float) -> None:
    out.mkdir(parents=True, exist_ok=True)
    content = {
        "seconds": round(seconds, 1),
        "outcomes": [outcome.to_json() for outcome in outcomes],
    }
    (out / "decide.json").write_text(json.dumps(content, indent=1) + "\n")
    (out / "decide.md").write_text(text)


if __name__ == "__main__":
    main()
