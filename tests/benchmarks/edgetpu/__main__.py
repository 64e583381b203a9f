"""The analyser beside the real compiler: `python -m tests.benchmarks.edgetpu [FOLDER]`.

FOLDER holds sources with their compiled twins (`NAME.tflite`, `NAME_edgetpu.tflite`); by default
the nine pairs beside the checkout. An operator whose status is unknown counts as a disagreement.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.edgetpu.pairs import FOLDER, Pair, load_pairs
from tests.benchmarks.edgetpu.predictors import PREDICTORS
from tfx_loop.contracts.edgetpu_report import MappingStatus
from tfx_loop.edge.edgetpu_compiler.rules.analyser import analyse


@dataclass(frozen=True)
class Score:
    """How a predictor did.

    Attributes:
        operators: How many were asked about.
        agreed: How many it got right; unknown is not right.
        left: How many the compiler left on the CPU.
        left_found: How many of those it said.
        falsely_mapped: How many it promised in vain.
        unknown: How many it would not say.
        exact_models: Models without a single disagreement.
        models: How many.
    """

    operators: int
    agreed: int
    left: int
    left_found: int
    falsely_mapped: int
    unknown: int
    exact_models: int
    models: int


def score(pairs: Sequence[Pair], said: Sequence[Sequence[MappingStatus]]) -> Score:
    """Scores what a predictor said of each pair."""
    both = [
        (left, status)
        for pair, statuses in zip(pairs, said, strict=True)
        for left, status in zip(pair.left, statuses, strict=True)
    ]
    exact = [
        all(_right(left, status) for left, status in zip(pair.left, statuses, strict=True))
        for pair, statuses in zip(pairs, said, strict=True)
    ]
    return Score(
        operators=len(both),
        agreed=sum(_right(left, status) for left, status in both),
        left=sum(left for left, _ in both),
        left_found=sum(left and status is MappingStatus.NOT_MAPPED for left, status in both),
        falsely_mapped=sum(left and status is MappingStatus.MAPPED for left, status in both),
        unknown=sum(status is MappingStatus.UNKNOWN for _, status in both),
        exact_models=sum(exact),
        models=len(pairs),
    )


def _right(left: bool, status: MappingStatus) -> bool:
    return status is (MappingStatus.NOT_MAPPED if left else MappingStatus.MAPPED)


def main(arguments: list[str] | None = None) -> int:
    """Prints the tables; returns 1 where there is nothing to compare with."""
    parser = argparse.ArgumentParser(prog="bench-edgetpu", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    folder = parser.parse_args(arguments).folder
    pairs = load_pairs(folder) if folder.is_dir() else []
    if not pairs:
        print(f"bench-edgetpu: no compiled twins in {folder}", file=sys.stderr)
        return 1
    said = {name: [say(pair) for pair in pairs] for name, say in PREDICTORS.items()}
    print(f"{len(pairs)} models, {sum(len(pair.left) for pair in pairs)} operators\n")
    print(_row("", "agreement", "exact models", "left on CPU found", "falsely mapped", "unknown"))
    print("|---|---|---|---|---|---|")
    for name, statuses in said.items():
        print(_score_row(name, score(pairs, statuses)))
    print("\nEach family, without the rules that it had a part in:\n")
    print(_row("family", "agreement", "exact models", "left on CPU found", "falsely", "unknown"))
    print("|---|---|---|---|---|---|")
    for family in sorted({pair.family for pair in pairs}):
        chosen = [index for index, pair in enumerate(pairs) if pair.family == family]
        statuses = [said["analyser, family left out"][index] for index in chosen]
        print(_score_row(family, score([pairs[index] for index in chosen], statuses)))
    _print_disagreements(pairs, said["analyser"])
    _print_parameters(pairs)
    return 0


def _print_disagreements(pairs: Sequence[Pair], said: Sequence[Sequence[MappingStatus]]) -> None:
    print("\nDisagreements of the analyser:")
    count = 0
    for pair, statuses in zip(pairs, said, strict=True):
        for operator, left, status in zip(
            analyse(pair.path).operators, pair.left, statuses, strict=True
        ):
            if not _right(left, status):
                count += 1
                truth = "left on the CPU" if left else "mapped"
                print(
                    f"- {pair.name} {operator.index} {operator.op}: {status.value}, was {truth} "
                    f"({operator.reason})"
                )
    if not count:
        print("- none")


def _print_parameters(pairs: Sequence[Pair]) -> None:
    print("\n" + _row("model", "parameters, source", "stored in the twin", "runtime", "ms"))
    print("|---|---|---|---|---|")
    for pair in pairs:
        started = time.perf_counter()
        expected = analyse(pair.path)
        milliseconds = (time.perf_counter() - started) * 1_000
        twin = analyse(pair.twin)
        runtime = twin.compiled.minimum_runtime if twin.compiled else 0
        stored, held = twin.parameter_bytes, expected.parameter_bytes
        print(_row(pair.name, f"{held:,}", f"{stored:,}", str(runtime), f"{milliseconds:.0f}"))


def _score_row(name: str, result: Score) -> str:
    return _row(
        name,
        f"{result.agreed / result.operators:.1%}",
        f"{result.exact_models} of {result.models}",
        f"{result.left_found} of {result.left}",
        str(result.falsely_mapped),
        str(result.unknown),
    )


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.exit(main())
