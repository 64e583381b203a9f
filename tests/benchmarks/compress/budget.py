"""Budgets of chosen variants, judged on rows that the search never saw."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.compress.conditions import Condition
from tests.benchmarks.compress.counting import Case, Loss
from tests.benchmarks.compress.trained import TrainedNetwork, trained
from tfx_loop.core.child_process.worker import Worker
from tfx_loop.core.errors import ChildFailed, ModelError
from tfx_loop.models.formats import detect
from tfx_loop.models.inference import outputs_of
from tfx_loop.models.rows.splits import Rows
from tfx_loop.optimization.metrics.budget import Budget
from tfx_loop.optimization.metrics.drops import drop
from tfx_loop.optimization.metrics.metrics import Metric, infer_metric
from tfx_loop.optimization.quantizer.calibration import draw
from tfx_loop.optimization.quantizer.modes import QuantizationMode
from tfx_loop.optimization.quantizer.request import SearchRequest
from tfx_loop.optimization.quantizer.search import MODEL_FILE, SearchResult, search
from tfx_loop.optimization.quantizer.variant_builder import VariantBuilder
from tfx_loop.optimization.reporting.sizes import size_of

BUDGETS = (0.002, 0.005, 0.02)
# Rungs that are made once, whatever the budget; the others are searched for or trained.
PLAIN = (
    QuantizationMode.INT8,
    QuantizationMode.INT16X8,
    QuantizationMode.FLOAT16,
    QuantizationMode.DYNAMIC_RANGE,
    QuantizationMode.FLOAT,
)
_ONE_SIDED = 0.9  # a two-sided interval whose bounds are 95 % one-sided

Progress = Callable[[str], None]
Outputs = Mapping[str, Any]


def cases_of(
    condition: Condition, seed: int, worker: Worker, out: Path, progress: Progress
) -> Iterator[Case]:
    """Yields one case a budget.

    Args:
        condition: Network and way of calibrating.
        seed: Of both.
        worker: Trains, converts and asks.
        out: Trained networks are kept in `models` there.
        progress: Gets a line a step.
    """
    network = trained(condition.network, seed, worker, out / "models")
    calibration, choosing = draw(network.search, condition.calibration_rows, seed)
    if condition.choosing_rows is not None:
        choosing = choosing.take(np.arange(condition.choosing_rows))
    with tempfile.TemporaryDirectory(dir=worker.folder) as scratch:
        bench = _Bench.of(network, choosing, worker, Path(scratch))
        rungs = bench.rungs(calibration, progress)
        for limit in BUDGETS:
            yield _case(bench, condition, calibration, limit, rungs)


@dataclass(frozen=True, kw_only=True)
class _Bench:
    """One float network with what it answers.

    Attributes:
        network: The network and its rows.
        choosing: Rows that choose.
        metric: As the search has it.
        reported: The float network's outputs on the reporting rows.
        chose: On the rows that choose.
        worker: Asks.
        folder: For files.
    """

    network: TrainedNetwork
    choosing: Rows
    metric: Metric
    reported: Outputs
    chose: Outputs
    worker: Worker
    folder: Path

    @classmethod
    def of(cls, network: TrainedNetwork, choosing: Rows, worker: Worker, folder: Path) -> "_Bench":
        asked = [
            outputs_of(worker, str(network.saved_model), rows.inputs)
            for rows in (network.reporting, choosing)
        ]
        labels = network.reporting.labels
        assert labels is not None
        metric = infer_metric(labels, asked[0], network.metric)
        return cls(
            network=network,
            choosing=choosing,
            metric=metric,
            reported=asked[0],
            chose=asked[1],
            worker=worker,
            folder=folder,
        )

    def rungs(self, calibration: Rows, progress: Progress) -> tuple[Loss, ...]:
        """Returns the plain rungs on the reporting rows; what does not convert is left out."""
        builder = VariantBuilder(
            source=detect(self.network.saved_model),
            calibration=calibration,
            worker=self.worker,
            folder=self.folder,
        )
        found = []
        for mode in PLAIN:
            try:
                made = builder.make(mode)
                found.append(self.loss(made.path, mode.value))
            except (ModelError, ChildFailed) as error:
                progress(f"{mode.value}: {error}")
        return tuple(found)

    def loss(self, path: Path, mode: str, reason: str = "") -> Loss:
        """Returns what a variant loses."""
        reporting, choosing = self.network.reporting, self.choosing
        assert reporting.labels is not None
        assert choosing.labels is not None
        after = outputs_of(self.worker, str(path), reporting.inputs)
        lost = drop(self.reported, after, reporting.labels, self.metric, confidence=_ONE_SIDED)
        there = outputs_of(self.worker, str(path), choosing.inputs)
        chose = drop(self.chose, there, choosing.labels, self.metric)
        return Loss(
            mode=mode,
            raw_bytes=size_of(path).raw_bytes,
            drop=float(lost.value),
            low=float(lost.low),
            high=float(lost.high),
            choosing_drop=float(chose.value),
            reason=reason,
        )


def _case(
    bench: _Bench, condition: Condition, calibration: Rows, limit: float, rungs: Sequence[Loss]
) -> Case:
    network, labels = bench.network, bench.network.reporting.labels
    assert labels is not None
    started = time.monotonic()
    request = SearchRequest(
        source=detect(network.saved_model),
        calibration=calibration,
        choosing=bench.choosing,
        budget=Budget(metric=bench.metric, max_metric_drop=limit),
        seed=network.seed,
    )
    found = search(request, bench.worker, bench.folder / f"chosen-{limit}" / MODEL_FILE)
    seconds = time.monotonic() - started
    chosen = None
    if found.chosen is not None and found.path is not None:
        chosen = bench.loss(found.path, found.chosen.mode, found.chosen.reason)
    return Case(
        condition=condition.name,
        seed=network.seed,
        budget=limit,
        reporting_rows=len(network.reporting),
        parent_bytes=next(r.raw_bytes for r in rungs if r.mode == QuantizationMode.FLOAT.value),
        parent_metric=bench.metric.compute(labels, bench.reported),
        chosen=chosen,
        rungs=_told(rungs, found),
        float_layers=found.chosen.float_layers if found.chosen else (),
        seconds=round(seconds, 1),
    )


def _told(rungs: Sequence[Loss], found: SearchResult) -> tuple[Loss, ...]:
    """Returns the rungs with what the search said of each; checks that they are the same files."""
    said = {rung.mode: rung for rung in found.rungs}
    told = []
    for loss in rungs:
        rung = said[loss.mode]
        if rung.size is None or rung.size.raw_bytes != loss.raw_bytes:
            raise AssertionError(
                f"The search made another {loss.mode} than this benchmark: {rung.size} bytes, "
                f"here {loss.raw_bytes}."
            )
        told.append(Loss(**{**vars(loss), "reason": rung.reason}))
    return tuple(told)
