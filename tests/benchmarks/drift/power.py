"""Power to find a drift of one feature in ten at equal false alarms, ours and others.

    python -m tests.benchmarks.drift.power [--quick | --times N]

Each tool gives each feature a score. Its threshold is taken on windows without drift, such that
5 % of them have any feature beyond it; recall is the share of windows in which the feature that
drifted is beyond. Beside it, ours and SciPy at their own defaults.
"""

import argparse
import time
import zlib

import numpy as np

from tests.benchmarks.drift.peers import FAST, TOOLS
from tests.benchmarks.drift.sections import table, write_section
from tests.benchmarks.drift.worlds import DRIFTS, FIRST_SEED, no_drift, with_drift

# Windows by rows: (ours and SciPy, others), with drift; twice as many without.
WINDOWS = {1_000: (100, 10), 200: (100, 0), 5_000: (30, 0), 20_000: (10, 0)}
_QUICK = {1_000: (60, 0)}
_FALSE_ALARMS = 0.05
_CALIBRATED = ("ours", "SciPy KS + BH", "Evidently", "whylogs", "TFDV")


def _random(seed, drift, rows, window):
    return np.random.default_rng([seed, zlib.crc32(f"{drift} {rows}".encode()), window])


def threshold(tool, drift, rows, windows, seed=FIRST_SEED):
    """Returns the score that 5 % of the windows without drift exceed in any feature."""
    scores = []
    for window in range(windows):
        random = _random(seed, f"none {DRIFTS[drift][0]}", rows, window)
        frames = []
        for _ in range(2):
            frame = no_drift("normal", rows, 10, random)
            frame["x0"] = no_drift(DRIFTS[drift][0], rows, 1, random)["x0"]
            frames.append(frame)
        scores.append(max(score for score, _ in TOOLS[tool](*frames).values()))
    return float(np.quantile(scores, 1 - _FALSE_ALARMS, method="higher"))


def recall(tool, drift, rows, windows, limit, seed=FIRST_SEED):
    """Returns the share of windows in which x0 is beyond the limit, and in which it alarms."""
    beyond, alarmed = [], []
    for window in range(windows):
        frames = with_drift(drift, rows, _random(seed, drift, rows, window))
        score, alarm = TOOLS[tool](*frames)["x0"]
        beyond.append(score > limit)
        alarmed.append(alarm)
    return float(np.mean(beyond)), float(np.mean(alarmed))


def run(sizes, tools, progress=lambda *_: None):
    """Returns (recall at equal false alarms, recall at defaults, windows) by tool, drift, rows."""
    found, limits = {}, {}
    for rows, (many, few) in sizes.items():
        for drift in DRIFTS:
            for tool in tools:
                windows = many if tool in FAST else few
                if not windows:
                    continue
                key = tool, DRIFTS[drift][0], rows
                if key not in limits:
                    limits[key] = threshold(tool, drift, rows, 2 * windows)
                found[tool, drift, rows] = (
                    *recall(tool, drift, rows, windows, limits[key]), windows,
                )  # fmt: skip
                progress(tool, drift, rows, found[tool, drift, rows])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute, and no file written")
    parser.add_argument("--times", type=float, default=1, help="so many times the windows")
    args = parser.parse_args()
    sizes = _QUICK if args.quick else WINDOWS
    sizes = {rows: tuple(round(n * args.times) for n in counts) for rows, counts in sizes.items()}
    began = time.perf_counter()
    found = run(sizes, _CALIBRATED, lambda *said: print(*said, flush=True))
    text = report(found, sizes, time.perf_counter() - began)
    print(text)
    if not args.quick:
        write_section("power", text)


def report(found, sizes, seconds):
    equal, default = [], []
    for drift in DRIFTS:
        for rows in sizes:
            cells = [found.get((tool, drift, rows)) for tool in _CALIBRATED]
            equal.append([drift, f"{rows:,}", *(f"{c[0]:.2f}" if c else "-" for c in cells)])
            default.append([drift, f"{rows:,}", *(f"{c[1]:.2f}" if c else "-" for c in cells)])
    counts = ", ".join(f"{rows:,} rows: {many} and {few}" for rows, (many, few) in sizes.items())
    return f"""## Power

Recall for a drift in one of ten features, reference and current of the same size, at equal false
alarms: each tool's threshold is the one that 5 % of its windows without drift exceed. Windows with
drift for ours and SciPy, and for the others: {counts}; twice as many without. "ours" includes the
effect floor: a shift of 0.1 sigma has a PSI of 0.01, below the floor of 0.02, and is held back as
soon as the rows show that it is that small. {seconds / 60:.0f} minutes.

{table(["drift", "rows", *_CALIBRATED], equal)}

At defaults (their false alarms are in the section above):

{table(["drift", "rows", *_CALIBRATED], default)}
"""


if __name__ == "__main__":
    main()
