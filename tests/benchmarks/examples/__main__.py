"""`make examples`: each of our nodes in seven stock pipelines, by the lines of docs/components.md.

Every pipeline runs in a process of its own: its stock nodes, then each node of ours with what it
needs, and last a compilation of all for Kubeflow V2. A node that cannot work there has to say so in
a sentence; the sentences stand below the table. What a folder of an earlier run holds is not run
again.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.examples.stock import EXAMPLES
from tfx_loop.presentation.terminal import TextTable, show

ROOT = Path(__file__).resolve().parents[3]
_SHOWN = {"ran": "ran", "refused": "refused", "needs": "needs", "failed": "FAILED"}


def main() -> int:
    """Prints the table; returns 1 where a node failed without a sentence of its own."""
    parser = argparse.ArgumentParser(prog="examples", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(EXAMPLES), default=list(EXAMPLES))
    parser.add_argument("--folder", type=Path, help="where runs are kept and continued")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or Path(scratch)
        found = {name: run(name, folder / name) for name in args.only}
    show(*tables(found))
    states = [o["state"] for outcomes in found.values() for o in outcomes]
    return int("failed" in states)


def run(name: str, folder: Path) -> list[dict]:
    """Returns what became of each node of one pipeline, and says so as it goes."""
    folder.mkdir(parents=True, exist_ok=True)
    places = [str(ROOT / "src"), str(ROOT), str(ROOT / "tests/helpers")]
    chosen = {"TF_USE_LEGACY_KERAS"}
    environment = {key: value for key, value in os.environ.items() if key not in chosen}
    print(f"{name}: {EXAMPLES[name].title} ...", file=sys.stderr, flush=True)
    # A node that an earlier start of this folder completed took the time that it took then.
    record = folder / "outcomes.jsonl"
    told = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
    earlier = {outcome["node"]: outcome for outcome in told if outcome["state"] == "ran"}
    outcomes = []
    with open(folder / "errors.txt", "w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.examples.one", name, str(folder)],
            cwd=ROOT,
            env={**environment, "PYTHONPATH": os.pathsep.join(places)},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        with process:
            for line in process.stdout or ():
                outcome = json.loads(line)
                outcomes.append(earlier.get(outcome["node"], outcome))
                text = "{node}: {state} ({seconds:.0f} s) {said}".format(**outcomes[-1])
                print(f"{name}: {text.strip()}", file=sys.stderr, flush=True)
    if process.returncode:
        last = (folder / "errors.txt").read_text().strip().splitlines()[-1:]
        said = f"{name} ended: {' '.join(last)}"
        outcomes.append({"node": "stock", "state": "failed", "seconds": 0.0, "said": said})
    record.write_text("".join(f"{json.dumps(outcome)}\n" for outcome in outcomes))
    return outcomes


def tables(found: dict[str, list[dict]]) -> list[TextTable | str]:
    """Returns the table, a line a node, and the sentences below it."""
    nodes = list(dict.fromkeys(o["node"] for outcomes in found.values() for o in outcomes))
    notes: dict[str, int] = {}
    rows = []
    for node in nodes:
        cells = [
            next((o for o in outcomes if o["node"] == node), None) for outcomes in found.values()
        ]
        rows.append([node, *(_cell(cell, notes) for cell in cells)])
    table = TextTable(rows=rows, headings=["node", *found])
    return [table, *(f"[{number}] {said}" for said, number in notes.items())]


def _cell(outcome: dict | None, notes: dict[str, int]) -> str:
    if outcome is None:
        return "-"
    if outcome["state"] == "ran" and outcome["node"] != "V2":
        return f"ran {outcome['seconds']:.0f} s {outcome['said']}".strip()
    if outcome["state"] == "ran":
        return f"compiled, {outcome['said']}"
    if outcome["state"] == "needs":
        return f"needs {outcome['said']}"
    number = notes.setdefault(outcome["said"], len(notes) + 1)
    return f"{_SHOWN[outcome['state']]} [{number}]"


if __name__ == "__main__":
    sys.exit(main())
