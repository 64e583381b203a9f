"""The demo over many seeds in one table. Run as `python -m tests.benchmarks.seeds`; see --help.

Chance decides too: one seed's share of the gain says little. Each seed draws another fifth of the
flights and other weights. `never` and `every window` are the demo's own peers, from the same runs.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

# What the loop should reach over ten seeds.
MEDIAN_GAIN, WORST_GAIN, TRAINING_SHARE = 0.95, 0.7, 0.5


def main(arguments: list[str] | None = None) -> None:
    """Runs the demo for each seed that has no result yet, and prints the table."""
    options = _parse(arguments)
    for seed in range(options.first, options.first + options.seeds):
        if not summary_file(options.out, seed).is_file():
            _run(options.out, seed, full=options.full)
    found = {
        seed: json.loads(summary_file(options.out, seed).read_text())
        for seed in range(options.first, options.first + options.seeds)
    }
    text = tabulate(found)
    (options.out / "seeds.md").write_text(text)
    print(text)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-seeds", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="how many (default: 10)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument("--full", action="store_true", help="all flights, not a seeded fifth")
    parser.add_argument("--out", type=Path, default=Path("out/bench-seeds"))
    return parser.parse_args(arguments)


def summary_file(out: Path, seed: int) -> Path:
    """Returns where the result of a seed is."""
    return out / f"seed-{seed}" / "summary.json"


def _run(out: Path, seed: int, *, full: bool) -> None:
    folder = summary_file(out, seed).parent
    folder.parent.mkdir(parents=True, exist_ok=True)
    # A process a seed: TensorFlow keeps memory, and a run that fails must not end the others.
    command = [sys.executable, "-m", "tfx_loop.pipelines.cli.main", "demo"]
    command += ["--seed", str(seed), "--out", str(folder), *(["--full"] if full else [])]
    with (out / f"seed-{seed}.log").open("w") as log:
        done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False)
    print(f"seed {seed}: exit {done.returncode}", file=sys.stderr)


def tabulate(found: dict[int, dict[str, Any]]) -> str:
    """Returns Markdown: a row a seed, and what was to be reached."""
    lines = [
        "| seed | log-loss gain | AUC gain | trainings | every window | decisions |",
        "|---|---|---|---|---|---|",
    ]
    for seed, summary in found.items():
        gain, trainings = summary["gain_recovered"], summary["trainings"]
        lines.append(
            f"| {seed} | {_share(gain['log_loss'])} | {_share(gain['auc'])} | {trainings['loop']} "
            f"| {trainings['every_window']} | {_decisions(summary['windows'])} |"
        )
    gains = [s["gain_recovered"]["log_loss"] for s in found.values()]
    known = [gain for gain in gains if gain is not None]
    loop, always = (
        sum(s["trainings"][who] for s in found.values()) for who in ("loop", "every_window")
    )
    return "\n".join(
        [
            *lines,
            "",
            f"Log-loss gain: median {_share(median(known) if known else None)} (to reach: "
            f"{MEDIAN_GAIN:.0%}), worst {_share(min(known, default=None))} ({WORST_GAIN:.0%}). "
            f"Trainings: {loop} against {always} of every window ({TRAINING_SHARE:.0%}).",
            "",
        ]
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _decisions(windows: Sequence[dict[str, Any]]) -> str:
    told = [each for each in windows if each["verdict"] != "HOLD"]
    return ", ".join(f"{each['window']} {each['verdict']}" for each in told) or "none"


if __name__ == "__main__":
    main()
