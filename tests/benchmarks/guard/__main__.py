"""`make bench-guard`: mutated model files through the guard, in several processes."""

import argparse
import multiprocessing
import os
import sys
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

from tests.benchmarks.guard.mutants import make_sources, run_task
from tfx_loop.presentation.terminal import TextTable, show

# No mutant may take more of the processor, or the process more memory.
MAX_SECONDS = 5.0
MAX_MEMORY_MB = 1024.0
_HEADINGS = (
    "form",
    "mutants",
    "passed",
    "refused",
    "damaged",
    "crashes",
    "slowest_s",
    "most_cpu_s",
    "memory_mb",
)


def main() -> int:
    """Prints a row a form; returns 1 where a mutant crashed, hung or took too much memory."""
    parser = argparse.ArgumentParser(prog="bench-guard", description=__doc__)
    parser.add_argument("--mutants", type=int, default=50_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out/bench-guard"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        spawn = multiprocessing.get_context("spawn")
        with spawn.Pool(1) as maker:  # TensorFlow's memory is not the guard's.
            sources = maker.apply(make_sources, (Path(folder),))
        tasks = [(form, args.seed + n) for n in range(args.workers) for form in sources]
        count = args.mutants // len(tasks)
        work = partial(run_task, sources=sources, count=count, out=args.out)
        with spawn.Pool(args.workers) as pool:
            tallies = list(zip(tasks, pool.map(work, tasks, chunksize=1), strict=True))
    rows, failed = [], False
    for form in sources:
        found = [tally for (name, _), tally in tallies if name == form]
        outcomes = sum((tally.outcomes for tally in found), Counter())
        crashes = sum(n for name, n in outcomes.items() if name.startswith("crash"))
        slowest = max(tally.slowest for tally in found)
        memory = max(tally.memory_mb for tally in found)
        cpu = max(tally.most_cpu for tally in found)
        # The clock also counts what others do on this machine; it is shown, and judges nothing.
        failed |= bool(crashes) or cpu > MAX_SECONDS or memory > MAX_MEMORY_MB
        numbers = [sum(outcomes.values()), *(outcomes[k] for k in ("passed", "refused", "damaged"))]
        shown = [str(n) for n in (*numbers, crashes)]
        rows.append([form, *shown, f"{slowest:.2f}", f"{cpu:.2f}", f"{memory:.0f}"])
    print(f"seed {args.seed}, {args.workers} processes, load {os.getloadavg()[0]:.1f} at the end")
    show(TextTable(rows=rows, headings=_HEADINGS, numbers=_HEADINGS[1:]))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
