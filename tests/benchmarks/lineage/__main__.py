"""`make bench-lineage`: commands as whole processes in a large store, start included."""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import large_store

from tfx_loop.contracts.deployment_record import DEPLOYMENT_RECORD, DeploymentRecord
from tfx_loop.presentation.terminal import TextTable, show

COMMANDS = {
    "explain, newest version": ["explain", "{newest}"],
    "explain, first version": ["explain", "1"],
    "why-not": ["why-not"],
    "why-not, all windows": ["why-not", "--since", "{first}"],
    "timeline": ["timeline"],
    "graph --up": ["graph", "{newest}"],
    "impact of a window": ["impact", "{first}"],
    "status": ["status", "--loop", "{loop}"],
}
LIMIT_SECONDS = 2.0
HEADINGS = ("command", "wall_s", "slowest_s", "cpu_s")


def measured(words: list[str], runs: int) -> tuple[list[float], list[float]]:
    """Returns wall and processor seconds of a command, run by run."""
    walls, cpus = [], []
    command = [sys.executable, "-m", "tfx_loop.pipelines.cli.main", *words]
    for _ in range(runs):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        walls.append(time.monotonic() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return walls, cpus


def _loop_file(folder: Path, store: str) -> Path:
    """Writes the file of a loop that has run on the store for years."""
    base = folder / "serving"
    DEPLOYMENT_RECORD.write(DeploymentRecord("flights"), base)
    file = folder / "loop.toml"
    file.write_text(
        f"""name = "flights"
label = "late"
labels = "labels"
metadata = "{store}"
[serving]
url = "http://127.0.0.1:8501"
base_path = "{base}"
"""
    )
    return file


def main() -> int:
    """Builds the store and prints the table; ends with 1 where the processor took too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--store", default="", help="a database; default: an SQLite file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = args.store or str(folder / "metadata.sqlite")
        made = large_store.build(store, folder / "artifacts", args.executions)
        names = {"newest": str(made.version), "first": made.windows[0]}
        names["loop"] = str(_loop_file(folder, store))
        rows, slow = [], []
        for told, words in COMMANDS.items():
            line = [word.format(**names) for word in words]
            line += [] if "--loop" in line else ["--metadata", store]
            walls, cpus = measured(line, args.runs)
            figures = statistics.median(walls), max(walls), statistics.median(cpus)
            rows.append((told, *(f"{seconds:.2f}" for seconds in figures)))
            slow += [told] if figures[2] > LIMIT_SECONDS else []
    show(
        f"{made.executions} executions, {len(made.windows)} windows, {made.version} versions; "
        f"{args.runs} runs each, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        TextTable(headings=HEADINGS, rows=rows, numbers=HEADINGS[1:]),
    )
    if slow:
        print(f"more than {LIMIT_SECONDS:g} s of the processor: {', '.join(slow)}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
