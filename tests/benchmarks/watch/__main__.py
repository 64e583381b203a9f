"""`make bench-watch`: thirty simulated days of `loop watch`, with kills, and its memory without."""

import argparse
import sys
import tempfile
from pathlib import Path

from watched_days import check, watched

from tfx_loop.presentation.terminal import TextTable, show

HEADINGS = ("seed", "kills", "windows", "trainings", "versions", "messages")
# Growth of the daemon's memory from the tenth day to the last, as a share of the former.
MOST_GROWTH = 0.05


def main() -> int:
    """Prints the table; ends with 1 where memory grows, and raises where something is amiss."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--kill-rate", type=float, default=0.015)
    args = parser.parse_args()
    rows = []
    for seed in range(args.seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            # The first run is left alone: its memory is one process's, and all is told once.
            rate = args.kill_rate if seed else 0.0
            found = watched(Path(folder), args.days, seed * 1000, rate)
        check(found, args.days)
        numbers = (seed, found.kills, len(found.decisions), len(found.outcomes))
        rows.append((*map(str, numbers), str(len(found.versions)), str(len(found.told))))
        if not seed:
            memory = {int(day): kb for day, kb in found.memory_kb.items()}
    early, late = memory[min(10, args.days)], memory[max(memory)]
    grown = late / early - 1
    show(
        TextTable(headings=HEADINGS, rows=rows, numbers=HEADINGS),
        f"{args.days} days: nothing launched twice, nothing forgotten. Most memory of the daemon "
        f"left alone: {early // 1024} MiB on day 10, {late // 1024} on the last ({grown:+.1%}).",
    )
    return 1 if grown > MOST_GROWTH else 0


if __name__ == "__main__":
    sys.exit(main())
