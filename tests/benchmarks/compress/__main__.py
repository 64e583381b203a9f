"""Compresses networks people know: what each technique gains and costs, and whether budgets hold.

    python -m tests.benchmarks.compress [--quick] [--part techniques|budget] [--reuse] [--out DIR]

Everything is trained here, on data that packages carry, and kept in DIR/models: a second run trains
no float network. Results are written to DIR after every step.
"""

import argparse
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.benchmarks.compress import budget, techniques
from tests.benchmarks.compress.conditions import CONDITIONS, QUICK
from tests.benchmarks.compress.counting import Case
from tests.benchmarks.compress.tables import tabulate
from tests.benchmarks.compress.techniques import TechniqueCost
from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.storage import write_bytes, write_json

NETWORKS = ("MLP", "CNN", "DS-CNN", "ResNet-8")
PARTS = ("techniques", "budget")
_TIMEOUT_SECONDS = 1_800  # of one call: trainings, on a busy machine


def main(arguments: list[str] | None = None) -> None:
    """Runs the benchmark."""
    options = _parse(arguments)
    kept = {part: _read(options, part) for part in PARTS}
    started = time.perf_counter()

    def tell(line: str) -> None:
        print(f"{time.perf_counter() - started:6.0f} s  {line}", flush=True)

    with Worker(timeout_seconds=_TIMEOUT_SECONDS) as worker:
        worker.may_write(options.out)
        for part in PARTS if options.part is None else (options.part,):
            run = _techniques if part == "techniques" else _budget
            for records in run(options, kept[part], worker, tell):
                kept[part] += records
                _write(options.out, part, kept[part])
    text = tabulate(*_typed(kept["techniques"], kept["budget"]))
    write_bytes(str(options.out / "compress.md"), text.encode())
    print(text)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-compress", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one small network, one seed")
    parser.add_argument("--part", choices=PARTS, help="only one of the two")
    parser.add_argument("--reuse", action="store_true", help="go on where an earlier run stopped")
    parser.add_argument("--out", type=Path, default=Path("out/bench-compress"))
    parser.add_argument(
        "--first_seed", type=int, default=0, help="of the budget; development uses 100 and above"
    )
    return parser.parse_args(arguments)


def _techniques(
    options: argparse.Namespace, known: list[dict[str, Any]], worker: Worker, tell: Any
) -> Iterable[list[dict[str, Any]]]:
    done = {record["network"] for record in known}
    for name in ("MLP",) if options.quick else NETWORKS:
        if name not in done:
            found = techniques.measure(
                name, 0, worker, options.out, tell, trainings=not options.quick
            )
            yield [one.to_json() for one in found]


def _budget(
    options: argparse.Namespace, known: list[dict[str, Any]], worker: Worker, tell: Any
) -> Iterable[list[dict[str, Any]]]:
    done = {(record["condition"], record["seed"]) for record in known}
    for condition in QUICK if options.quick else CONDITIONS:
        for seed in (options.first_seed + seed for seed in condition.seeds):
            if (condition.name, seed) in done:
                continue
            cases = []
            for case in budget.cases_of(condition, seed, worker, options.out, tell):
                tell(_line(case))
                cases.append(case.to_json())
            yield cases


def _line(case: Case) -> str:
    chosen = f"{case.chosen.mode} loses {case.chosen.drop:+.5f}" if case.chosen else "nothing"
    return (
        f"{case.condition}, seed {case.seed}, budget {case.budget:g}: {chosen}, "
        f"{'kept' if case.kept else 'NOT KEPT'}, passed over {len(case.certain)} certainly, "
        f"{len(case.on_paper)} on paper ({case.seconds:.0f} s)"
    )


def _typed(
    measured: list[dict[str, Any]], cases: list[dict[str, Any]]
) -> tuple[list[TechniqueCost], list[Case]]:
    order = [condition.name for condition in (*CONDITIONS, *QUICK)]
    typed = [Case.from_json(one) for one in cases]
    typed.sort(key=lambda case: (order.index(case.condition), case.seed, case.budget))
    return [TechniqueCost(**one) for one in measured], typed


def _read(options: argparse.Namespace, part: str) -> list[dict[str, Any]]:
    path = options.out / f"{part}.json"
    if not (options.reuse and path.exists()):
        return []
    records: list[dict[str, Any]] = json.loads(path.read_text())["records"]
    return records


def _write(out: Path, part: str, records: list[dict[str, Any]]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    write_json(str(out / f"{part}.json"), {"records": records})


if __name__ == "__main__":
    main()
