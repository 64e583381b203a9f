"""False alarms in windows where nothing drifted, ours and others at defaults.

    python -m tests.benchmarks.drift.false_alarms [--quick | --times N]

A window is an alarm when any of its features is. Reference and current rows are as many; a second
table has a reference of 20,000 rows, and one of 300.
"""

import argparse
import time
import zlib

import numpy as np

from tests.benchmarks.drift.peers import TOOLS
from tests.benchmarks.drift.sections import table, write_section
from tests.benchmarks.drift.worlds import FIRST_SEED, SHAPES, no_drift

# Windows by rows and features: ours, SciPy, the others. A million rows take long to make.
WINDOWS = {
    (200, 10): (100, 100, 10),
    (1_000, 10): (100, 100, 10),
    (200, 50): (40, 40, 1),
    (1_000, 50): (40, 40, 2),
    (10_000, 10): (20, 20, 2),
    (10_000, 50): (8, 8, 0),
    (100_000, 10): (8, 8, 1),
    (100_000, 50): (4, 2, 0),
    (1_000_000, 10): (3, 2, 0),
    (1_000_000, 50): (1, 0, 0),
}
UNEQUAL = {((20_000, 300), 10): (40, 0, 0), ((300, 20_000), 10): (40, 0, 0)}
_QUICK = {(200, 10): (40, 40, 0), (1_000, 10): (40, 40, 0)}


def alarms(shape, sizes, features, windows, seed):
    """Returns by tool in how many windows it raised an alarm, and how many it saw."""
    counts = {tool: [0, 0] for tool in windows}
    for window in range(max(windows.values())):
        random = np.random.default_rng([seed, window])
        reference, current = (no_drift(shape, rows, features, random) for rows in sizes)
        for tool in (name for name, most in windows.items() if window < most):
            found = TOOLS[tool](reference, current)
            counts[tool][0] += any(alarm for _, alarm in found.values())
            counts[tool][1] += 1
    return {tool: (alarmed, seen) for tool, (alarmed, seen) in counts.items() if seen}


def run(cells, tools, progress):
    """Returns (alarms, windows) by (tool, cell); the same windows for every tool."""
    found = {}
    for cell, (mine, exact, slow) in cells.items():
        windows = {
            tool: mine if tool == "ours" else exact if tool.startswith("SciPy") else slow
            for tool in tools
        }
        began = time.perf_counter()
        counts = alarms(*cell, windows, FIRST_SEED + zlib.crc32(repr(cell).encode()))
        found |= {(tool, cell): count for tool, count in counts.items()}
        progress(cell, counts, time.perf_counter() - began)
    return found


def _cells(windows, unequal):
    cells = {
        (shape, (rows, rows), features): counts
        for (rows, features), counts in windows.items()
        for shape in SHAPES
    }
    apart = {
        (shape, sizes, features): counts
        for (sizes, features), counts in unequal.items()
        for shape in SHAPES
    }
    return apart | cells


def _rates(found, tools, keep):
    rows = []
    for tool in tools:
        part = [counts for (name, cell), counts in found.items() if name == tool and keep(cell)]
        rows.append(_rate(part))
    return rows


def _rate(counts):
    windows = sum(n for _, n in counts)
    return f"{sum(a for a, _ in counts) / windows:.1%} of {windows}" if windows else "-"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute, and no file written")
    parser.add_argument("--times", type=float, default=1, help="so many times the windows")
    args = parser.parse_args()
    cells = _cells(_QUICK if args.quick else WINDOWS, {} if args.quick else UNEQUAL)
    cells = {cell: tuple(round(n * args.times) for n in counts) for cell, counts in cells.items()}
    cells = {cell: counts for cell, counts in cells.items() if any(counts)}
    began = time.perf_counter()

    def progress(cell, counts, seconds):
        print(cell, counts, f"{seconds:.1f} s", flush=True)

    found = run(cells, tuple(TOOLS), progress)
    text = report(found, cells, time.perf_counter() - began)
    print(text)
    if not args.quick:
        write_section("false alarms", text)


def report(found, cells, seconds):
    tools = tuple(TOOLS)
    by_size = [
        [
            f"{sizes[0]:,} / {sizes[1]:,}",
            features,
            *_rates(found, tools, lambda c, s=sizes, f=features: c[1:] == (s, f)),
        ]
        for sizes, features in dict.fromkeys(cell[1:] for cell in cells)
    ]
    by_shape = [[shape, *_rates(found, tools, lambda c, s=shape: c[0] == s)] for shape in SHAPES]
    worst = max((a / n, n, cell) for (tool, cell), (a, n) in found.items() if tool == "ours")
    whole = _rates(found, ("ours",), lambda cell: True)[0]
    return f"""## False alarms with nothing drifting

Share of windows in which any feature raised an alarm (and how many windows were tried): with
defaults of each tool, TFDV's comparators at 0.01 as in TFX's and Vertex's examples. Slow tools had
fewer windows. Ours over all: {whole}; its worst cell {worst[0]:.1%} of {worst[1]} windows
({worst[2][0]}, {worst[2][1][0]:,} / {worst[2][1][1]:,} rows, {worst[2][2]} features).
{seconds / 60:.0f} minutes.

{table(["rows, reference / current", "features", *tools], by_size)}

{table(["shape, all sizes", *tools], by_shape)}
"""


if __name__ == "__main__":
    main()
