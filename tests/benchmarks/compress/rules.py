"""Smaller variants passed over: by the rule, or by the noise of the rows.

    python -m tests.benchmarks.compress.rules [--draws 6] [--out out/bench-compress]

Other rules beside the Quantizer's, on development seeds: of the rows that a network was not
trained on a random part chooses, all others report; again and again.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.benchmarks.compress.budget import BUDGETS, PLAIN
from tests.benchmarks.compress.counting import Case, Loss
from tests.benchmarks.compress.tables import table
from tests.benchmarks.compress.trained import trained
from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.storage import write_bytes
from tfx_loop.models.formats import detect
from tfx_loop.models.inference import outputs_of
from tfx_loop.models.rows.splits import joined
from tfx_loop.optimization.metrics.drops import drop
from tfx_loop.optimization.metrics.metrics import Metric, metric
from tfx_loop.optimization.metrics.scoring import PredictionKind, Scoring
from tfx_loop.optimization.quantizer import expected_drop as rule_of_quantizer
from tfx_loop.optimization.quantizer.calibration import draw
from tfx_loop.optimization.quantizer.modes import QuantizationMode
from tfx_loop.optimization.quantizer.variant_builder import VariantBuilder

NETWORK = "MLP narrow, less training"
SEEDS = tuple(range(100, 106))
CHOOSING_ROWS = (600, 4_700, 15_000)
_CALIBRATION_ROWS = 300

Array = npt.NDArray[Any]
# From the outputs of parent and child and the labels to a bound that must be within the budget.
Bound = Callable[[Array, Array, Array], float]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--out", type=Path, default=Path("out/bench-compress"))
    options = parser.parse_args()
    networks = list(_networks(options.out))
    lines = table(
        ["rule", *(f"{rows:,} rows choose" for rows in CHOOSING_ROWS)],
        [
            [name, *(_cell(networks, bound, rows, options.draws) for rows in CHOOSING_ROWS)]
            for name, bound in _rules().items()
        ],
    )
    text = "\n".join(lines)
    write_bytes(str(options.out / "rules.md"), text.encode())
    print(text)


def _accuracy() -> Metric:
    return metric("SparseCategoricalAccuracy", scoring=Scoring(kind=PredictionKind.CLASSES))


def _rules() -> Mapping[str, Bound]:
    known = _accuracy()

    def expected(confidence: float, bias: float) -> Bound:
        def bound(parent: Array, child: Array, labels: Array) -> float:
            kept = rule_of_quantizer._BIAS
            rule_of_quantizer._BIAS = bias
            try:
                found = rule_of_quantizer.expected_drop(
                    parent, child, labels, known, confidence=2 * confidence - 1
                )
            finally:
                rule_of_quantizer._BIAS = kept
            return max(found.value, found.high)

        return bound

    return {
        "the Quantizer's: 95 %, a flip's cost unknown by 0.1": expected(0.95, 0.1),
        "unknown by 0.07 (as measured)": expected(0.95, 0.07),
        "unknown by 0.05": expected(0.95, 0.05),
        "90 %": expected(0.9, 0.1),
        "80 %": expected(0.8, 0.1),
        "labels alone, 95 %": lambda p, c, y: drop(p, c, y, known, confidence=0.9).high,
        "the measured drop": lambda p, c, y: drop(p, c, y, known).value,
    }


def _networks(out: Path) -> Iterator[dict[str, Any]]:
    """Yields labels, the parent's and the rungs' outputs and sizes, a network at a time."""
    with Worker() as worker:
        worker.may_write(out / "models")
        for seed in SEEDS:
            network = trained(NETWORK, seed, worker, out / "models")
            calibration, rest = draw(network.search, _CALIBRATION_ROWS, seed)
            rows = joined(rest, network.reporting)
            with tempfile.TemporaryDirectory(dir=worker.folder) as scratch:
                builder = VariantBuilder(
                    source=detect(network.saved_model),
                    calibration=calibration,
                    worker=worker,
                    folder=Path(scratch),
                )
                files = {mode.value: builder.make(mode).path for mode in PLAIN}
                asked = {"parent": network.saved_model, **files}
                yield {
                    "labels": rows.labels,
                    "outputs": {
                        name: next(iter(outputs_of(worker, str(path), rows.inputs).values()))
                        for name, path in asked.items()
                    },
                    "bytes": {name: path.stat().st_size for name, path in files.items()},
                }


def _cell(networks: list[dict[str, Any]], bound: Bound, rows: int, draws: int) -> str:
    cases = [
        case
        for position, network in enumerate(networks)
        for number in range(draws)
        for case in _cases(network, bound, rows, seed=1_000 * position + number)
    ]
    kept, passed = sum(case.kept for case in cases), sum(bool(case.certain) for case in cases)
    size = float(np.mean([case.size_share for case in cases]))
    share = f"{kept / len(cases):.1%} kept, {passed / len(cases):.1%} passed over"
    return f"{share}, {size:.1%} of float"


def _cases(network: Mapping[str, Any], bound: Bound, rows: int, *, seed: int) -> Iterator[Case]:
    labels, outputs, known = network["labels"], network["outputs"], _accuracy()
    order = np.random.default_rng(seed).permutation(len(labels))
    choosing, reporting = order[:rows], order[rows:]
    bounds, losses = {}, {}
    for mode, size in network["bytes"].items():
        bounds[mode] = bound(outputs["parent"][choosing], outputs[mode][choosing], labels[choosing])
        lost = drop(
            outputs["parent"][reporting],
            outputs[mode][reporting],
            labels[reporting],
            known,
            confidence=0.9,
        )
        losses[mode] = Loss(
            mode=mode, raw_bytes=size, drop=lost.value, low=lost.low, high=lost.high
        )
    for limit in BUDGETS:
        fit = [losses[mode] for mode in losses if bounds[mode] <= limit + 1e-9]
        yield Case(
            condition=NETWORK,
            seed=seed,
            budget=limit,
            reporting_rows=len(reporting),
            parent_bytes=network["bytes"][QuantizationMode.FLOAT.value],
            parent_metric=known.compute(labels, outputs["parent"]),
            chosen=min(fit, key=lambda loss: loss.raw_bytes, default=None),
            rungs=tuple(losses.values()),
        )


if __name__ == "__main__":
    main()
