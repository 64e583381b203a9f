"""Cost of policies. Run as `python -m tests.benchmarks.decide`; see --help.

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

from tests.benchmarks.decide.evidence import StreamEvidence, gather, read, write
from tests.benchmarks.decide.experiment import Outcome, outcomes_of
from tests.benchmarks.decide.report import tabulate
from tests.benchmarks.decide.streams import CHAMPIONS, GENERATED, flights, generated, taxi

TRAINING_COSTS = (0.01, 0.02, 0.05)
# Seeds 0 to 9 and 20 to 29 were seen by earlier runs.
FIRST_SEED = 40
DEVELOPMENT_SEED = 100
FLIGHTS_FRACTION = 0.2
WINDOW_ROWS = 1_000


def main(arguments: list[str] | None = None) -> None:
    """Runs the benchmark."""
    options = _parse(arguments)
    jobs = _jobs(options)
    started, outcomes = time.perf_counter(), []
    with ProcessPoolExecutor(options.processes, initializer=_pin_to_one_thread) as pool:
        running = [pool.submit(_run, job, options.out, reuse=options.reuse) for job in jobs]
        for done, future in enumerate(as_completed(running), 1):
            outcomes += future.result()
            seconds = time.perf_counter() - started
            print(f"\r{done} of {len(jobs)} streams, {seconds:.0f} s", end="", file=sys.stderr)
    print(file=sys.stderr)
    if options.gather:
        return
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
        "--quick",
        action="store_true",
        help="small windows, one seed, every third kind, no real data",
    )
    parser.add_argument(
        "--development", action="store_true", help="the seeds that settings are chosen on"
    )
    parser.add_argument(
        "--gather",
        action="store_true",
        help="only fit, and show nothing: for a rule that is not frozen yet",
    )
    parser.add_argument(
        "--reuse", action="store_true", help="replay over what an earlier run fitted and kept"
    )
    return parser.parse_args(arguments)


def _jobs(options: argparse.Namespace) -> list[tuple]:
    """Names the streams: real ones first, for they take longest."""
    first = DEVELOPMENT_SEED if options.development else FIRST_SEED
    seeds = range(first, first + (1 if options.quick else options.seeds))
    rows = 200 if options.quick else WINDOW_ROWS
    drawn: list[tuple] = [
        ("generated", kind, generator, seed, rows)
        for seed in seeds
        for kind, generators in list(GENERATED.items())[:: 3 if options.quick else 1]
        for generator in (generators[-1:] if options.quick else generators)
    ]
    if options.quick or options.development:
        return drawn
    return [("flights",), ("taxi",), *drawn]


def _run(job: tuple, out: Path, *, reuse: bool) -> list[Outcome]:
    path = out / "evidence" / f"{'-'.join(map(str, job))}.pickle"
    if not (reuse and path.exists()):
        write(path, _gather(job, out / "streams"))
    return [outcome for evidence in read(path) for outcome in outcomes_of(evidence, TRAINING_COSTS)]


def _gather(job: tuple, cache: Path) -> list[StreamEvidence]:
    """Returns the evidence of a generated stream, or of a real one under each kind of champion."""
    if job[0] == "generated":
        return [gather(generated(*job[1:], cache=cache))]
    found: list[StreamEvidence] = []
    for seed in range(len(CHAMPIONS)):
        stream = taxi(seed) if job[0] == "taxi" else flights(seed, fraction=FLIGHTS_FRACTION)
        # What RetrainDecider measures does not hang on the champion's kind.
        found.append(gather(stream, measured=found[0].measured if found else None))
    return found


def _pin_to_one_thread() -> None:
    threadpoolctl.threadpool_limits(limits=1)


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
