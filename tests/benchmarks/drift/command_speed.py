"""Speed of `loop monitor` as a whole command, beside Evidently's report of the same two files.

    python -m tests.benchmarks.drift.command_speed [--rows 200000] [--runs 5]

Both are processes from start to page: imports, reading two Parquet files of 40 columns (30 numbers,
5 codes, 5 words), comparing them, writing an HTML page. Evidently runs in an environment of its own
(.tools/peers), as a release may need. Runs alternate, so that a busy machine slows both;
what is compared is the least of each. Processor time is told as well: it does not hang on who else
uses the machine.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.drift.packaged import TOOLS, run_uv

TARGET = 20.0
EVIDENTLY = "evidently==0.7.23"
_NUMBERS, _CODES, _WORDS = 30, 5, 5
_MOST_SECONDS = 1_800
_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
# As its documentation compares two tables, and keeps the page.
_SCRIPT = """
import sys
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
reference, current, page = sys.argv[1:]
found = Report([DataDriftPreset()]).run(pd.read_parquet(current), pd.read_parquet(reference))
found.save_html(page)
"""


def write_rows(path: Path, rows: int, seed: int) -> None:
    """Writes a Parquet file of 40 columns."""
    random = np.random.default_rng(seed)
    words = pa.array([f"word {number}" for number in range(60)])
    columns = {}
    for number in range(_NUMBERS):
        drawn = random.normal(size=rows) if number % 2 else random.lognormal(size=rows)
        columns[f"number {number}"] = pa.array(drawn)
    for number in range(_CODES):
        columns[f"code {number}"] = pa.array(random.integers(0, 40, rows))
    for number in range(_WORDS):
        columns[f"word {number}"] = words.take(pa.array(random.zipf(1.5, rows) % 60))
    pq.write_table(pa.table(columns), path)


def evidently_python() -> Path:
    """Returns the Python of Evidently's environment, which is made once.

    Raises:
        NotFetchedError: There is no uv, or no network.
    """
    home = TOOLS / "peers" / EVIDENTLY.replace("==", "-")
    python = home / "bin" / "python"
    if not python.exists():
        run_uv("venv", "--quiet", "--python", sys.executable, str(home))
        run_uv("pip", "install", "--quiet", "--python", str(python), EVIDENTLY, "pyarrow")
    return python


def run(command: list[str], answers: tuple[int, ...]) -> tuple[float, float]:
    """Runs a command; returns its seconds by the clock and of processor time."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    # Some shells keep Python from writing bytecode, which whoever installs a tool has.
    plain = {name: value for name, value in os.environ.items() if name != _NO_BYTECODE}
    done = subprocess.run(
        command, capture_output=True, timeout=_MOST_SECONDS, check=False, env=plain
    )
    seconds, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in answers:
        raise RuntimeError(f"{command[:2]} ended with {done.returncode}: {done.stderr[-500:]!r}")
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, spent


def main(arguments: list[str] | None = None) -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.drift.command_speed")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=5, help="of each, in turn")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="loop-command-") as scratch:
        reference, current = Path(scratch, "a.parquet"), Path(scratch, "b.parquet")
        write_rows(reference, chosen.rows, 1)
        write_rows(current, chosen.rows, 2)
        loop = str(Path(sys.executable).with_name("loop"))
        ours = [loop, "monitor", "--reference", str(reference), "--current", str(current)]
        ours += ["--page", str(Path(scratch, "ours.html"))]
        theirs = [str(evidently_python()), "-W", "ignore", "-c", _SCRIPT]
        theirs += [str(reference), str(current), str(Path(scratch, "theirs.html"))]
        # Once each before anything counts: files in the page cache, modules compiled.
        run(ours, (0, 3))
        run(theirs, (0,))
        pairs = [(run(ours, (0, 3)), run(theirs, (0,))) for _ in range(chosen.runs)]
    print(f"2 x {chosen.rows:,} rows of 40 columns, least of {chosen.runs} runs in turn")
    print(f"{'':<18}{'seconds':>9}{'processor':>11}")
    best = [np.min([pair[side] for pair in pairs], axis=0) for side in (0, 1)]
    for name, (seconds, spent) in zip(("loop monitor", EVIDENTLY), best, strict=True):
        print(f"{name:<18}{seconds:>9.2f}{spent:>11.2f}")
    ratios = best[1] / best[0]
    verdict = "holds" if ratios[0] >= TARGET else "MISSED"
    print(f"{'times as fast':<18}{ratios[0]:>9.1f}{ratios[1]:>11.1f}  ({verdict}: {TARGET:g})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
